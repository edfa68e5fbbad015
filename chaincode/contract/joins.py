"""A round opens, hospitals join it with fresh sealing keys, and the joins close."""

from __future__ import annotations

from chaincode.contract import joining
from chaincode.contract.rules import agreement, arguments, members, turns, uploads
from chaincode.contract.spoiled import opened_before
from chaincode.contract.telling import tell_round
from chaincode.contract.writing import check_first_time, put_new, put_round
from chaincode.ledger import Ledger
from chaincode.records import keys, register, states
from chaincode.records.canonical import Sha256, decode, read, sha256_hex
from chaincode.records.errors import SecondJoinError, SecondJoinReportError
from chaincode.records.round import (
    Join,
    JoinReport,
    JoinSignature,
    Round,
    RoundState,
    Use,
    join_statement,
    joined_digest,
)
from chaincode.records.states import RoundEvent, model_after


def open_round(ledger: Ledger, study: bytes, number: bytes) -> bytes:
    """Open the next round; it starts from the last published model."""
    terms = register.study(ledger, arguments.read_study_id(study))
    members.check_member(ledger, terms)
    agreement.check_in_force(ledger, terms)
    previous = turns.check_opening(ledger, terms, arguments.read_round_number(number))
    now_s = ledger.timestamp_s if previous is None else states.time_of(previous, ledger.timestamp_s)
    spoiled = opened_before(ledger, terms, previous)
    opened = Round(
        study=terms.study,
        round=int(number),
        state=RoundState.OPEN.value,
        opened_at_s=now_s,
        changed_at_s=now_s,
        deadline_s=now_s + terms.deadlines_s.join,
        parent_sha256=model_after(terms, previous),
        published_before=0 if previous is None else states.published_after(previous),
        opened_before=spoiled.sums,
        contributors_before=spoiled.contributors,
        joined=(),
        joined_sha256="",
        model_sha256="",
        reason="",
    )
    put_round(ledger, None, opened)
    return tell_round(ledger, "round.opened", opened)


def join_round(ledger: Ledger, study: bytes, number: bytes, signed: bytes) -> bytes:
    """Join a round with a fresh sealing key, signed by the creator's identity."""
    terms, round_record = arguments.read_study_and_round(ledger, study, number)
    hospital = members.check_member(ledger, terms)
    key = keys.join(terms.study, round_record.round, hospital.msp)
    check_first_time(
        ledger,
        key,
        SecondJoinError,
        f"{hospital.msp} has joined round {round_record.round} already",
    )
    states.after(round_record, RoundEvent.JOIN)
    members.check_not_suspended(ledger, terms, hospital.msp)
    sealing_key = joining.check_sealing_key(arguments.read_transient(ledger, "sealing_key"))
    signature: JoinSignature = read(JoinSignature, decode(signed, canonical=False), "the join")
    certificate = joining.check_certificate(ledger.creator, signature.certificate_pem)
    statement = join_statement(
        terms.genesis_sha256,
        ledger.channel,
        terms.study,
        round_record.round,
        msp=hospital.msp,
        point=hospital.point,
        sealing_key=sealing_key,
    )
    joining.check_signature(certificate, statement, bytes.fromhex(signature.signature))
    marker = uploads.check_fresh_sealing_key(ledger, terms, sha256_hex(sealing_key))
    record = Join(
        study=terms.study,
        round=round_record.round,
        msp=hospital.msp,
        point=hospital.point,
        sealing_key=sealing_key,
        certificate_pem=joining.certificate_text(certificate),
        signature=signature.signature,
    )
    put_new(ledger, {key: record, marker: Use(terms.study, round_record.round, hospital.msp)})
    return tell_round(ledger, "round.joined", round_record)


def report_join(ledger: Ledger, study: bytes, number: bytes, sealing_key_sha256: bytes) -> bytes:
    """Report that the join in the creator's name is not its own; the round is then lost."""
    terms, round_record = arguments.read_study_and_round(ledger, study, number)
    msp = members.check_member(ledger, terms).msp
    key = keys.join_report(terms.study, round_record.round, msp)
    check_first_time(
        ledger,
        key,
        SecondJoinReportError,
        f"{msp} has reported the join in its name in round {round_record.round} already",
    )
    states.after(round_record, RoundEvent.REPORT_JOIN)
    claimed: str = read(Sha256, arguments.read_text(sealing_key_sha256), "the sealing key's digest")
    join = register.found(ledger, Join, keys.join(terms.study, round_record.round, msp))
    uploads.check_join_report(join, msp, claimed)
    put_new(ledger, {key: JoinReport(terms.study, round_record.round, msp, claimed)})
    return tell_round(ledger, "round.join_reported", round_record)


def close_joins(ledger: Ledger, study: bytes, number: bytes) -> bytes:
    """Freeze the joined hospitals when all are there, or after the deadline."""
    terms, round_record = arguments.read_study_and_round(ledger, study, number)
    members.check_member(ledger, terms)
    states.after(round_record, RoundEvent.CLOSE_JOINS)
    reports = register.join_reports(ledger, terms.study, round_record.round)
    turns.check_no_join_reports(round_record, reports)
    joins = register.joins(ledger, terms.study, round_record.round)
    active = register.active(ledger, terms)
    turns.check_joins_closable(round_record, terms, tuple(joins), active, ledger.timestamp_s)
    closed = states.moved(
        round_record,
        RoundEvent.CLOSE_JOINS,
        terms,
        ledger.timestamp_s,
        joined=tuple(sorted(joins)),
        joined_sha256=joined_digest(
            terms.genesis_sha256,
            ledger.channel,
            terms.study,
            round_record.round,
            tuple(joins.values()),
        ),
    )
    put_round(ledger, round_record, closed)
    return tell_round(ledger, "round.joins_closed", closed)
