"""The model that a sum gives: confirmed by hospitals, then published or rejected by the gate."""

from __future__ import annotations

from chaincode.contract import gate
from chaincode.contract.rules import arguments, members, votes
from chaincode.contract.telling import tell_round
from chaincode.contract.writing import check_first_time, put_new, put_round
from chaincode.ledger import Ledger
from chaincode.records import keys, register, states
from chaincode.records.canonical import decode, read
from chaincode.records.errors import SecondConfirmationError
from chaincode.records.round import Confirmation, ConfirmationClaim
from chaincode.records.states import RoundEvent


def confirm_model(ledger: Ledger, study: bytes, number: bytes, text: bytes) -> bytes:
    """Record the digest of the model a hospital computed, its metrics and its vote."""
    terms, round_record = arguments.read_study_and_round(ledger, study, number)
    msp = members.check_member(ledger, terms).msp
    key = keys.confirmation(terms.study, round_record.round, msp)
    check_first_time(
        ledger,
        key,
        SecondConfirmationError,
        f"{msp} has confirmed a model of round {round_record.round} already",
    )
    states.after(round_record, RoundEvent.CONFIRM_MODEL)
    claim: ConfirmationClaim = read(
        ConfirmationClaim, decode(text, canonical=False), "the confirmation"
    )
    record = Confirmation(
        study=terms.study,
        round=round_record.round,
        msp=msp,
        model_sha256=claim.model_sha256,
        parent_sha256=claim.parent_sha256,
        metrics_ppm=claim.metrics_ppm,
        vote=votes.check_vote(claim, round_record, terms),
    )
    put_new(ledger, {key: record})
    return tell_round(ledger, "round.confirmed", round_record)


def publish_model(ledger: Ledger, study: bytes, number: bytes) -> bytes:
    """End an opened round: publish its model, or reject it when the gate has failed."""
    terms, round_record = arguments.read_study_and_round(ledger, study, number)
    members.check_member(ledger, terms)
    states.after(round_record, RoundEvent.PUBLISH)
    decision = gate.decide(
        terms,
        register.active(ledger, terms),
        register.confirmations(ledger, terms.study, round_record.round),
        deadline_over=states.deadline_passed(round_record, ledger.timestamp_s),
    )
    ended = states.moved(
        round_record,
        RoundEvent.PUBLISH if decision.published else RoundEvent.REJECT,
        terms,
        ledger.timestamp_s,
        model_sha256=decision.model_sha256,
        reason=decision.reason,
    )
    put_round(ledger, round_record, ended)
    return tell_round(ledger, f"round.{ended.state.lower()}", ended)
