"""Typed reading of what the ledger keeps.

Each function returns checked records or raises UnknownStudyError, UnknownRoundError or
UnknownRecordError; a record that is not in canonical bytes raises RecordError. Lists come as
dicts by MSP, in MSP order, because keys sort that way. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from chaincode.ledger import StateReader
from chaincode.records import keys
from chaincode.records.canonical import Record
from chaincode.records.errors import UnknownRecordError, UnknownRoundError, UnknownStudyError
from chaincode.records.round import (
    Aggregate,
    Approval,
    Confirmation,
    GiveUpVote,
    Join,
    JoinReport,
    Manifest,
    Round,
    RoundKey,
    ShareSum,
    Suspension,
    Withdrawal,
)
from chaincode.records.study import Study

R = TypeVar("R", bound=Record)


def found(ledger: StateReader, record: type[R], key: str) -> R | None:
    """Return the record under a key, or nothing."""
    data = ledger.get_state(key)
    return record.from_bytes(data) if data else None


def study(ledger: StateReader, study_id: str) -> Study:
    """Return a study's terms.

    Raises:
        UnknownStudyError: No such study.
    """
    record = found(ledger, Study, keys.study(study_id))
    if record is None:
        raise _unknown_study(study_id)
    return record


def round_(ledger: StateReader, study_id: str, number: int) -> Round:
    """Return a round's record.

    Raises:
        UnknownRoundError: No such round.
    """
    record = found(ledger, Round, keys.round_(study_id, number))
    if record is None:
        raise _unknown_round(study_id, number)
    return record


def study_and_round(ledger: StateReader, study_id: str, number: int) -> tuple[Study, Round]:
    """Return a study's terms and the record of one of its rounds, read in one request.

    Raises:
        UnknownStudyError: No such study.
        UnknownRoundError: No such round.
    """
    terms, record = ledger.get_states([keys.study(study_id), keys.round_(study_id, number)])
    if not terms:
        raise _unknown_study(study_id)
    if not record:
        raise _unknown_round(study_id, number)
    return Study.from_bytes(terms), Round.from_bytes(record)


def aggregate(ledger: StateReader, study_id: str, number: int) -> Aggregate:
    """Return a round's aggregate.

    Raises:
        UnknownRecordError: The round has none.
    """
    record = found(ledger, Aggregate, keys.aggregate(study_id, number))
    if record is None:
        raise UnknownRecordError(f"round {number} of {study_id} has no aggregate")
    return record


def round_key(ledger: StateReader, study_id: str, number: int) -> RoundKey:
    """Return a round's key.

    Raises:
        UnknownRecordError: The round has none.
    """
    record = found(ledger, RoundKey, keys.round_key(study_id, number))
    if record is None:
        raise UnknownRecordError(f"round {number} of {study_id} has no round key")
    return record


def manifest(ledger: StateReader, study_id: str, number: int, msp: str) -> Manifest:
    """Return a hospital's manifest of a round.

    Raises:
        UnknownRecordError: It submitted none.
    """
    record = found(ledger, Manifest, keys.update(study_id, number, msp))
    if record is None:
        raise UnknownRecordError(f"{msp} has no update in round {number} of {study_id}")
    return record


def rounds(ledger: StateReader, study_id: str) -> tuple[Round, ...]:
    """Return the records of all rounds of a study, ascending."""
    found = ledger.states(keys.ROUND, study_id)
    return tuple(Round.from_bytes(value) for _, value in found)


def joins(ledger: StateReader, study_id: str, number: int) -> dict[str, Join]:
    """Return a round's join records by hospital."""
    return _by_last(ledger, Join, keys.JOIN, study_id, keys.padded(number))


def join_reports(ledger: StateReader, study_id: str, number: int) -> dict[str, JoinReport]:
    """Return the reports of joins that their hospitals did not send, by hospital."""
    return _by_last(ledger, JoinReport, keys.JOIN_REPORT, study_id, keys.padded(number))


def updates(ledger: StateReader, study_id: str, number: int) -> dict[str, Manifest]:
    """Return a round's manifests by hospital."""
    return _by_last(ledger, Manifest, keys.UPDATE, study_id, keys.padded(number))


def share_sums(ledger: StateReader, study_id: str, number: int) -> dict[str, ShareSum]:
    """Return a round's answers by hospital, reports of unopened boxes among them."""
    return _by_last(ledger, ShareSum, keys.SHARE_SUM, study_id, keys.padded(number))


def confirmations(ledger: StateReader, study_id: str, number: int) -> dict[str, Confirmation]:
    """Return a round's confirmations by hospital."""
    return _by_last(ledger, Confirmation, keys.CONFIRMATION, study_id, keys.padded(number))


def give_up_votes(ledger: StateReader, study_id: str, number: int) -> dict[str, GiveUpVote]:
    """Return the votes to give a round up, by hospital."""
    return _by_last(ledger, GiveUpVote, keys.GIVE_UP, study_id, keys.padded(number))


@dataclass(frozen=True, slots=True)
class RoundBook:
    """All that the ledger keeps of one round beside its record; mappings by MSP, in MSP order."""

    joins: Mapping[str, Join]
    join_reports: Mapping[str, JoinReport]
    updates: Mapping[str, Manifest]
    aggregate: Aggregate | None
    share_sums: Mapping[str, ShareSum]
    round_key: RoundKey | None
    confirmations: Mapping[str, Confirmation]
    give_up_votes: Mapping[str, GiveUpVote]


def book(ledger: StateReader, terms: Study, number: int) -> RoundBook:
    """Return all of a round's records, read in one request.

    Each record's key follows from the study's hospitals, so no range need be walked: a request is
    what a query costs, whatever it carries.
    """
    place, msps = (terms.study, number), terms.msps
    kinds = (
        keys.join,
        keys.update,
        keys.share_sum,
        keys.confirmation,
        keys.give_up,
        keys.join_report,
    )
    single = [keys.aggregate(*place), keys.round_key(*place)]
    several = [kind(*place, msp) for kind in kinds for msp in msps]
    total, opened, *rest = ledger.get_states(single + several)

    def of(record: type[R], kind: int) -> dict[str, R]:
        values = rest[kind * len(msps) : (kind + 1) * len(msps)]
        return {m: record.from_bytes(data) for m, data in zip(msps, values, strict=True) if data}

    return RoundBook(
        joins=of(Join, 0),
        updates=of(Manifest, 1),
        aggregate=Aggregate.from_bytes(total) if total else None,
        share_sums=of(ShareSum, 2),
        round_key=RoundKey.from_bytes(opened) if opened else None,
        confirmations=of(Confirmation, 3),
        give_up_votes=of(GiveUpVote, 4),
        join_reports=of(JoinReport, 5),
    )


def approvals(ledger: StateReader, study_id: str) -> dict[str, Approval]:
    """Return a study's approvals by hospital."""
    return _by_last(ledger, Approval, keys.APPROVAL, study_id)


def withdrawal(ledger: StateReader, study_id: str) -> Withdrawal | None:
    """Return a study's withdrawal, None where it was not withdrawn."""
    return found(ledger, Withdrawal, keys.withdrawal(study_id))


def suspension_votes(ledger: StateReader, study_id: str, msp: str) -> dict[str, Suspension]:
    """Return the votes to suspend one hospital, by voter."""
    return _by_last(ledger, Suspension, keys.SUSPENSION, study_id, msp)


def in_force(ledger: StateReader, terms: Study) -> bool:
    """Say whether a majority of the study's hospitals has approved its very text."""
    digest = terms.sha256
    agreed = [a for a in approvals(ledger, terms.study).values() if a.study_sha256 == digest]
    return len(agreed) >= terms.majority


def is_suspended(ledger: StateReader, terms: Study, msp: str) -> bool:
    """Say whether a majority of the other hospitals of the study has suspended `msp`."""
    others = len(terms.hospitals) - 1
    return len(suspension_votes(ledger, terms.study, msp)) * 2 > others


def active(ledger: StateReader, terms: Study) -> tuple[str, ...]:
    """Return the hospitals of a study that are not suspended, in MSP order."""
    return tuple(msp for msp in terms.msps if not is_suspended(ledger, terms, msp))


def _unknown_study(study_id: str) -> UnknownStudyError:
    return UnknownStudyError(f"no study {study_id} was proposed on this channel")


def _unknown_round(study_id: str, number: int) -> UnknownRoundError:
    return UnknownRoundError(f"study {study_id} has no round {number}")


def _by_last(ledger: StateReader, record: type[R], kind: str, *attributes: str) -> dict[str, R]:
    return {
        keys.split(key)[1][-1]: record.from_bytes(value)
        for key, value in ledger.states(kind, *attributes)
    }
