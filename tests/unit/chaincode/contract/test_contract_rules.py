"""One row for each rule: a change to a valid input, and the error it must meet.

A row plays valid steps and then one call that breaks exactly one rule; without that rule the call
would succeed or fail otherwise, so switching a rule off fails its row. A rule without a row fails
`test_every_rule_has_a_row`.
"""

from __future__ import annotations

from typing import Any

import pytest

from chaincode.contract.rules.agreement import PROPOSALS_MAX
from chaincode.memory_ledger import MemoryEndorseError
from chaincode.records.errors import RuleError, from_message, rules
from tests.unit.chaincode.contract.played import MSPS, Played, make_study
from tests.unit.chaincode.contract.rules import (  # noqa: F401  (each adds its rows to the table)
    agreement,
    answers,
    arguments,
    counts,
    joins,
    turns,
    updates,
)
from tests.unit.chaincode.contract.rules.table import EAST, ROWS, WEST, Row


@pytest.mark.parametrize(
    ("expected", "play"),
    [pytest.param(name, play, id=f"{name}: {change}") for name, change, play in ROWS],
)
def test_change_to_a_valid_input_is_refused_by_its_rule(expected: str, play: Row) -> None:
    with pytest.raises((MemoryEndorseError, RuleError)) as caught:
        play()

    error = caught.value
    found = from_message(str(error)) if isinstance(error, MemoryEndorseError) else error
    # An invalid update that leaves too few is named inside the refusal of the sum.
    assert found is not None
    assert found.rule == expected or f"{expected}: " in found.sentence


def test_every_rule_has_a_row() -> None:
    assert {name for name, _, _ in ROWS} == {rule.__name__ for rule in rules()}


def test_every_rule_has_an_exit_code_between_30_and_49_and_a_hint() -> None:
    for rule in rules():
        assert 30 <= rule.exit_code <= 49
        assert rule.hint
        assert rule.__doc__


def test_name_of_a_rule_is_found_in_a_gateways_text() -> None:
    text = "failed to endorse: peer0 said: chaincode response 500, SecondJoinError: again"

    error = from_message(text)

    assert error is not None
    assert (error.rule, error.sentence) == ("SecondJoinError", "again")


def test_text_without_a_rule_gives_none() -> None:
    assert from_message("UNAVAILABLE: SocketError: no route") is None


def test_vote_at_exactly_the_margin_is_for_the_model() -> None:
    played = Played().to_opened()
    played.confirm(EAST, metrics_ppm={"auc_before": 700_000, "auc_after": 680_000})

    assert played.query("round", "lungs", 1)["confirmations"][EAST]["vote"] == 1


@pytest.mark.parametrize("vote", [0, 1])
def test_a_hospital_with_too_few_patients_for_figures_states_its_vote_alone(vote: int) -> None:
    played = Played().to_opened().confirm(EAST, metrics_ppm={}, vote=vote)

    found = played.query("round", "lungs", 1)["confirmations"][EAST]
    assert (found["metrics_ppm"], found["vote"]) == ({}, vote)


def test_a_withdrawn_study_keeps_its_name_and_is_shown_as_withdrawn() -> None:
    played = Played()
    played.submit(EAST, "propose_study", played.study.to_bytes())
    played.submit(EAST, "withdraw_study", "lungs")

    assert played.query("study", "lungs")["state"] == "WITHDRAWN"
    with pytest.raises(MemoryEndorseError, match="StudyExistsError"):
        played.submit(EAST, "propose_study", played.study.to_bytes())


def test_a_withdrawn_proposal_makes_room_for_another() -> None:
    played = Played()
    for number in range(PROPOSALS_MAX):
        played.submit(EAST, "propose_study", make_study(study=f"lungs{number}").to_bytes())
    played.submit(EAST, "withdraw_study", "lungs0")

    played.submit(EAST, "propose_study", make_study(study="another").to_bytes())


def test_a_study_in_force_makes_room_for_another_proposal() -> None:
    played = Played().agree()
    for number in range(PROPOSALS_MAX):
        played.submit(EAST, "propose_study", make_study(study=f"lungs{number}").to_bytes())

    with pytest.raises(MemoryEndorseError, match="TooManyProposalsError"):
        played.submit(EAST, "propose_study", make_study(study="another").to_bytes())
    for msp in MSPS[1:3]:
        study = make_study(study="lungs0")
        played.submit(msp, "approve_study", "lungs0", study.sha256)
    played.submit(EAST, "propose_study", make_study(study="another").to_bytes())


@pytest.mark.parametrize("where", ["open", "submitting"])
def test_a_round_with_a_disowned_join_is_abandoned_without_waiting(where: str) -> None:
    played = Played().to_open().join() if where == "open" else Played().to_submitting()

    played.report_join(EAST).submit(WEST, "abandon", "lungs", 1, "a join is disowned")

    assert played.round().state == "ABANDONED"
    assert set(played.query("round", "lungs", 1)["join_reports"]) == {EAST}


def test_a_raised_threshold_needs_as_many_share_sums() -> None:
    study = make_study(threshold=4, contributors_min=4)
    played = Played(study=study).to_summed().answer(*study.msps[:3])
    with pytest.raises(MemoryEndorseError, match="SendersError"):
        played.record_key(*study.msps[:3])

    played.answer(study.msps[3]).record_key(*study.msps)

    found = played.aggregate_record()
    assert (found.cheating_max, found.pooling_max) == (2, 2)


@pytest.mark.parametrize("number", ["0", "-1", "01", "1.0", "1e3", "1000000", "", " 1", "\u0661"])
def test_round_number_that_is_not_plain_decimal_is_refused(number: str) -> None:
    played = Played().agree()

    with pytest.raises(MemoryEndorseError, match="RoundNumberError"):
        played.submit(EAST, "open_round", "lungs", number)


@pytest.mark.parametrize(
    ("function", "args"),
    [
        ("approve_study", ("lungs", "00" * 32)),
        ("withdraw_study", ("lungs",)),
        ("suspend_hospital", ("lungs", "EastMSP", "reason")),
        ("open_round", ("lungs", 2)),
        ("join_round", ("lungs", 1, "{}")),
        ("report_join", ("lungs", 1, "00" * 32)),
        ("close_joins", ("lungs", 1)),
        ("put_chunk", ("lungs", 1, 0)),
        ("submit_update", ("lungs", 1, "{}")),
        ("aggregate", ("lungs", 1)),
        ("submit_share_sum", ("lungs", 1, "00" * 32, "[]")),
        ("record_round_key", ("lungs", 1, "[]")),
        ("confirm_model", ("lungs", 1, "{}")),
        ("publish_model", ("lungs", 1)),
        ("abandon", ("lungs", 1, "reason")),
        ("give_up", ("lungs", 1, "reason")),
    ],
)
def test_every_transaction_of_an_organisation_outside_the_study_is_refused(
    function: str, args: tuple[Any, ...]
) -> None:
    played = Played().to_open()

    with pytest.raises(MemoryEndorseError, match="NotAMemberError"):
        played.submit("AuthorityMSP", function, *args)


def test_join_after_less_than_a_majority_voted_to_suspend_is_accepted() -> None:
    played = Played().agree()
    played.submit(EAST, "suspend_hospital", "lungs", WEST, "boxes do not open")

    played.open().join(WEST)

    assert played.query("hospital", WEST)["studies"][0]["rounds"][0]["joined"] == 1
