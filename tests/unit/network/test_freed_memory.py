"""Freed buffers are used again, counted in page faults of a process of its own."""

from __future__ import annotations

import subprocess
import sys

#: As many copies at once as an upload has on its way; prints page faults a buffer.
PROGRAM = """
import resource, sys
from network.freed_memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def upload():
    return [bytearray(1_700_000) for _ in range(8)]
for _ in range(5):
    upload()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    upload()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 160)
"""


def faults_a_buffer(how: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def test_a_buffer_freed_before_is_not_made_of_new_pages_again() -> None:
    assert faults_a_buffer("keep") < faults_a_buffer("as it is") / 5
