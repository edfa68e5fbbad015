"""How a consortium is: every member's nodes, heights, leader, versions, approvals, memory.

Looks and changes nothing. What does not answer is reported as such, never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from network.consortium.channel import ordering_view
from network.consortium.lifecycle import query_committed
from network.consortium.member import ORDERER, PEER, MemberDirectory
from network.consortium.nodes import Node, nodes_of
from network.consortium.participation import Participation
from network.consortium.topology import Topology
from network.errors import NetworkError


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One process."""

    kind: str
    state: str  # healthy, unhealthy or stopped
    pid: int | None
    resident_bytes: int
    fabric_version: str
    height: int | None  # blocks; None where it has no ledger or does not answer
    ports: dict[str, int]


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """One member."""

    member: str
    msp_id: str
    role: str
    nodes: tuple[NodeStatus, ...]
    view: int | None  # the view its ordering node is in
    leader: str | None  # the member whose ordering node leads, by its own ordering node
    chaincode: str | None  # name and version in force, by its own peer
    sequence: int | None
    approved: bool | None

    def as_json(self) -> dict[str, Any]:
        """Return it with plain values."""
        return asdict(self)


def member_status(directory: MemberDirectory) -> MemberStatus:
    """Look at one member."""
    topology = directory.topology()
    member = topology.member(directory.name)
    nodes = tuple(_node_status(node, topology) for node in nodes_of(directory, topology))
    view = ordering_view(directory, topology) if member.orderer_hostname else None
    committed = None
    if any(node.kind == PEER and node.state == "healthy" for node in nodes):
        try:
            with directory.connect_own("Admin") as gateway:
                committed = query_committed(gateway, topology.chaincode.name)
        except NetworkError:
            committed = None
    leader = None
    if view is not None and 1 <= view[1] <= len(topology.orderers):
        leader = topology.orderers[view[1] - 1].name  # consenter ids count from 1 in file order
    approved = committed.approvals.get(member.msp_id, False) if committed else None
    return MemberStatus(
        member=member.name,
        msp_id=member.msp_id,
        role=member.role,
        nodes=nodes,
        view=None if view is None else view[0],
        leader=leader,
        chaincode=f"{topology.chaincode.name} {committed.version}" if committed else None,
        sequence=committed.sequence if committed else None,
        approved=approved if member.is_hospital else None,
    )


def consortium_status(directories: Sequence[MemberDirectory]) -> tuple[MemberStatus, ...]:
    """Look at several members at once."""
    with ThreadPoolExecutor(max_workers=max(len(directories), 1)) as pool:
        return tuple(pool.map(member_status, directories))


def _node_status(node: Node, topology: Topology) -> NodeStatus:
    process = node.process()
    operations = node.operations
    healthy = process is not None and (operations is None or operations.is_healthy())
    height = None
    if healthy and node.kind == PEER and operations:
        value = operations.metrics().value("ledger_blockchain_height", channel=topology.channel)
        height = None if value is None else int(value)
    elif healthy and node.kind == ORDERER:
        try:
            found = Participation(node.directory, node.member).channel(topology.channel)
            height = int(found["height"]) if found else None
        except (OSError, NetworkError, KeyError):
            height = None
    return NodeStatus(
        kind=node.kind,
        state="stopped" if process is None else "healthy" if healthy else "unhealthy",
        pid=process.pid if process else None,
        resident_bytes=process.resident_bytes() if process else 0,
        fabric_version=operations.version() if healthy and operations else "",
        height=height,
        ports={key: port for _, key, port in node.ports()},
    )
