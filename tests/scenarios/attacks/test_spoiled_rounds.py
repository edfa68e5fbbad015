"""A contributor spoils round after round: each leaves it an opened sum from one and the same model.

It sends values out of range, so nobody gets a model, but it knows its own values and keeps the sum
of the others exactly. The next round starts from the same parent; with another hospital away the
difference of two such sums is that hospital's update and the others' noise of training again. After
two opened sums from one parent a hospital's client stops and asks a person, and it answers for no
sum that is smaller than one before.
"""

from __future__ import annotations

import pytest

from peer_client.errors import SpoiledParentError
from peer_client.rounds import answering, round, spoiled_parent
from peer_client.sealing.errors import ShareRefusedError, SmallerSumError
from tests.support.hospitals import MSPS, MemoryConsortium, play
from tests.support.spoiled_round import SPOILER, spoiled

HONEST = MSPS[:3]


@pytest.fixture
def consortium(memory: MemoryConsortium) -> MemoryConsortium:
    return memory


def test_a_third_sum_from_one_parent_needs_a_person(consortium: MemoryConsortium) -> None:
    for number in (1, 2):
        spoiled(consortium, number)
        assert consortium.records(number).record.state == "REJECTED"
    consortium.ledger(SPOILER).submit("open_round", consortium.study.study, "3")
    assert consortium.records(3).record.opened_before == 2
    assert consortium.records(3).record.contributors_before == 4

    for msp in HONEST:
        with pytest.raises(SpoiledParentError, match="from which 2 sums were opened"):
            consortium.part(msp, 3).step()

    assert consortium.records(3).joined == ()
    for msp in MSPS:  # each hospital's person decides for that hospital
        record = consortium.records(3).record
        consortium.store(msp).accept(record.parent_sha256, record.opened_before)
    play(consortium, consortium.parts(3))
    assert consortium.records(3).record.state == "PUBLISHED"


def test_a_decision_holds_for_one_more_sum(consortium: MemoryConsortium) -> None:
    for number in (1, 2):
        spoiled(consortium, number)
    parent = consortium.records(2).record.parent_sha256
    for msp in MSPS:
        consortium.store(msp).accept(parent, 2)
    spoiled(consortium, 3)
    consortium.ledger(SPOILER).submit("open_round", consortium.study.study, "4")

    with pytest.raises(SpoiledParentError, match="from which 3 sums were opened"):
        consortium.part(HONEST[0], 4).step()


def test_switched_off_limit_gives_a_third_sum_and_more(
    consortium: MemoryConsortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert round.check_parent is spoiled_parent.check_parent
    monkeypatch.setattr(round, "check_parent", lambda *args: None)

    for number in (1, 2, 3):
        spoiled(consortium, number)

    assert [consortium.records(n).record.opened_before for n in (1, 2, 3)] == [0, 1, 2]
    assert consortium.records(3).round_key is not None


def test_a_smaller_sum_from_the_same_parent_is_not_answered_for(
    consortium: MemoryConsortium,
) -> None:
    spoiled(consortium, 1)
    away = HONEST[0]
    parts = consortium.parts(2, without=[away])

    play(consortium, parts)

    records = consortium.records(2)
    assert records.record.contributors_before == 4
    assert records.contributors == tuple(msp for msp in MSPS if msp != away)
    assert records.record.state == "ABANDONED"
    assert records.answers == {}
    assert issubclass(SmallerSumError, ShareRefusedError)


def test_switched_off_size_of_the_sum_lets_a_hospital_be_left_out(
    consortium: MemoryConsortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled(consortium, 1)
    assert answering.check_sum_size is spoiled_parent.check_sum_size
    monkeypatch.setattr(answering, "check_sum_size", lambda *args: None)

    spoiled(consortium, 2, without=[HONEST[0]])

    records = consortium.records(2)
    assert len(records.contributors) == 3
    assert records.round_key is not None
