"""What a module may not load, seen in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("start", "absent"),
    [
        ("chaincode.contract.dispatch", "peer_client"),
        ("chaincode.contract.dispatch", "grpc"),
        ("chaincode.contract.dispatch", "tensorflow"),
        ("chaincode.memory_ledger", "network.wire"),
        ("chaincode.memory_ledger", "grpc"),
        ("network.cli", "chaincode"),
        ("network.cli", "peer_client"),
        ("peer_client.cli.main", "tensorflow"),
        ("peer_client.cli.main", "matplotlib"),
        ("peer_client.sealing", "tensorflow"),
        ("model", "tensorflow"),
        ("model.weights", "tensorflow"),
        ("model.evaluation", "tensorflow"),
        ("peer_client.simulation.simulate", "tensorflow"),
        ("peer_client.cli.main", "benchmarks"),
        ("benchmarks.evidence.plan", "tensorflow"),
        ("benchmarks.evidence.report", "tensorflow"),
    ],
)
def test_importing_start_does_not_load_absent(start: str, absent: str) -> None:
    code = f"import sys, {start}; sys.exit({absent!r} in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

    assert done.returncode == 0, done.stderr.decode()[-500:]
