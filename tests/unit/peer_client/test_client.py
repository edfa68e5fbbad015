"""Which study, which round, and when a client stops following."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chaincode.records.errors import StudyFinishedError, StudyNotInForceError
from peer_client import client
from peer_client.errors import NotOfStudyError, RoundsAbandonedError, SettingsError
from peer_client.rounds.round import HospitalRound, RoundOutcome
from peer_client.studies.study import StudyState, propose
from tests.support.hospitals import MSPS, MemoryConsortium, small_study


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[MemoryConsortium]:
    made = MemoryConsortium(tmp_path)
    yield made
    made.close()


def state(last: int, last_state: str, published: int = 0, rounds: int = 5) -> StudyState:
    terms = replace(small_study(), rounds=rounds)
    return StudyState(terms, True, MSPS, 3, (), last, last_state, published, "")


@pytest.mark.parametrize(
    ("last", "last_state", "published", "expected"),
    [
        (0, "", 0, 1),
        (1, "OPEN", 0, 1),
        (1, "OPENED", 0, 1),
        (1, "PUBLISHED", 1, 2),
        (2, "ABANDONED", 1, 3),
        (7, "REJECTED", 4, 8),
    ],
)
def test_the_round_to_take_part_in(
    last: int, last_state: str, published: int, expected: int
) -> None:
    assert client.next_round(state(last, last_state, published)) == expected


def test_a_finished_study_has_no_next_round() -> None:
    with pytest.raises(StudyFinishedError):
        client.next_round(state(6, "PUBLISHED", 5))


def test_the_only_study_need_not_be_named_and_one_of_two_must(
    consortium: MemoryConsortium,
) -> None:
    ledger = consortium.ledger(MSPS[0])
    with pytest.raises(SettingsError, match="none"):
        client.chosen_study(ledger, None)
    consortium.agree()

    assert client.chosen_study(ledger, None).terms.study == "small"
    agreement = consortium.agreement(MSPS[0])
    propose(ledger, small_study(name="other"), agreement, now_s=consortium.clock())
    with pytest.raises(SettingsError, match="other, small"):
        client.chosen_study(ledger, None)


def test_a_study_that_is_not_in_force_is_not_trained_for(consortium: MemoryConsortium) -> None:
    ledger = consortium.ledger(MSPS[0])
    agreement = consortium.agreement(MSPS[0])
    propose(ledger, consortium.study, agreement, now_s=consortium.clock())

    with pytest.raises(StudyNotInForceError, match="1 approvals, 3 are needed"):
        client.check_may_train(ledger, client.chosen_study(ledger, None), agreement)


def test_a_member_outside_the_study_does_not_train(tmp_path: Path) -> None:
    consortium = MemoryConsortium(tmp_path, small_study(MSPS[:3]))
    consortium.agree()
    outside, agreement = consortium.ledger(MSPS[3]), consortium.agreement(MSPS[3])

    with pytest.raises(NotOfStudyError):
        client.check_may_train(outside, client.chosen_study(outside, "small"), agreement)


def ending(monkeypatch: pytest.MonkeyPatch, states: list[str]) -> None:
    found = iter(states)

    def run(part: HospitalRound) -> RoundOutcome:
        return RoundOutcome(part.number, next(found), reason="nobody came")

    monkeypatch.setattr(client, "_patiently", run)


def test_following_counts_rounds_with_a_result(
    consortium: MemoryConsortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    consortium.agree()
    ending(monkeypatch, ["PUBLISHED", "ABANDONED", "REJECTED"])

    ends = [each.state for each in client.follow(consortium.context(MSPS[0]), 2)]

    assert ends == ["PUBLISHED", "ABANDONED", "REJECTED"]


def test_three_abandoned_rounds_in_a_row_stop_a_client(
    consortium: MemoryConsortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    consortium.agree()
    ending(monkeypatch, ["ABANDONED"] * 3)

    with pytest.raises(RoundsAbandonedError, match="nobody came"):
        list(client.follow(consortium.context(MSPS[0]), 5))
