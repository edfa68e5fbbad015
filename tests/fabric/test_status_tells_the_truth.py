"""An ordering that stands still is not called healthy, although its nodes say they are."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from network.consortium.bring_up import open_members
from network.consortium.status import MemberStatus, consortium_status
from network.errors import NetworkError
from network.gateway.settings import Timeouts
from tests.support.fabric_network import FabricNetwork, running_network

pytestmark = pytest.mark.fabric


#: As long as the ordering may stand still until the status shows it.
SHORT = Timeouts(submit_s=15.0, commit_status_s=15.0)


def put(network: FabricNetwork, value: str) -> str:
    """Write a value; return the error's name, empty where it was written."""
    try:
        with network.member("ucsd").connect_own("client", SHORT) as gateway:
            gateway.contract("rounds").submit("put", "key", value)
    except NetworkError as error:
        return type(error).__name__
    return ""


def status_until(network: FabricNetwork, words: str) -> tuple[MemberStatus, ...]:
    """Look at all members until some problem has these words."""
    deadline = time.monotonic() + 60
    while True:
        found = consortium_status(open_members(network.root), grace_s=0.0, stall_s=3.0)
        if any(words in problem for one in found for problem in one.problems):
            return found
        assert time.monotonic() < deadline, found


def test_requests_without_a_quorum_are_shown_as_a_standstill(tmp_path: Path) -> None:
    with running_network(tmp_path / "root") as network, ThreadPoolExecutor(1) as pool:
        assert put(network, "before") == ""
        assert {one.problems for one in consortium_status(open_members(network.root))} == {()}
        pids = network.pids()
        frozen = [pids["moscow1 orderer"], pids["moscow2 orderer"]]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            waiting = pool.submit(put, network, "while two of four are frozen")
            found = status_until(network, "requests wait")
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        waiting.result()

    states = {f"{one.member} {node.kind}": node.state for one in found for node in one.nodes}
    assert states["ucsd orderer"] == states["saopaulo orderer"] == "stuck"
    assert states["moscow1 orderer"] == states["moscow2 orderer"] == "unhealthy"
    assert states["ucsd peer"] == "healthy"
