"""What a hospital agreed to is kept whole, for its owner alone, and compared word by word."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from chaincode.memory_ledger import MemoryLedger
from network.channel_policies import ENDORSEMENT, policy_fact
from peer_client.errors import (
    ApprovedTextChangedError,
    ChannelChangedError,
    ChannelNotPinnedError,
    ChannelRulesError,
    EarlierChannelError,
    NotApprovedHereError,
    StoreError,
    StudyClaimError,
)
from peer_client.studies.own_agreement import Approved, OwnAgreement
from tests.support.hospitals import MSPS, START_S, MemoryConsortium, small_study

STUDY = small_study()
FACTS = MemoryLedger(lambda ledger, arguments: b"", hospitals=MSPS).facts


@pytest.fixture
def agreement(tmp_path: Path) -> OwnAgreement:
    return OwnAgreement(tmp_path / "client", MSPS)


def changed(name: str, value: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({**dict(FACTS), name: value}.items()))


def test_nothing_is_approved_before_a_person_does(agreement: OwnAgreement) -> None:
    assert agreement.approved("small") is None
    agreement.check_may_approve(STUDY)
    with pytest.raises(NotApprovedHereError, match="has not approved study small"):
        agreement.check_approved(STUDY)


def test_an_approval_is_kept_for_its_owner_alone(agreement: OwnAgreement) -> None:
    agreement.keep_approval(STUDY, START_S + 0.9)

    assert agreement.approved("small") == Approved(
        "small", STUDY.sha256, STUDY.genesis_sha256, START_S
    )
    agreement.check_approved(STUDY)
    (path,) = agreement.folder.rglob("approved.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("other", "refusal"),
    [
        (replace(STUDY, rounds=6), ApprovedTextChangedError),
        (replace(STUDY, genesis_sha256="cd" * 32), EarlierChannelError),
    ],
)
def test_another_text_under_the_same_name_is_neither_trained_for_nor_approved(
    agreement: OwnAgreement, other: object, refusal: type[Exception]
) -> None:
    agreement.keep_approval(STUDY, START_S)

    for act in (agreement.check_approved, agreement.check_may_approve):
        with pytest.raises(refusal):
            act(other)  # type: ignore[arg-type]
    with pytest.raises(refusal):
        agreement.keep_approval(other, START_S)  # type: ignore[arg-type]
    agreement.check_approved(STUDY)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"format": 2}', '{"format": 1}', '{"format": 1, "study": "other"}'],
)
def test_a_damaged_approval_is_no_approval(agreement: OwnAgreement, content: str) -> None:
    agreement.keep_approval(STUDY, START_S)
    (path,) = agreement.folder.rglob("approved.json")
    path.write_text(content)

    with pytest.raises(StoreError, match=r"approved\.json"):
        agreement.check_approved(STUDY)


def test_an_approval_of_another_study_is_not_taken_for_this_one(agreement: OwnAgreement) -> None:
    agreement.keep_approval(STUDY, START_S)
    (path,) = agreement.folder.rglob("approved.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "study": "other"}))

    with pytest.raises(StoreError, match="of study other"):
        agreement.check_approved(STUDY)


def test_the_channel_is_kept_once_and_then_compared(agreement: OwnAgreement) -> None:
    with pytest.raises(ChannelNotPinnedError):
        agreement.check_facts(FACTS)
    agreement.check_channel(FACTS)
    agreement.pin(FACTS, START_S)

    agreement.check_facts(FACTS)
    assert stat.S_IMODE(agreement.channel_path.stat().st_mode) == 0o600
    later = changed("chaincode", "consortium 2.0")
    for act in (agreement.check_facts, agreement.check_channel):
        with pytest.raises(ChannelChangedError, match="chaincode was absent, is consortium 2"):
            act(later)
    agreement.pin(later, START_S)
    agreement.check_facts(later)


def test_a_weaker_channel_is_never_kept(agreement: OwnAgreement) -> None:
    weaker = changed(policy_fact(ENDORSEMENT[0]), f"1 of the peers of {', '.join(MSPS)}")

    for act in (lambda facts: agreement.pin(facts, START_S), agreement.check_channel):
        with pytest.raises(ChannelRulesError, match="1 of the peers"):
            act(weaker)
    assert agreement.pinned() is None


@pytest.mark.parametrize("content", ["", "{", '{"format": 1}', '{"format": 1, "facts": {"a": 1}}'])
def test_a_damaged_pin_is_no_pin(agreement: OwnAgreement, content: str) -> None:
    agreement.pin(FACTS, START_S)
    agreement.channel_path.write_text(content)

    with pytest.raises(StoreError, match=r"channel\.json"):
        agreement.check_facts(FACTS)


def test_a_study_of_another_channel_is_refused(tmp_path: Path) -> None:
    consortium = MemoryConsortium(tmp_path)
    other = replace(STUDY, genesis_sha256="cd" * 32)

    with pytest.raises(StudyClaimError, match="first block"):
        consortium.agreement(MSPS[0]).check(consortium.ledger(MSPS[0]), other)
