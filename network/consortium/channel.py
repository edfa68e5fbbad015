"""Let nodes join the channel, and wait until they work together.

Joined is not ready: peers find each other by gossip within seconds, and a returned ordering node
may still follow an older leader. A second fault before the ordering nodes agree on the view stops
commits for long, so `wait_ordering` asks for the same view and the same leader on all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from fabric_protos.peer import query_pb2

from network.consortium.errors import NodeNotReadyError
from network.consortium.health import Operations
from network.consortium.member import MemberDirectory
from network.consortium.topology import Topology
from network.gateway.errors import PeerRefusedError
from network.gateway.gateway import Gateway


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


def ordering_view(directory: MemberDirectory, topology: Topology) -> tuple[int, int] | None:
    """Return view number and leader (consenter id) by a member's ordering node, None if unknown."""
    port = topology.member(directory.name).ports.orderer_operations
    metrics = Operations(directory, port).metrics()
    view = metrics.value("consensus_smartbft_view_number", channel=topology.channel)
    leader = metrics.value("consensus_smartbft_view_leader_id", channel=topology.channel)
    if view is None or leader is None:
        return None
    return int(view), int(leader)


def wait_ordering(
    directories: Sequence[MemberDirectory], topology: Topology, *, timeout_s: float
) -> None:
    """Wait until these members' ordering nodes name the same view and the same leader.

    Raises:
        NodeNotReadyError: They do not within the time.
    """

    def agree() -> bool:
        views = {ordering_view(directory, topology) for directory in directories}
        return len(views) == 1 and None not in views

    names = ", ".join(directory.name for directory in directories)
    wait_until(
        f"the ordering nodes of {names}", "do not agree on a leader", agree, timeout_s=timeout_s
    )
