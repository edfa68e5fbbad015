"""Ports are checked before use; metrics are read as they are written."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from network.consortium.channel import wait_until
from network.consortium.errors import AddressError, NodeNotReadyError, PortInUseError
from network.consortium.health import Metrics, Operations
from network.consortium.member import MemberDirectory
from network.consortium.ports import check_free, is_listening


def test_port_of_another_program_is_named_with_its_key() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(PortInUseError) as caught:
            check_free("127.0.0.1", [("Orderer", port)], member="ucsd")

        assert is_listening("127.0.0.1", port)
    assert (caught.value.port, caught.value.owner) == (port, "ucsd Ports.Orderer")
    assert str(port) in caught.value.hint
    check_free("127.0.0.1", [("Orderer", port)], member="ucsd")
    assert not is_listening("127.0.0.1", port)


def test_port_that_is_closed_in_time_is_waited_for() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        closing = threading.Timer(0.3, other.close)
        closing.start()

        check_free("127.0.0.1", [("Orderer", port)], member="ucsd", timeout_s=30)

        closing.join()


def test_address_of_another_machine_is_told_from_a_port_in_use() -> None:
    with pytest.raises(AddressError, match=r"192\.0\.2\.1"):  # TEST-NET-1, RFC 5737
        check_free("192.0.2.1", [("Peer", 17000)], member="ucsd")


def test_metrics_are_found_by_name_and_labels() -> None:
    text = (
        "# HELP x y\n"
        'ledger_blockchain_height{channel="a"} 3\n'
        'ledger_blockchain_height{channel="b"} 4\n'
        "plain 1.5e+06\n"
        "broken line here now\n"
    )
    metrics = Metrics.parse(text)

    assert metrics.value("ledger_blockchain_height", channel="b") == 4
    assert metrics.value("plain") == 1.5e6
    assert metrics.value("ledger_blockchain_height", channel="c") is None


def test_node_that_does_not_answer_is_not_healthy(provisioned: Path) -> None:
    operations = Operations(MemberDirectory(provisioned / "ucsd"), 1, timeout_s=0.2)

    assert not operations.is_healthy()
    assert operations.version() == ""
    assert operations.metrics().samples == ()


def test_waiting_says_for_what_it_waited() -> None:
    started = time.monotonic()

    with pytest.raises(NodeNotReadyError, match=r"the peer of x does not see y after 0 s"):
        wait_until("the peer of x", "does not see y", lambda: False, timeout_s=0.1)

    assert time.monotonic() - started < 5
