"""Rounds that end without a model: too few, no key, a failed gate; and who is kept out."""

from __future__ import annotations

from peer_client.rounds.decision import Act
from peer_client.studies.study import read_study, suspend
from tests.scenarios.conftest import Make
from tests.support.hospitals import (
    MSPS,
    Consortium,
    digests,
    play,
    play_up_to,
    played_round,
)


def test_too_few_joined_and_the_round_is_abandoned(consortium: Consortium) -> None:
    play(consortium, consortium.parts(1, without=MSPS[:2]))

    record = consortium.records(1).record
    assert record.state == "ABANDONED"
    assert record.reason
    assert record.model_sha256 == ""


def test_too_few_submitted_and_the_round_is_abandoned(memory: Consortium) -> None:
    parts = memory.parts(1)
    play_up_to(memory, parts, "SUBMITTING")

    play(memory, {msp: parts[msp] for msp in MSPS[2:]})

    assert memory.records(1).record.state == "ABANDONED"


def test_after_an_abandoned_round_the_next_one_trains_anew_from_the_old_model(
    memory: Consortium,
) -> None:
    parts = memory.parts(1)
    play_up_to(memory, parts, "SUBMITTING")
    play(memory, {msp: parts[msp] for msp in MSPS[2:]})

    second = played_round(memory, 2)

    assert second.record.state == "PUBLISHED"
    assert second.record.parent_sha256 == memory.study.initial_model_sha256
    assert memory.trainers[MSPS[3]].trained == [1, 2]
    spent = {memory.context(MSPS[3]).journal.upload(memory.study.study, n) is None for n in (1, 2)}
    assert spent == {False}


def test_without_enough_answers_a_majority_gives_the_round_up(memory: Consortium) -> None:
    parts = memory.parts(1)
    play_up_to(memory, parts, "SUMMED")
    for msp in MSPS[:2]:  # a power cut at two hospitals: their sealing keys are gone
        memory.context(msp).sealing_keys.wipe_all_before(2)
    parts = memory.parts(1)

    acts = play(memory, parts)

    records = memory.records(1)
    assert records.record.state == "ABANDONED"
    assert sum(Act.GIVE_UP in done for done in acts.values()) == 3
    assert all(memory.store(msp).read_model(1) is None for msp in MSPS)
    assert played_round(memory, 2).record.state == "PUBLISHED"


def test_a_model_that_makes_most_hospitals_worse_is_rejected(consortium: Consortium) -> None:
    for msp in MSPS[:3]:
        consortium.trainers[msp].auc_after_ppm = 700_000

    rejected = played_round(consortium, 1)
    for msp in MSPS:
        consortium.trainers[msp].auc_after_ppm = 800_000
    following = played_round(consortium, 2)

    assert rejected.record.state == "REJECTED"
    assert following.record.state == "PUBLISHED"
    assert following.record.parent_sha256 == consortium.study.initial_model_sha256
    assert digests(consortium, 2) == {following.record.model_sha256}


def test_one_hospital_alone_cannot_reject_a_model(memory: Consortium) -> None:
    memory.trainers[MSPS[0]].auc_after_ppm = 0

    assert played_round(memory, 1).record.state == "PUBLISHED"


def test_a_suspended_hospital_takes_no_part_and_is_not_waited_for(consortium: Consortium) -> None:
    bad = MSPS[0]
    name = consortium.study.study
    for msp in MSPS[1:3]:
        done = suspend(consortium.ledger(msp), name, bad, "spoilt a round")
        consortium.ledger(msp).wait_everywhere(done.transaction_id, 20.0)
    assert read_study(consortium.ledger(bad), name).suspended == (bad,)

    acts = play(consortium, consortium.parts(1), patient_s=1.0)

    records = consortium.records(1)
    assert records.record.state == "PUBLISHED"
    assert records.joined == MSPS[1:]
    assert Act.JOIN not in acts[bad]
    assert consortium.store(bad).read_model(1) is not None


def test_hospitals_without_masks_leave_the_masks_tensors_as_they_were(
    make_in_memory: Make,
) -> None:
    consortium = make_in_memory(without_masks=MSPS[:2])
    consortium.agree()

    played_round(consortium, 1)

    # Two hospitals with masks are fewer than k = 3: their sum would show each the other's.
    model = consortium.store(MSPS[0]).read_model(1)
    start = consortium.context(MSPS[0]).initial()
    assert model is not None
    assert (model.weights[1200:] == start[1200:]).all()
    assert (model.weights[:1200] != start[:1200]).mean() > 0.9
