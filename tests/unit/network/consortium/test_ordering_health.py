"""What stands still is named, whatever a node says of itself."""

from __future__ import annotations

import pytest

from network.consortium.member import ORDERER, PEER
from network.consortium.ordering_health import STALL_S, OrderingNode, ordering_problems
from network.consortium.status import MemberStatus, NodeStatus, judge

NAMES = ("ucsd", "saopaulo", "moscow1", "moscow2")


def nodes(
    heights: tuple[int | None, ...] = (72, 72, 72, 72),
    views: tuple[tuple[int, int] | None, ...] = ((3, 1),) * 4,
    waiting: int = 0,
    relation: str = "consenter",
) -> list[OrderingNode]:
    """Return four ordering nodes."""
    return [
        OrderingNode(name, height, relation, view, waiting)
        for name, height, view in zip(NAMES, heights, views, strict=True)
    ]


def members_named(found: list[OrderingNode], level: int = 72, age_s: float = 1.0) -> list[str]:
    """Return whose nodes stand still."""
    problems = ordering_problems(found, level=level, last_block_age_s=age_s)
    return [problem.member for problem in problems]


def test_level_nodes_in_one_view_work_however_old_the_last_block_is() -> None:
    assert members_named(nodes(), age_s=1e6) == []
    assert members_named(nodes(waiting=3), age_s=5.0) == []


def test_node_that_lags_is_named_with_both_heights_and_what_to_do() -> None:
    found = nodes(heights=(28, 72, 72, 72))

    (problem,) = ordering_problems(found, level=72, last_block_age_s=1.0)

    assert problem.member == "ucsd"
    assert "28 of 72 blocks" in problem.text
    assert "consortium stop --member ucsd" in problem.text


def test_node_alone_is_compared_with_the_chain_and_not_with_itself() -> None:
    alone = nodes(heights=(28, 72, 72, 72))[:1]

    assert members_named(alone, level=28) == []
    assert members_named(alone, level=29) == ["ucsd"]


def test_node_in_a_view_of_its_own_is_named_and_where_no_view_has_most_all_are() -> None:
    assert members_named(nodes(views=((3, 1), (3, 1), (2, 4), (3, 1)))) == ["moscow1"]
    assert members_named(nodes(views=((2, 3), (1, 2), (3, 4), (4, 1)))) == list(NAMES)
    assert members_named(nodes(views=((3, 1), (3, 1), (3, 1), None))) == ["moscow2"]


def test_requests_that_wait_beside_an_old_block_show_a_standstill() -> None:
    found = nodes(waiting=12)

    assert members_named(found, age_s=STALL_S - 1) == []
    assert members_named(found, age_s=STALL_S) == list(NAMES)
    (first, *_) = ordering_problems(found, level=72, last_block_age_s=720.0)
    assert "12 requests wait" in first.text
    assert "720 s old" in first.text


@pytest.mark.parametrize("relation", ["follower", "config-tracker", ""])
def test_node_that_takes_no_part_is_named(relation: str) -> None:
    assert members_named(nodes(relation=relation)) == list(NAMES)


def member(name: str, *, orderer_height: int, peer_height: int, state: str) -> MemberStatus:
    """Return a member as it was looked at."""
    return MemberStatus(
        member=name,
        msp_id=f"{name}MSP",
        role="hospital",
        nodes=(
            NodeStatus(ORDERER, state, 1, 0, "", orderer_height, {}),
            NodeStatus(PEER, "healthy", 2, 0, "3.1.1", peer_height, {}),
        ),
        view=3,
        leader="ucsd",
        chaincode="rounds 1",
        sequence=1,
        approved=True,
        ordering=(
            OrderingNode(name, orderer_height, "consenter", (3, 1), 0)
            if state == "healthy"
            else None
        ),
        last_block_age_s=5.0,
    )


def test_what_stands_still_is_not_called_healthy() -> None:
    found = [
        member("ucsd", orderer_height=28, peer_height=72, state="healthy"),
        member("saopaulo", orderer_height=72, peer_height=60, state="healthy"),
        member("moscow1", orderer_height=28, peer_height=72, state="stopped"),
    ]

    judged = judge(found, level=72)

    states = [[node.state for node in one.nodes] for one in judged]
    assert states == [["stuck", "healthy"], ["healthy", "stuck"], ["stopped", "healthy"]]
    assert ["28 of 72" in " ".join(one.problems) for one in judged] == [True, False, False]
    assert judged[1].problems == ("its peer has 60 of 72 blocks",)
    assert judged[0].as_json()["problems"] == judged[0].problems
