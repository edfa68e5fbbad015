"""Up to N - T hospitals vanish at any step, and the round still publishes."""

from __future__ import annotations

import pytest

from peer_client.rounds.decision import Act
from peer_client.rounds.records import RoundRecords
from peer_client.rounds.round import HospitalRound
from tests.scenarios.conftest import Make
from tests.support.hospitals import MSPS, Consortium, digests, play, play_up_to

SEVEN = tuple(f"H{n}MSP" for n in range(7))
STEPS = [Act.TRAIN, Act.SUBMIT, Act.ANSWER, Act.APPLY, Act.CONFIRM]


class Vanishing(HospitalRound):
    """A hospital that is gone just before it would do one act."""

    before: Act

    def _decide(self, records: RoundRecords | None) -> Act:
        act = super()._decide(records)
        return Act.DONE if act is self.before else act


def vanishing(consortium: Consortium, msp: str, act: Act) -> Vanishing:
    part = Vanishing(consortium.context(msp), 1, consortium.active())
    part.before = act
    return part


@pytest.mark.parametrize("act", [Act.JOIN, *STEPS], ids=lambda act: act.name)
def test_one_of_four_vanishes_and_the_others_publish(memory: Consortium, act: Act) -> None:
    parts = {**memory.parts(1), MSPS[0]: vanishing(memory, MSPS[0], act)}

    play(memory, parts)

    records = memory.records(1)
    assert records.record.state == "PUBLISHED"
    contributed = act not in (Act.JOIN, Act.TRAIN, Act.SUBMIT)
    assert (MSPS[0] in records.contributors) == contributed
    assert digests(memory, 1) == {records.record.model_sha256}


@pytest.mark.parametrize("act", STEPS, ids=lambda act: act.name)
def test_two_of_seven_vanish_and_the_others_publish(make_in_memory: Make, act: Act) -> None:
    consortium = make_in_memory(msps=SEVEN)
    consortium.agree()
    parts = consortium.parts(1)
    for msp in SEVEN[2:4]:
        parts[msp] = vanishing(consortium, msp, act)

    play(consortium, parts)

    assert consortium.records(1).record.state == "PUBLISHED"


def test_one_vanishes_after_submitting_on_either_ledger(consortium: Consortium) -> None:
    parts = {**consortium.parts(1), MSPS[1]: vanishing(consortium, MSPS[1], Act.ANSWER)}

    play(consortium, parts)

    records = consortium.records(1)
    assert records.record.state == "PUBLISHED"
    assert records.contributors == MSPS
    assert MSPS[1] not in records.view().answered


def test_a_hospital_that_was_away_comes_back_answers_late_and_has_the_model(
    memory: Consortium,
) -> None:
    parts = {**memory.parts(1), MSPS[1]: vanishing(memory, MSPS[1], Act.ANSWER)}
    play_up_to(memory, parts, "OPENED")
    parts[MSPS[1]] = memory.part(MSPS[1], 1)

    acts = play(memory, parts)

    records = memory.records(1)
    assert Act.ANSWER in acts[MSPS[1]]
    assert set(records.view().answered) == set(MSPS)
    model = memory.store(MSPS[1]).read_model(1)
    assert model is not None


def test_a_hospital_that_missed_a_round_makes_its_model_before_the_next(
    memory: Consortium,
) -> None:
    away = MSPS[2]
    play(memory, memory.parts(1, without=[away]))

    play(memory, memory.parts(2))

    records = memory.records(2)
    assert away in records.contributors
    assert memory.store(away).read_model(1) is not None
    assert digests(memory, 2) == {records.record.model_sha256}


def test_a_hospital_that_submits_late_is_left_out_and_still_answers(
    consortium: Consortium,
) -> None:
    late = MSPS[3]
    parts = {**consortium.parts(1), late: vanishing(consortium, late, Act.SUBMIT)}
    play_up_to(consortium, parts, "SUMMED")
    parts[late] = consortium.part(late, 1)

    acts = play(consortium, parts)

    records = consortium.records(1)
    assert records.record.state == "PUBLISHED"
    assert records.contributors == MSPS[:3]
    assert Act.ANSWER in acts[late]
    assert Act.SUBMIT not in acts[late]
