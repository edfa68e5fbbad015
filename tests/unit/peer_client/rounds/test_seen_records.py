"""What was seen of a round is kept, compared at each reading, and survives a restart."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaincode.records.round import Round
from peer_client.errors import RecordChangedError, StoreError
from peer_client.rounds.lineage import parent_model
from peer_client.rounds.records import AnswerSummary, RoundRecords
from peer_client.rounds.seen_records import SeenRound, check_study_seen
from peer_client.storage.study_store import StudyStore
from tests.support.hospitals import MSPS, MemoryConsortium, play_up_to, played_round

NOW_S = 1_800_000_100.0
Change = Callable[[RoundRecords], RoundRecords | None]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoundRecords]:
    """Return a round's records with one of every kind but an outcome."""
    consortium = MemoryConsortium(tmp_path_factory.mktemp("seen"))
    consortium.agree()
    parts = consortium.parts(1)
    play_up_to(consortium, parts, "OPENED")
    for _ in range(3):
        for part in parts.values():
            if not consortium.records(1).confirmations:
                part.step()
    records = consortium.records(1)
    yield replace(records, give_up_votes={MSPS[0]: "late"}, join_reports={MSPS[1]: "a" * 64})
    consortium.close()


def seen_of(folder: Path) -> SeenRound:
    return SeenRound(StudyStore(folder), 1)


def check(seen: SeenRound, records: RoundRecords | None, now_s: float = NOW_S) -> None:
    seen.check(records, now_s=now_s, height=lambda: 17)


def without(name: str, msp: str) -> Change:
    def change(records: RoundRecords) -> RoundRecords:
        left = {m: each for m, each in getattr(records, name).items() if m != msp}
        return replace(records, **{name: left})

    return change


def of_record(**fields: Any) -> Change:
    return lambda records: replace(records, record=replace(records.record, **fields))


def other_aggregate(records: RoundRecords) -> RoundRecords:
    assert records.aggregate is not None
    fewer = replace(records.aggregate, contributors=records.aggregate.contributors[1:])
    return replace(records, aggregate=fewer)


def other_manifest(records: RoundRecords) -> RoundRecords:
    mine = replace(records.updates[MSPS[0]], ciphertext_sha256="0" * 64)
    return replace(records, updates={**records.updates, MSPS[0]: mine})


def other_answer(records: RoundRecords) -> RoundRecords:
    msp = next(iter(records.answers))
    mine = AnswerSummary("0" * 64, "1" * 64, ())
    return replace(records, answers={**records.answers, msp: mine})


def other_key(records: RoundRecords) -> RoundRecords:
    assert records.round_key is not None
    return replace(records, round_key=replace(records.round_key, key_sha256="0" * 64))


CHANGES: dict[str, tuple[str, Change]] = {
    "the whole round": ("round 1 itself", lambda _: None),
    "the parent": ("the parent and the opening of round 1", of_record(parent_sha256="0" * 64)),
    "opened before": ("the parent and the opening", of_record(opened_before=1)),
    "contributors before": ("the parent and the opening", of_record(contributors_before=3)),
    "the joined": ("the list of the joined", of_record(joined=MSPS[1:])),
    "their digest": ("the list of the joined", of_record(joined_sha256="0" * 64)),
    "the state, back": ("the state of round 1", of_record(state="SUMMED")),
    "the deadline": ("the deadline of round 1", of_record(deadline_s=1)),
    "a join": (
        f"the join of {MSPS[0]}",
        lambda records: replace(records, joins={**records.joins, MSPS[0]: "0" * 64}),
    ),
    "a join that is gone": (f"the join of {MSPS[2]}", without("joins", MSPS[2])),
    "a report that is gone": (
        f"the report of a join of {MSPS[1]}", without("join_reports", MSPS[1]),
    ),
    "a manifest": (f"the manifest of {MSPS[0]}", other_manifest),
    "a manifest that is gone": (f"the manifest of {MSPS[3]}", without("updates", MSPS[3])),
    "the aggregate": ("the aggregate of round 1", other_aggregate),
    "an aggregate that is gone": (
        "the aggregate of round 1", lambda records: replace(records, aggregate=None),
    ),
    "an answer": ("the answer of", other_answer),
    "answers that are gone": ("the answer of", lambda records: replace(records, answers={})),
    "the round key": ("the round key of round 1", other_key),
    "a round key that is gone": (
        "the round key of round 1", lambda records: replace(records, round_key=None),
    ),
    "a confirmation that is gone": (
        "the confirmation of", lambda records: replace(records, confirmations={}),
    ),
    "a vote that is gone": (
        f"the vote to give up of {MSPS[0]}", without("give_up_votes", MSPS[0]),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("words", "change"), CHANGES.values(), ids=CHANGES)
def test_a_record_that_changed_is_named_also_after_a_restart(
    tmp_path: Path, opened: RoundRecords, words: str, change: Change
) -> None:
    seen = seen_of(tmp_path)
    check(seen, opened)

    with pytest.raises(RecordChangedError, match=words):
        check(seen, change(opened))
    with pytest.raises(RecordChangedError, match=words):
        check(seen_of(tmp_path), change(opened))


def test_the_same_records_again_and_new_ones_pass(tmp_path: Path, opened: RoundRecords) -> None:
    fewer = without("answers", next(iter(opened.answers)))(opened)
    assert fewer is not None
    check(seen_of(tmp_path), fewer)
    size = (tmp_path / "rounds" / "000001" / "seen").stat().st_size

    check(seen_of(tmp_path), fewer)
    assert (tmp_path / "rounds" / "000001" / "seen").stat().st_size == size
    check(seen_of(tmp_path), opened)


def test_another_outcome_than_the_one_seen_is_refused(tmp_path: Path, opened: RoundRecords) -> None:
    def ended(state: str) -> RoundRecords:
        record = replace(opened.record, state=state, deadline_s=0, model_sha256="1" * 64)
        return replace(opened, record=record)

    check(seen_of(tmp_path), ended("PUBLISHED"))

    with pytest.raises(RecordChangedError, match="was PUBLISHED, and now it is REJECTED"):
        check(seen_of(tmp_path), ended("REJECTED"))


def test_when_a_phase_was_first_seen_stands_by_the_own_clock(
    tmp_path: Path, opened: RoundRecords
) -> None:
    check(seen_of(tmp_path), opened, 5000.5)
    check(seen_of(tmp_path), opened, 6000.0)

    phase = seen_of(tmp_path).phase("OPENED")

    assert phase is not None
    assert (phase.seen_at_s, phase.deadline_s) == (5000.5, opened.record.deadline_s)
    assert seen_of(tmp_path).phase("SUBMITTING") is None
    assert seen_of(tmp_path).first_phase("SUBMITTING") == phase


def test_a_peer_with_fewer_blocks_than_before_is_refused(
    tmp_path: Path, opened: RoundRecords
) -> None:
    check(seen_of(tmp_path), opened)

    seen_of(tmp_path).check_height(17)
    with pytest.raises(RecordChangedError, match="was 17, and now it is 16"):
        seen_of(tmp_path).check_height(16)


def test_nothing_follows_from_what_could_not_be_kept(
    tmp_path: Path, opened: RoundRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = seen_of(tmp_path)

    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", no_space)
        with pytest.raises(StoreError, match="No space left"):
            check(seen, opened)


def test_a_line_cut_off_by_a_crash_is_dropped_and_damage_is_refused(
    tmp_path: Path, opened: RoundRecords
) -> None:
    check(seen_of(tmp_path), opened)
    path = tmp_path / "rounds" / "000001" / "seen"
    whole = path.read_bytes()

    path.write_bytes(whole + b'{"name":"agg')
    check(seen_of(tmp_path), opened)
    assert path.read_bytes() == whole
    path.write_bytes(b"not json\n" + whole)
    with pytest.raises(StoreError, match="damaged"):
        seen_of(tmp_path)


def test_another_record_of_the_study_is_refused(tmp_path: Path) -> None:
    check_study_seen(StudyStore(tmp_path), "1" * 64)
    check_study_seen(StudyStore(tmp_path), "1" * 64)

    with pytest.raises(RecordChangedError, match="the record of the study"):
        check_study_seen(StudyStore(tmp_path), "2" * 64)


def test_another_outcome_of_an_earlier_round_gives_no_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    consortium = MemoryConsortium(tmp_path)
    consortium.agree()
    played_round(consortium, 1)
    play_up_to(consortium, consortium.parts(2), "OPEN", 2)
    context, record = consortium.context(MSPS[0]), consortium.records(2).record
    parent_model(context, record)

    from peer_client.rounds import records as round_records

    really = round_records.read_rounds

    def rewritten(ledger: Any, study: str) -> tuple[Round, ...]:
        first, *others = really(ledger, study)
        return (replace(first, model_sha256="0" * 64), *others)

    monkeypatch.setattr(round_records, "read_rounds", rewritten)
    with pytest.raises(RecordChangedError, match="the outcome of round 1"):
        parent_model(consortium.context(MSPS[0]), record)
    consortium.close()
