"""The contract counts the sums that were opened from one parent without a model."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.chaincode.contract.played import MSPS, Played, make_study

WORSE: dict[str, Any] = {"metrics_ppm": {"auc_before": 700_000, "auc_after": 500_000}, "vote": 0}


def counted(played: Played, number: int) -> tuple[int, int]:
    """What a round says of sums opened before it, and of the most contributors in one."""
    record = played.round(number)
    return record.opened_before, record.contributors_before


def rejected(played: Played, number: int, *, without: int = 0) -> Played:
    """Play a round whose model the hospitals vote against, the last ones not contributing."""
    played.open(number).join(number=number).close(number)
    there = MSPS[: len(MSPS) - without]
    played.update(*there, number=number).wait(600).aggregate(number)
    return (
        played.answer(number=number)
        .record_key(number=number)
        .confirm(number=number, **WORSE)
        .publish(number)
    )


def given_up(played: Played, number: int, answers: int) -> Played:
    """Play a round that is given up after some share sums came."""
    played.open(number).join(number=number).close(number).update(number=number).aggregate(number)
    if answers:
        played.answer(*MSPS[:answers], number=number)
    for msp in MSPS[:3]:
        played.submit(msp, "give_up", "lungs", number, "no key opens it")
    return played


def test_the_first_round_repeats_nothing() -> None:
    assert counted(Played().to_open(), 1) == (0, 0)


def test_a_rejected_round_has_opened_its_sum() -> None:
    played = rejected(Played().agree(), 1)

    assert counted(played.open(2), 2) == (1, 4)


def test_sums_from_one_parent_add_up_and_the_largest_is_kept() -> None:
    played = rejected(rejected(Played().agree(), 1), 2, without=1)

    assert counted(played.open(3), 3) == (2, 4)


def test_a_published_model_is_a_new_parent() -> None:
    played = rejected(Played(study=make_study(rounds=3)).agree(), 1)
    played.open(2).join(number=2).close(2).update(number=2).aggregate(2)
    played.answer(number=2).record_key(number=2).confirm(number=2).publish(2)

    assert counted(played.open(3), 3) == (0, 0)


@pytest.mark.parametrize(("answers", "opened"), [(4, 1), (3, 1), (2, 1), (1, 0), (0, 0)])
def test_a_round_given_up_counts_where_hospitals_that_cheat_could_open_it(
    answers: int, opened: int
) -> None:
    """T is 3 and one hospital may cheat: with two answers and its own it has the sum."""
    played = given_up(Played().agree(), 1, answers)
    assert played.aggregate_record().cheating_max == 1

    assert counted(played.open(2), 2) == (opened, 4 * opened)


def test_reports_of_unopened_boxes_open_nothing() -> None:
    played = Played().to_summed()
    digest = played.aggregate_record().digest
    for msp in MSPS[:3]:
        played.submit(msp, "submit_share_sum", "lungs", 1, digest, f'["{MSPS[3]}"]')
        played.submit(msp, "give_up", "lungs", 1, "boxes do not open")

    assert counted(played.open(2), 2) == (0, 0)


def test_a_round_abandoned_before_its_sum_opens_nothing() -> None:
    played = rejected(Played().agree(), 1).open(2).wait(60)
    played.submit(MSPS[0], "abandon", "lungs", 2, "nobody joined")

    assert counted(played.open(3), 3) == (1, 4)
