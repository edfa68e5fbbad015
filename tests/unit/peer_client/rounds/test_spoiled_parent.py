"""At most two opened sums of one parent, none smaller than one before, unless a person decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chaincode.records.round import Round
from peer_client.errors import SpoiledParentError
from peer_client.rounds.records import RoundRecords
from peer_client.rounds.spoiled_parent import (
    Repetition,
    check_parent,
    check_sum_size,
    repetition_of,
)
from peer_client.sealing.errors import SmallerSumError
from peer_client.storage.study_store import StudyStore
from tests.support.hospitals import MemoryConsortium, played_round

PARENT = "1" * 64


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoundRecords]:
    consortium = MemoryConsortium(tmp_path_factory.mktemp("parents"))
    consortium.agree()
    yield played_round(consortium, 1)
    consortium.close()


def repeated(played: RoundRecords, opened: int, contributors: int = 4) -> Round:
    return replace(
        played.record,
        parent_sha256=PARENT,
        opened_before=opened,
        contributors_before=contributors,
        state="OPEN",
    )


def test_two_opened_sums_are_the_most_without_a_person(
    tmp_path: Path, played: RoundRecords
) -> None:
    store = StudyStore(tmp_path)

    check_parent(store, repeated(played, 1))
    with pytest.raises(SpoiledParentError, match="round 1 starts from model 1111111111111111"):
        check_parent(store, repeated(played, 2))
    store.accept(PARENT, 2)
    check_parent(StudyStore(tmp_path), repeated(played, 2))
    with pytest.raises(SpoiledParentError, match="3 sums"):
        check_parent(store, repeated(played, 3))


def test_a_decision_is_for_one_parent(tmp_path: Path, played: RoundRecords) -> None:
    store = StudyStore(tmp_path)
    store.accept("2" * 64, 5)

    with pytest.raises(SpoiledParentError):
        check_parent(store, repeated(played, 2))


def test_a_smaller_sum_needs_a_person(tmp_path: Path, played: RoundRecords) -> None:
    store = StudyStore(tmp_path)
    record = repeated(played, 1)

    check_sum_size(store, record, 4)
    with pytest.raises(SmallerSumError, match="has 3 contributors, and one of 4 was opened"):
        check_sum_size(store, record, 3)
    store.accept(PARENT, 1)
    check_sum_size(store, record, 3)


def test_what_the_next_round_would_repeat_follows_from_the_newest(played: RoundRecords) -> None:
    def ended(state: str, opened: int, **more: Any) -> RoundRecords:
        return replace(played, record=replace(repeated(played, opened), state=state), **more)

    assert repetition_of(ended("PUBLISHED", 2), 3) is None
    assert repetition_of(ended("ABANDONED", 0, answers={}), 3) is None
    assert repetition_of(ended("OPEN", 1, answers={}), 3) == Repetition(PARENT, 1, 4)
    assert repetition_of(ended("REJECTED", 1), 3) == Repetition(PARENT, 2, 4)
    assert repetition_of(ended("ABANDONED", 1, answers={}), 3) == Repetition(PARENT, 1, 4)
