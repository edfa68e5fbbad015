"""Some administrators change the channel under a study: fewer endorse, others administer it.

Where one hospital may endorse alone, it writes any record it likes between two honest answers. A
hospital's client keeps what the channel was when its people approved, compares before a round and
before all that it sends, and stops until a person accepts the change; a channel whose rules are
weaker than what a study promises it does not accept at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from network.channel_policies import ADMINS, ENDORSEMENT, policy_fact
from peer_client import client
from peer_client.errors import ChannelChangedError, ChannelRulesError
from peer_client.rounds.round import HospitalRound
from peer_client.studies import own_agreement, study
from peer_client.studies.own_agreement import OwnAgreement
from peer_client.studies.study import read_study
from tests.support.hospitals import MSPS, MemoryConsortium, play, play_up_to

VICTIM = MSPS[0]
NAMES = ", ".join(MSPS)
ANY_ONE = (policy_fact(ENDORSEMENT[0]), f"1 of the peers of {NAMES}")
AUTHORITY_TOO = (policy_fact(ADMINS[1]), f"3 of the administrators of {NAMES}, authorityMSP")
NEW_CODE = ("chaincode", "consortium, sequence 2, package 5f3c")


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[MemoryConsortium]:
    made = MemoryConsortium(tmp_path)
    yield made
    made.close()


def take_turns(part: HospitalRound) -> None:
    """Let one hospital do all it can do alone."""
    for _ in range(20):
        part.step()


def change(consortium: MemoryConsortium, fact: tuple[str, str]) -> None:
    """Change the channel as enough of its administrators can."""
    facts = {**dict(consortium.channel.facts), fact[0]: fact[1]}
    consortium.channel.facts = tuple(sorted(facts.items()))


@pytest.mark.parametrize("fact", [ANY_ONE, AUTHORITY_TOO, NEW_CODE])
def test_no_round_begins_on_a_changed_channel(
    consortium: MemoryConsortium, fact: tuple[str, str]
) -> None:
    consortium.agree()
    change(consortium, fact)
    ledger, agreement = consortium.ledger(VICTIM), consortium.agreement(VICTIM)

    with pytest.raises(ChannelChangedError, match=f"is {fact[1]}"):
        client.check_may_train(ledger, read_study(ledger, "small"), agreement)
    with pytest.raises(ChannelChangedError):
        next(client.follow(consortium.context(VICTIM), 1))


@pytest.mark.parametrize("state", ["OPEN", "SUBMITTING", "SUMMED"])
def test_nothing_leaves_a_hospital_after_the_channel_changed_during_a_round(
    consortium: MemoryConsortium, state: str
) -> None:
    consortium.agree()
    parts = consortium.parts(1)
    play_up_to(consortium, parts, state)
    before = consortium.records(1)
    change(consortium, ANY_ONE)

    for part in parts.values():
        with pytest.raises(ChannelChangedError):
            take_turns(part)

    after = consortium.records(1)
    assert after.joined == before.joined
    assert after.updates.keys() == before.updates.keys()
    assert after.answers == {}


def test_a_harmless_change_goes_on_once_a_person_has_accepted_it(
    consortium: MemoryConsortium,
) -> None:
    consortium.agree()
    parts = consortium.parts(1)
    play_up_to(consortium, parts, "SUMMED")
    change(consortium, NEW_CODE)
    for msp in MSPS:
        consortium.agreement(msp).pin(consortium.channel.facts, consortium.clock())

    play(consortium, parts)

    assert consortium.records(1).record.state == "PUBLISHED"


def test_switched_off_comparison_answers_on_the_changed_channel(
    consortium: MemoryConsortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    consortium.agree()
    parts = consortium.parts(1)
    play_up_to(consortium, parts, "SUMMED")
    change(consortium, ANY_ONE)
    monkeypatch.setattr(OwnAgreement, "check_facts", lambda agreement, facts: None)

    play(consortium, parts)

    assert VICTIM in consortium.records(1).answers


@pytest.mark.parametrize("fact", [ANY_ONE, AUTHORITY_TOO])
def test_no_study_is_agreed_to_on_a_channel_with_weaker_rules(
    consortium: MemoryConsortium, fact: tuple[str, str]
) -> None:
    change(consortium, fact)

    with pytest.raises(ChannelRulesError):
        consortium.agree()
    with pytest.raises(ChannelRulesError):
        consortium.agreement(VICTIM).pin(consortium.channel.facts, consortium.clock())
    assert study.list_studies(consortium.ledger(VICTIM)) == []


def test_switched_off_rules_agree_to_a_study_on_a_channel_that_one_hospital_writes(
    consortium: MemoryConsortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(consortium, ANY_ONE)
    monkeypatch.setattr(own_agreement, "check_channel_rules", lambda facts, hospitals: None)

    consortium.agree()

    assert read_study(consortium.ledger(VICTIM), "small").in_force
