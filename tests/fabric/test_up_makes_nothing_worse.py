"""`consortium up` on a running consortium: nothing that ran stands still afterwards."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from network.consortium.bring_up import BringUp, Limits, open_members
from network.consortium.errors import NodeNotReadyError
from network.consortium.genesis import make_genesis_block
from network.consortium.nodes import Host
from network.fabric.binaries import find_binaries
from network.runtime.progress import TerminalProgress
from tests.support.fabric_network import (
    FabricNetwork,
    environment,
    initialised_network,
    topology_text,
)

pytestmark = pytest.mark.fabric


def bring_up(network: FabricNetwork, *names: str, limits: Limits | None = None) -> BringUp:
    """Return a run of `up` for these members, for all where none is named."""
    directories = open_members(network.root, names)
    return BringUp(
        directories,
        directories[0].topology(),
        Host(find_binaries(environment()), sys.executable, environment()),
        TerminalProgress(quiet=True),
        datetime.now(UTC),
        limits or Limits(),
    )


def test_changed_ports_restart_their_nodes_and_leave_the_others_alone(tmp_path: Path) -> None:
    """Peer, ordering node and chaincode service keep their main ports, which must become free."""
    text = topology_text()
    network = initialised_network(tmp_path / "root", text)
    try:
        network.run("up")
        before = network.pids()
        base = network.topology.member("ucsd").ports.peer
        moved = f"Ports: {{PeerOperations: {base + 47}, OrdererOperations: {base + 48}}}"
        host = "    Host: 127.0.0.1\n"
        assert host in text
        changed = text.replace(host, f"{host}    {moved}\n", 1)
        network = initialised_network(tmp_path / "root", changed)

        found = network.json("up")

        after = network.pids()
        assert found["started"] == 2
        changed_nodes = {name for name in before if before[name] != after[name]}
        assert changed_nodes == {"ucsd peer", "ucsd orderer"}
        with network.member("ucsd").connect() as gateway:
            gateway.contract("rounds").submit("put", "after", "the change")
    finally:
        network.run("stop", expect=None)


def test_member_whose_others_are_late_stays_up_and_goes_on_when_they_come(tmp_path: Path) -> None:
    network = initialised_network(tmp_path / "root")
    try:
        block = make_genesis_block(network.member("ucsd"), find_binaries(environment()))
        for name in ("ucsd", "authority"):
            network.member(name).genesis_block.write_bytes(block)
        alone = bring_up(network, "authority", limits=Limits(gossip_s=2.0))

        with pytest.raises(NodeNotReadyError, match="does not see 3 other peers") as caught:
            alone.run()

        assert "go on running" in caught.value.hint
        before = network.pids()
        assert set(before) == {"authority peer"}
        assert network.json("up")["started"] == 12
        assert before.items() <= network.pids().items()
    finally:
        network.run("stop", expect=None)
