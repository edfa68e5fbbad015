"""The others bring a study into force that one hospital never approved, and wait for its update.

A majority's approvals are enough on the ledger. This hospital's client goes by the digest that its
own people approved and that it keeps itself: it neither trains, nor joins, nor submits, nor
answers for anything else, whatever the ledger or its peer says of its approval.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from peer_client import client
from peer_client.errors import ApprovedTextChangedError, NotApprovedHereError
from peer_client.rounds.round import HospitalRound
from peer_client.studies.own_agreement import OwnAgreement
from peer_client.studies.study import propose, read_study
from tests.support.hospitals import MSPS, MemoryConsortium, play, play_up_to, small_study

VICTIM, PROPOSER, *OTHERS = MSPS


def take_turns(part: HospitalRound) -> None:
    """Let one hospital do all it can do alone."""
    for _ in range(20):
        part.step()


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[MemoryConsortium]:
    """Return four hospitals, with a study in force that one of them never approved."""
    made = MemoryConsortium(tmp_path, small_study(name="own"))
    made.agree()  # an earlier study of all of them: the channel is known to the victim
    made.study = small_study(name="theirs")
    now_s = made.clock()
    propose(made.ledger(PROPOSER), made.study, made.agreement(PROPOSER), now_s=now_s)
    for msp in OTHERS:
        made.approve(msp)
    yield made
    made.close()


def test_the_client_does_not_begin(consortium: MemoryConsortium) -> None:
    ledger, agreement = consortium.ledger(VICTIM), consortium.agreement(VICTIM)
    state = client.chosen_study(ledger, "theirs")
    assert state.in_force

    with pytest.raises(NotApprovedHereError, match="has not approved study theirs"):
        client.check_may_train(ledger, state, agreement)
    with pytest.raises(NotApprovedHereError):
        next(client.follow(consortium.context(VICTIM), 1))


def test_nothing_of_the_hospital_enters_the_round(consortium: MemoryConsortium) -> None:
    parts = consortium.parts(1)
    victim = parts.pop(VICTIM)
    parts[PROPOSER].step()

    with pytest.raises(NotApprovedHereError):
        victim.step()
    play(consortium, parts)

    records = consortium.records(1)
    assert VICTIM not in records.joined
    assert consortium.trainers[VICTIM].trained == []


def test_what_the_ledger_says_of_its_approval_changes_nothing(
    consortium: MemoryConsortium,
) -> None:
    ledger = consortium.ledger(VICTIM)
    ledger.submit("approve_study", "theirs", consortium.study.sha256)
    state = read_study(ledger, "theirs")
    assert VICTIM in state.approved_by

    with pytest.raises(NotApprovedHereError):
        client.check_may_train(ledger, state, consortium.agreement(VICTIM))
    consortium.approve(VICTIM)  # a person reads it: the digest is kept, nothing is sent again

    client.check_may_train(ledger, state, consortium.agreement(VICTIM))


def test_another_text_than_the_one_approved_stops_the_client(consortium: MemoryConsortium) -> None:
    consortium.approve(VICTIM)
    ledger, agreement = consortium.ledger(VICTIM), consortium.agreement(VICTIM)
    state = read_study(ledger, "theirs")
    lying = replace(state, terms=replace(state.terms, local_steps=5))

    with pytest.raises(ApprovedTextChangedError, match="approved the text of study theirs"):
        client.check_may_train(ledger, lying, agreement)


@pytest.mark.parametrize("state", ["OPEN", "SUBMITTING", "SUMMED"])
def test_each_step_that_sends_something_asks_again(
    consortium: MemoryConsortium, state: str
) -> None:
    """A client that runs while the kept approval is taken away goes no further."""
    consortium.approve(VICTIM)
    parts = consortium.parts(1)
    play_up_to(consortium, parts, state)
    before = consortium.records(1)
    (consortium.folder / VICTIM / "studies" / "theirs" / "approved.json").unlink()

    with pytest.raises(NotApprovedHereError):
        take_turns(parts[VICTIM])

    after = consortium.records(1)
    assert (VICTIM in after.joined) == (VICTIM in before.joined)
    assert (VICTIM in after.updates) == (VICTIM in before.updates)
    assert (VICTIM in after.answers) == (VICTIM in before.answers)


def test_switched_off_own_approval_lets_the_others_train_with_it(
    consortium: MemoryConsortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OwnAgreement, "check_approved", lambda agreement, terms: None)

    play(consortium, consortium.parts(1))

    records = consortium.records(1)
    assert records.record.state == "PUBLISHED"
    assert VICTIM in records.contributors
