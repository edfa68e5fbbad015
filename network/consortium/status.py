"""How a consortium is: every member's nodes, heights, leader, versions, approvals, memory.

Looks and changes nothing. What does not answer is reported as such, never guessed; what says that
it is healthy but stands still is called stuck (`network.consortium.ordering_health`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from network.consortium.channel import chain_level, read_ordering_node
from network.consortium.lifecycle import query_committed
from network.consortium.member import ORDERER, PEER, MemberDirectory
from network.consortium.nodes import Node, nodes_of
from network.consortium.ordering_health import STALL_S, OrderingNode, ordering_problems
from network.consortium.participation import Participation
from network.consortium.topology import Topology
from network.errors import NetworkError
from network.gateway.gateway import Gateway
from network.wire.block import read_block

#: A node that was just started, or a leader that died, is level and agreed within this time.
GRACE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One process."""

    kind: str
    state: str  # healthy, stuck, unhealthy or stopped
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
    ordering: OrderingNode | None  # None: it runs no ordering node that answers
    last_block_age_s: float | None  # by its own peer; None where it does not answer
    problems: tuple[str, ...] = ()  # what stands still, and what to do

    def as_json(self) -> dict[str, Any]:
        """Return it with plain values."""
        return asdict(self)


def member_status(
    directory: MemberDirectory, *, now_s: Callable[[], float] = time.time
) -> MemberStatus:
    """Look at one member; what it lacks beside the others is not judged here."""
    topology = directory.topology()
    member = topology.member(directory.name)
    nodes = tuple(_node_status(node, topology) for node in nodes_of(directory, topology))
    orders = any(node.kind == ORDERER and node.state == "healthy" for node in nodes)
    ordering = read_ordering_node(directory, topology) if orders else None
    view = ordering.view if ordering else None
    committed = None
    last_block_age_s = None
    if any(node.kind == PEER and node.state == "healthy" for node in nodes):
        try:
            with directory.connect_own("Admin") as gateway:
                committed = query_committed(gateway, topology.chaincode.name)
                last_block_age_s = now_s() - _last_block_s(gateway)
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
        ordering=ordering,
        last_block_age_s=last_block_age_s,
    )


def consortium_status(
    directories: Sequence[MemberDirectory], *, grace_s: float = GRACE_S, stall_s: float = STALL_S
) -> tuple[MemberStatus, ...]:
    """Look at several members at once, and at what stands still.

    Args:
        directories: The members of this machine.
        grace_s: How long nodes that lag, or change their view, are looked at again.
        stall_s: Age of the last block from which on waiting requests show a standstill.
    """
    topology = directories[0].topology()
    is_everyone = len(directories) == len(topology.members)
    deadline = time.monotonic() + grace_s
    level = 0 if is_everyone else chain_level(directories[0], ask_others=True)
    with ThreadPoolExecutor(max_workers=max(len(directories), 1)) as pool:
        found = tuple(pool.map(member_status, directories))
        level = max(level, *(_heights(found)), 0)
        while True:
            judged = judge(found, level=level, stall_s=stall_s)
            if not any(one.problems for one in judged) or time.monotonic() > deadline:
                return judged
            time.sleep(0.2)
            found = tuple(pool.map(member_status, directories))


def judge(
    found: Sequence[MemberStatus], *, level: int, stall_s: float = STALL_S
) -> tuple[MemberStatus, ...]:
    """Return the same with what stands still: nodes called stuck, and the problems in words.

    Args:
        found: The members, as they were looked at.
        level: Blocks that some node had before.
        stall_s: See `ordering_problems`.
    """
    ages = [one.last_block_age_s for one in found if one.last_block_age_s is not None]
    nodes = [one.ordering for one in found if one.ordering]
    problems = ordering_problems(
        nodes, level=level, last_block_age_s=min(ages, default=None), stall_s=stall_s
    )
    judged = []
    for one in found:
        texts = [problem.text for problem in problems if problem.member == one.member]
        stuck = {ORDERER} if texts else set()
        for node in one.nodes:
            if node.kind == PEER and node.state == "healthy" and (node.height or 0) < level:
                stuck.add(PEER)
                texts.append(f"its peer has {node.height or 'no'} of {level} blocks")
        states = tuple(
            replace(node, state="stuck") if node.kind in stuck else node for node in one.nodes
        )
        judged.append(replace(one, nodes=states, problems=tuple(texts)))
    return tuple(judged)


def _heights(found: Sequence[MemberStatus]) -> list[int]:
    return [node.height for one in found for node in one.nodes if node.height is not None]


def _last_block_s(gateway: Gateway) -> float:
    """Return when the newest transaction of the last block was proposed, seconds since 1970."""
    number = str(gateway.height() - 1)
    answer = gateway.process("qscc", ["GetBlockByNumber", gateway.channel, number], gateway.channel)
    return float(max((row.timestamp_s for row in read_block(answer).transactions), default=0))


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
