"""Does the ordering go on? What each node says of itself, judged beside what the others have.

A node calls itself healthy while it lags forever or waits in a view of its own, so its word is not
enough: its height is compared with the peers', its view and leader with the other ordering nodes',
and the last block's age with the requests that wait. Rules alone; the looking is in
`network.consortium.status`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from network.clock import TIME_WINDOW_S

#: A block is cut 50 ms after a request came, a leader's death costs seconds. A block has the time
#: of its proposals, which may be this far off.
STALL_S: Final = 30.0 + TIME_WINDOW_S
CONSENTER: Final = "consenter"

_RESTART = "`consortium stop --member {member}`, then `up --member {member}`, makes it fetch them"


@dataclass(frozen=True, slots=True)
class OrderingNode:
    """What a member's ordering node says of itself.

    Attributes:
        member: Whose node it is.
        height: Blocks it has; None where it did not say.
        relation: "consenter" where it takes part in the ordering of the channel.
        view: Number of the view it is in and its leader's consenter id; None where unknown.
        waiting: Requests that it has taken and that are in no block yet.
    """

    member: str
    height: int | None
    relation: str
    view: tuple[int, int] | None
    waiting: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that stands still: whose node, what, and what to do."""

    member: str
    text: str


def ordering_problems(
    nodes: Sequence[OrderingNode],
    *,
    level: int,
    last_block_age_s: float | None,
    stall_s: float = STALL_S,
) -> tuple[Problem, ...]:
    """Return what stands still among these ordering nodes; nothing where the ordering works.

    Args:
        nodes: The ordering nodes that answer.
        level: Blocks that some peer or ordering node had a moment before they were asked.
        last_block_age_s: Seconds since the newest block's transactions were proposed; None where
            it is not known.
        stall_s: From this age on, requests that wait show that no blocks are made.
    """
    found = []
    views = Counter(node.view for node in nodes)
    most = max(views.values(), default=0)
    for node in nodes:
        if node.relation != CONSENTER:
            found.append(
                Problem(
                    node.member,
                    f"its ordering node takes no part in the ordering ({node.relation or 'unknown'}"
                    "): its certificate may not be the one that the channel names",
                )
            )
        elif node.height is None or node.height < level:
            blocks = "no" if node.height is None else str(node.height)
            found.append(
                Problem(
                    node.member,
                    f"its ordering node has {blocks} of {level} blocks and does not catch up; "
                    + _RESTART.format(member=node.member),
                )
            )
        elif node.view is None:
            found.append(Problem(node.member, "its ordering node is in no view yet"))
        elif len(views) > 1 and (views[node.view] < most or list(views.values()).count(most) > 1):
            found.append(
                Problem(
                    node.member,
                    f"its ordering node is in view {node.view[0]} under leader {node.view[1]}, "
                    "others in another; if it stays so, stop and start it, one node after another",
                )
            )
        elif node.waiting and last_block_age_s is not None and last_block_age_s >= stall_s:
            found.append(
                Problem(
                    node.member,
                    f"{node.waiting} requests wait at its ordering node and the last block is "
                    f"{last_block_age_s:.0f} s old: the ordering stands still. See that more than "
                    "two thirds of all ordering nodes run and reach each other; if they do, "
                    "stop and start all of them",
                )
            )
    return tuple(found)
