"""The gate decides by equal digests and votes, whatever order they come in."""

from __future__ import annotations

from itertools import permutations

import pytest

from chaincode.contract.gate import GateDecision, decide
from chaincode.records.errors import GateUndecidedError, TooFewConfirmationsError
from chaincode.records.round import Confirmation
from tests.unit.chaincode.contract.played import MSPS, make_study

STUDY = make_study()
MODEL, OTHER = "aa" * 32, "bb" * 32


def confirmations(*votes: tuple[str, int] | None) -> dict[str, Confirmation]:
    return {
        msp: Confirmation("lungs", 1, msp, vote[0], "11" * 32, {"auc_after": 1}, vote[1])
        for msp, vote in zip(MSPS, votes, strict=False)
        if vote
    }


def decided(*votes: tuple[str, int] | None, over: bool = False, active: int = 4) -> GateDecision:
    return decide(STUDY, MSPS[:active], confirmations(*votes), deadline_over=over)


def test_three_equal_digests_and_three_votes_publish() -> None:
    assert decided((MODEL, 1), (MODEL, 1), (MODEL, 1)).model_sha256 == MODEL


def test_two_votes_of_four_do_not_publish() -> None:
    assert not decided((MODEL, 1), (MODEL, 1), (MODEL, 0), (MODEL, 0)).published


def test_vote_for_another_digest_does_not_count() -> None:
    decision = decided((MODEL, 1), (MODEL, 1), (MODEL, 0), (OTHER, 1))

    assert decision.reason == "2 of 4 hospitals voted for the model, 3 were needed"


def test_suspended_hospital_has_no_vote_but_its_digest_counts() -> None:
    assert decided((MODEL, 1), (MODEL, 1), (MODEL, 0), (MODEL, 0), active=3).published


def test_no_confirmation_waits_for_the_deadline_and_then_rejects() -> None:
    with pytest.raises(TooFewConfirmationsError):
        decided()

    assert decided(over=True) == GateDecision("", "0 equal model digests, 3 were needed")


def test_digests_that_can_no_longer_agree_reject_before_the_deadline() -> None:
    assert not decided((MODEL, 1), (OTHER, 1), ("cc" * 32, 1)).published


def test_open_votes_that_may_decide_are_awaited_until_the_deadline() -> None:
    votes = ((MODEL, 1), (MODEL, 1), (MODEL, 0))

    with pytest.raises(GateUndecidedError):
        decided(*votes)

    assert not decided(*votes, over=True).published


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_decision_does_not_depend_on_the_order_of_confirmations(order: tuple[int, ...]) -> None:
    votes = [(MODEL, 1), (MODEL, 1), (MODEL, 1), (OTHER, 0)]
    all_of_them = confirmations(*votes)
    shuffled = {MSPS[i]: all_of_them[MSPS[i]] for i in order}

    assert decide(STUDY, MSPS, shuffled, deadline_over=False).model_sha256 == MODEL
