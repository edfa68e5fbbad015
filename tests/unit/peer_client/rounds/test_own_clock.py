"""A hospital takes a phase for over by its own clock, whatever the ledger's says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from peer_client.rounds.own_clock import (
    answer_from_s,
    check_may_answer,
    check_may_submit,
    end_of_s,
    left_out,
    submit_from_s,
)
from peer_client.rounds.records import RoundRecords
from peer_client.rounds.seen_records import SeenRound
from peer_client.sealing.errors import PhaseClosedEarlyError, ShareRefusedError
from peer_client.storage.study_store import StudyStore
from tests.support.hospitals import MSPS, START_S, MemoryConsortium, play_up_to, small_study

STUDY = small_study(deadline_s=600)


@pytest.fixture(scope="module")
def summed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoundRecords]:
    consortium = MemoryConsortium(tmp_path_factory.mktemp("clock"), STUDY)
    consortium.agree()
    play_up_to(consortium, consortium.parts(1), "SUMMED")
    yield consortium.records(1)
    consortium.close()


def without_first(records: RoundRecords) -> RoundRecords:
    assert records.aggregate is not None
    fewer = replace(records.aggregate, contributors=records.aggregate.contributors[1:])
    return replace(records, aggregate=fewer)


def seen(folder: Path, records: RoundRecords, **states: float) -> SeenRound:
    """Return a round whose states were first seen at these times."""
    found = SeenRound(StudyStore(folder), 1)
    for state, at_s in states.items():
        record = replace(records.record, state=state, deadline_s=START_S + 600)
        nothing_yet = RoundRecords(replace(record, joined=(), joined_sha256=""))
        found.check(nothing_yet, now_s=at_s, height=lambda: 0)
    return found


def test_a_sum_of_all_is_answered_for_at_once(tmp_path: Path, summed: RoundRecords) -> None:
    assert answer_from_s(seen(tmp_path, summed, SUBMITTING=START_S), summed, STUDY) == 0.0


def test_a_sum_without_a_hospital_waits_for_the_own_deadline(
    tmp_path: Path, summed: RoundRecords
) -> None:
    fewer = without_first(summed)
    found = seen(tmp_path, summed, SUBMITTING=START_S + 5)

    assert left_out(fewer) == (MSPS[0],)
    assert answer_from_s(found, fewer, STUDY) == START_S + 605
    with pytest.raises(PhaseClosedEarlyError, match=rf"without {MSPS[0]}, 1 s before"):
        check_may_answer(found, fewer, STUDY, START_S + 604)
    check_may_answer(found, fewer, STUDY, START_S + 605)
    assert issubclass(PhaseClosedEarlyError, ShareRefusedError)


def test_joins_without_a_hospital_wait_for_the_own_deadline(
    tmp_path: Path, summed: RoundRecords
) -> None:
    three = replace(summed, record=replace(summed.record, joined=MSPS[1:]))
    found = seen(tmp_path, summed, OPEN=START_S + 5)

    assert submit_from_s(found, summed, STUDY, MSPS) == 0.0
    assert submit_from_s(found, three, STUDY, MSPS[1:]) == 0.0
    with pytest.raises(PhaseClosedEarlyError, match=f"closed without {MSPS[0]}"):
        check_may_submit(found, three, STUDY, MSPS, START_S + 604)
    check_may_submit(found, three, STUDY, MSPS, START_S + 605)


def test_a_hospital_that_was_away_counts_from_when_it_came_back(
    tmp_path: Path, summed: RoundRecords
) -> None:
    found = seen(tmp_path, summed, OPEN=START_S, SUMMED=START_S + 900)

    assert end_of_s(found, "SUBMITTING", 600) == START_S + 1500


def test_one_whose_update_the_ledger_refused_has_had_its_time(summed: RoundRecords) -> None:
    fewer = without_first(summed)
    assert fewer.aggregate is not None
    refused = replace(fewer.aggregate, refused={MSPS[0]: "ResidueError: not below q"})

    assert left_out(replace(fewer, aggregate=refused)) == ()
    never_sent = {msp: each for msp, each in fewer.updates.items() if msp != MSPS[0]}
    assert left_out(replace(fewer, aggregate=refused, updates=never_sent)) == (MSPS[0],)
