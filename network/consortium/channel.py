"""Let nodes join the channel, and wait until they work together.

Joined is not ready: peers find each other by gossip within seconds, and a returned ordering node
may still lack blocks or follow an older leader. A second fault before the ordering nodes agree on
the view stops commits for long, so `wait_ordering` asks for the same view and leader on all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from fabric_protos.peer import query_pb2

from network.consortium.errors import NodeNotReadyError
from network.consortium.health import Operations
from network.consortium.member import MemberDirectory
from network.consortium.ordering_health import OrderingNode, Problem, ordering_problems
from network.consortium.participation import Participation
from network.consortium.topology import Topology
from network.errors import NetworkError
from network.gateway.errors import PeerRefusedError
from network.gateway.gateway import Gateway
from network.gateway.settings import Timeouts

#: A node that has not said its height after so many seconds is left out.
HEIGHT_S: Final = 5.0


def joined_channels(gateway: Gateway) -> tuple[str, ...]:
    """Return the channels that the gateway's own peer follows."""
    answer = gateway.process("cscc", ["GetChannels"])
    found = query_pb2.ChannelQueryResponse.FromString(answer)
    return tuple(channel.channel_id for channel in found.channels)


def join_peer(gateway: Gateway, channel: str, block: bytes) -> None:
    """Let the gateway's own peer join, unless it has.

    Raises:
        PeerRefusedError: The peer refuses.
    """
    if channel in joined_channels(gateway):
        return
    try:
        gateway.process("cscc", ["JoinChain", block])
    except PeerRefusedError:
        if channel not in joined_channels(gateway):
            raise


def wait_until(node: str, problem: str, ready: Callable[[], bool], *, timeout_s: float) -> None:
    """Ask again and again until `ready()`.

    Raises:
        NodeNotReadyError: It was not within the time: "`node` `problem` after ... s".
    """
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            raise NodeNotReadyError(node, f"{problem} after {timeout_s:.0f} s")
        time.sleep(0.05)


def wait_gossip(
    directories: Sequence[MemberDirectory], topology: Topology, others_min: int, *, timeout_s: float
) -> None:
    """Wait until each of these members' peers sees `others_min` others on the channel.

    Raises:
        NodeNotReadyError: One does not within the time.
    """
    for directory in directories:
        member = topology.member(directory.name)
        operations = Operations(directory, member.ports.peer_operations)

        def sees_others(operations: Operations = operations) -> bool:
            known = operations.metrics().value(
                "gossip_membership_total_peers_known", channel=topology.channel
            )
            return known is not None and known >= others_min

        wait_until(
            f"the peer of {member.name}",
            f"does not see {others_min} other peers",
            sees_others,
            timeout_s=timeout_s,
        )


def read_ordering_node(directory: MemberDirectory, topology: Topology) -> OrderingNode:
    """Ask a member's ordering node how it stands; what it does not answer is left empty."""
    member = topology.member(directory.name)
    try:
        answer = Participation(directory, member, HEIGHT_S).channel(topology.channel) or {}
    except (OSError, NetworkError):
        answer = {}
    metrics = Operations(directory, member.ports.orderer_operations).metrics()
    view, leader, waiting = (
        metrics.value(f"consensus_smartbft_{name}", channel=topology.channel)
        for name in ("view_number", "view_leader_id", "pool_count_of_elements")
    )
    return OrderingNode(
        member=member.name,
        height=int(answer["height"]) if "height" in answer else None,
        relation=str(answer.get("consensusRelation", "")),
        view=None if view is None or leader is None else (int(view), int(leader)),
        waiting=int(waiting or 0),
    )


def chain_level(directory: MemberDirectory, *, ask_others: bool) -> int:
    """Return the greatest height that this member's peer has, or any other that answers.

    Args:
        directory: The member that asks.
        ask_others: Ask the other members' peers too: where this member is alone on its host, they
            alone show how far the chain is.
    """
    timeouts = Timeouts(process_s=HEIGHT_S)
    gateways = [directory.connect_own("Admin", timeouts)]
    if ask_others:
        gateways += directory.other_gateways("Admin", timeouts)
    try:
        with ThreadPoolExecutor(max_workers=len(gateways)) as pool:
            return max(pool.map(_height, gateways))
    finally:
        for gateway in gateways:
            gateway.close()


def _height(gateway: Gateway) -> int:
    try:
        return gateway.height()
    except NetworkError:
        return 0


def wait_ordering(
    directories: Sequence[MemberDirectory], topology: Topology, *, timeout_s: float
) -> None:
    """Wait until these members' ordering nodes are level and in one view under one leader.

    A node alone on its host is compared with its own peer and with the other members' peers,
    never with itself.

    Raises:
        NodeNotReadyError: They are not within the time.
    """
    level = chain_level(directories[0], ask_others=len(directories) < len(topology.orderers))
    problems: tuple[Problem, ...] = ()

    def works() -> bool:
        nonlocal problems
        nodes = [read_ordering_node(directory, topology) for directory in directories]
        problems = ordering_problems(nodes, level=level, last_block_age_s=None)
        return not problems

    try:
        wait_until("the ordering", "does not work", works, timeout_s=timeout_s)
    except NodeNotReadyError:
        texts = "; ".join(f"{problem.member}: {problem.text}" for problem in problems)
        raise NodeNotReadyError(
            "the ordering", f"does not work after {timeout_s:.0f} s: {texts}"
        ) from None
