"""How fast the machine is at the moment: its speed varies, so every figure carries this one."""

from __future__ import annotations

import time


def loop_seconds() -> float:
    """Return the CPU seconds of 1e7 additions in Python."""
    begin = time.process_time()
    total = 0
    for number in range(10_000_000):
        total += number
    return time.process_time() - begin
