"""A round ends without a model: abandoned by its deadline, or given up by a majority."""

from __future__ import annotations

from chaincode.contract.rules import arguments, members, turns
from chaincode.contract.summing import valid_sum
from chaincode.contract.telling import tell_round
from chaincode.contract.writing import check_first_time, put_new, put_round
from chaincode.ledger import Ledger
from chaincode.records import keys, register, states
from chaincode.records.errors import EnoughUpdatesError, SecondGiveUpVoteError
from chaincode.records.round import GiveUpVote, Round, RoundState
from chaincode.records.states import RoundEvent
from chaincode.records.study import Study


def abandon(ledger: Ledger, study: bytes, number: bytes, reason: bytes) -> bytes:
    """End a round in which too few joined, or gave a valid update, by its deadline.

    A round in which a hospital disowns the join in its name may be abandoned at once.
    """
    terms, round_record = arguments.read_study_and_round(ledger, study, number)
    members.check_member(ledger, terms)
    states.after(round_record, RoundEvent.ABANDON)
    why = arguments.read_reason(reason)
    if not register.join_reports(ledger, terms.study, round_record.round):
        _check_abandonable(ledger, terms, round_record)
    ended = states.moved(round_record, RoundEvent.ABANDON, terms, ledger.timestamp_s, reason=why)
    put_round(ledger, round_record, ended)
    return tell_round(ledger, "round.abandoned", ended)


def give_up(ledger: Ledger, study: bytes, number: bytes, reason: bytes) -> bytes:
    """Vote to give up a summed round; the vote that makes a majority ends it."""
    terms, round_record = arguments.read_study_and_round(ledger, study, number)
    msp = members.check_member(ledger, terms).msp
    key = keys.give_up(terms.study, round_record.round, msp)
    check_first_time(
        ledger,
        key,
        SecondGiveUpVoteError,
        f"{msp} has voted to give up round {round_record.round} already",
    )
    states.after(round_record, RoundEvent.VOTE_GIVE_UP)
    why = arguments.read_reason(reason)
    votes = register.give_up_votes(ledger, terms.study, round_record.round)
    put_new(ledger, {key: GiveUpVote(terms.study, round_record.round, msp, why)})
    if len(votes) + 1 < terms.majority:
        return tell_round(ledger, "round.give_up_vote", round_record)
    ended = states.moved(round_record, RoundEvent.GIVE_UP, terms, ledger.timestamp_s, reason=why)
    put_round(ledger, round_record, ended)
    return tell_round(ledger, "round.abandoned", ended)


def _check_abandonable(ledger: Ledger, terms: Study, round_record: Round) -> None:
    turns.check_deadline_passed(round_record, ledger.timestamp_s)
    if round_record.state == RoundState.OPEN.value:
        joins = register.joins(ledger, terms.study, round_record.round)
        turns.check_too_few_joined(round_record, terms, len(joins))
        return
    updates = register.updates(ledger, terms.study, round_record.round)
    if len(updates) < terms.contributors_min:
        return
    # Enough manifests came, but some may be refused: only then is the round at its end.
    valid = len(valid_sum(ledger, terms, round_record, updates).contributors)
    if valid >= terms.contributors_min:
        raise EnoughUpdatesError(
            f"{valid} valid updates were submitted in round {round_record.round}: add them"
        )
