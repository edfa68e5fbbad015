"""What was proved once is found again only for the very same record; nothing else is believed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from peer_client.errors import ChainBrokenError, SumMismatchError
from peer_client.rounds import lineage, submission
from peer_client.rounds.decision import Act
from peer_client.rounds.round import HospitalRound
from tests.support.hospitals import MSPS, MemoryConsortium, play, play_up_to, played_round
from tests.support.wrapped_ledger import WrappedLedger


class CountedLedger(WrappedLedger):
    """A hospital's ledger that counts what is asked of it."""

    def __init__(self, ledger: Any) -> None:
        super().__init__(ledger)
        self.asked: list[str] = []

    def evaluate(self, function: str, *args: str) -> bytes:
        self.asked.append(function)
        found: bytes = self._ledger.evaluate(function, *args)
        return found


def test_joins_proved_once_are_read_again_for_any_other_list_of_the_joined(
    consortium: MemoryConsortium,
) -> None:
    play_up_to(consortium, consortium.parts(1), "SUBMITTING")
    ledger = CountedLedger(consortium.ledger(MSPS[0]))
    context, records = consortium.context(MSPS[0], ledger=ledger), consortium.records(1)
    submission.transcript(context, records)
    submission.transcript(context, records)
    assert ledger.asked == ["joins"]

    for lie in ({"joined_sha256": "0" * 64}, {"joined": MSPS[:3]}):
        with pytest.raises(SumMismatchError):
            submission.transcript(context, replace(records, record=replace(records.record, **lie)))
    assert ledger.asked == ["joins"] * 3


def test_joins_that_are_not_those_of_the_summary_are_refused(
    consortium: MemoryConsortium,
) -> None:
    play_up_to(consortium, consortium.parts(1), "SUBMITTING")
    records = consortium.records(1)
    other = replace(records, joins={**records.joins, MSPS[2]: "0" * 64})

    with pytest.raises(SumMismatchError, match=f"the join of {MSPS[2]}"):
        submission.transcript(consortium.context(MSPS[0]), other)


def test_a_joined_without_a_join_of_the_study_is_refused(
    consortium: MemoryConsortium,
) -> None:
    play_up_to(consortium, consortium.parts(1), "SUBMITTING")
    records, stranger = consortium.records(1), "otherMSP"
    lie = replace(records.record, joined=tuple(sorted((*records.record.joined, stranger))))

    with pytest.raises(SumMismatchError, match=f"names {stranger} as joined"):
        submission.transcript(consortium.context(MSPS[0]), replace(records, record=lie))


def test_a_parent_proved_once_serves_no_round_that_names_another(
    consortium: MemoryConsortium,
) -> None:
    """A peer that shows one hospital another parent gets no update made from it."""
    played_round(consortium, 1)
    play_up_to(consortium, consortium.parts(2), "OPEN", 2)
    ledger = CountedLedger(consortium.ledger(MSPS[0]))
    context, record = consortium.context(MSPS[0], ledger=ledger), consortium.records(2).record
    first = lineage.parent_model(context, record)
    ledger.asked.clear()
    assert lineage.parent_model(context, record) is first
    assert ledger.asked == []

    with pytest.raises(ChainBrokenError, match="names the parent 0000000000000000"):
        lineage.parent_model(context, replace(record, parent_sha256="0" * 64))
    before = replace(record, parent_sha256=consortium.study.initial_model_sha256)
    with pytest.raises(ChainBrokenError, match="names the parent"):
        lineage.parent_model(context, before)


def test_a_trained_vector_is_found_again_for_its_own_round_alone(
    consortium: MemoryConsortium,
) -> None:
    parts = consortium.parts(1)
    play_up_to(consortium, parts, "SUBMITTING")
    context = parts[MSPS[0]].context
    stored = context.store.read_trained(1)
    assert context.recall.trained is not None
    number, vector = context.recall.trained
    assert number == 1
    assert stored is not None
    assert np.array_equal(vector, stored)

    records = parts[MSPS[0]].records()
    assert records is not None
    later = replace(records, record=replace(records.record, round=2))
    with pytest.raises(SumMismatchError, match="nothing was trained in round 2"):
        submission._seal(context, later)


def test_every_act_is_decided_from_a_reading_made_for_it(consortium: MemoryConsortium) -> None:
    ledger = CountedLedger(consortium.ledger(MSPS[0]))
    part = consortium.part(MSPS[0], 1, ledger=ledger)
    parts = {**consortium.parts(1, without=[MSPS[0]]), MSPS[0]: part}
    steps: list[int] = []

    def counted() -> Act:
        before = ledger.asked.count("round")
        act = HospitalRound.step(part)
        steps.append(ledger.asked.count("round") - before)
        return act

    part.step = counted  # type: ignore[method-assign]
    play(consortium, parts)

    assert consortium.records(1).record.state == "PUBLISHED"
    assert min(steps) >= 1


def test_a_round_costs_a_hospital_few_readings(consortium: MemoryConsortium) -> None:
    """One for each step and one more before the answer: a bound, so that no change adds many."""
    ledger = CountedLedger(consortium.ledger(MSPS[0]))
    parts = consortium.parts(1)
    parts[MSPS[0]] = consortium.part(MSPS[0], 1, ledger=ledger)

    acts = play(consortium, parts)[MSPS[0]]

    waits = ledger.asked.count("round") - len(acts) - 2
    assert waits <= 10, ledger.asked
    assert ledger.asked.count("joins") == 1
    assert ledger.asked.count("share_sums") <= 1
