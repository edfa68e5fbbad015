"""Typed reading of what the ledger keeps.

Each function returns checked records or raises UnknownStudyError, UnknownRoundError or
UnknownRecordError; a record that is not in canonical bytes raises RecordError. Lists come as
dicts by MSP, in MSP order, because keys sort that way. Nothing here writes.
"""

from __future__ import annotations

from typing import TypeVar

from chaincode import keys
from chaincode.canonical import Record
from chaincode.errors import UnknownRecordError, UnknownRoundError, UnknownStudyError
from chaincode.ledger import Ledger
from chaincode.records import (
    Aggregate,
    Approval,
    Confirmation,
    GiveUpVote,
    Join,
    Manifest,
    Round,
    RoundKey,
    ShareSum,
    Suspension,
)
from chaincode.study import Study

R = TypeVar("R", bound=Record)


def found(ledger: Ledger, record: type[R], key: str) -> R | None:
    """Return the record under a key, or nothing."""
    data = ledger.get_state(key)
    return record.from_bytes(data) if data else None


def study(ledger: Ledger, study_id: str) -> Study:
    """Return a study's terms.

    Raises:
        UnknownStudyError: No such study.
    """
    record = found(ledger, Study, keys.study(study_id))
    if record is None:
        raise UnknownStudyError(f"no study {study_id} was proposed on this channel")
    return record


def round_(ledger: Ledger, study_id: str, number: int) -> Round:
    """Return a round's record.

    Raises:
        UnknownRoundError: No such round.
    """
    record = found(ledger, Round, keys.round_(study_id, number))
    if record is None:
        raise UnknownRoundError(f"study {study_id} has no round {number}")
    return record


def aggregate(ledger: Ledger, study_id: str, number: int) -> Aggregate:
    """Return a round's aggregate.

    Raises:
        UnknownRecordError: The round has none.
    """
    record = found(ledger, Aggregate, keys.aggregate(study_id, number))
    if record is None:
        raise UnknownRecordError(f"round {number} of {study_id} has no aggregate")
    return record


def round_key(ledger: Ledger, study_id: str, number: int) -> RoundKey:
    """Return a round's key.

    Raises:
        UnknownRecordError: The round has none.
    """
    record = found(ledger, RoundKey, keys.round_key(study_id, number))
    if record is None:
        raise UnknownRecordError(f"round {number} of {study_id} has no round key")
    return record


def manifest(ledger: Ledger, study_id: str, number: int, msp: str) -> Manifest:
    """Return a hospital's manifest of a round.

    Raises:
        UnknownRecordError: It submitted none.
    """
    record = found(ledger, Manifest, keys.update(study_id, number, msp))
    if record is None:
        raise UnknownRecordError(f"{msp} has no update in round {number} of {study_id}")
    return record


def joins(ledger: Ledger, study_id: str, number: int) -> dict[str, Join]:
    """Return a round's join records by hospital."""
    return _by_last(ledger, Join, keys.JOIN, study_id, keys.padded(number))


def updates(ledger: Ledger, study_id: str, number: int) -> dict[str, Manifest]:
    """Return a round's manifests by hospital."""
    return _by_last(ledger, Manifest, keys.UPDATE, study_id, keys.padded(number))


def share_sums(ledger: Ledger, study_id: str, number: int) -> dict[str, ShareSum]:
    """Return a round's answers by hospital, reports of unopened boxes among them."""
    return _by_last(ledger, ShareSum, keys.SHARE_SUM, study_id, keys.padded(number))


def confirmations(ledger: Ledger, study_id: str, number: int) -> dict[str, Confirmation]:
    """Return a round's confirmations by hospital."""
    return _by_last(ledger, Confirmation, keys.CONFIRMATION, study_id, keys.padded(number))


def give_up_votes(ledger: Ledger, study_id: str, number: int) -> dict[str, GiveUpVote]:
    """Return the votes to give a round up, by hospital."""
    return _by_last(ledger, GiveUpVote, keys.GIVE_UP, study_id, keys.padded(number))


def approvals(ledger: Ledger, study_id: str) -> dict[str, Approval]:
    """Return a study's approvals by hospital."""
    return _by_last(ledger, Approval, keys.APPROVAL, study_id)


def suspension_votes(ledger: Ledger, study_id: str, msp: str) -> dict[str, Suspension]:
    """Return the votes to suspend one hospital, by voter."""
    return _by_last(ledger, Suspension, keys.SUSPENSION, study_id, msp)


def in_force(ledger: Ledger, terms: Study) -> bool:
    """Say whether a majority of the study's hospitals has approved its very text."""
    digest = terms.sha256
    agreed = [a for a in approvals(ledger, terms.study).values() if a.study_sha256 == digest]
    return len(agreed) >= terms.majority


def is_suspended(ledger: Ledger, terms: Study, msp: str) -> bool:
    """Say whether a majority of the other hospitals of the study has suspended `msp`."""
    others = len(terms.hospitals) - 1
    return len(suspension_votes(ledger, terms.study, msp)) * 2 > others


def active(ledger: Ledger, terms: Study) -> tuple[str, ...]:
    """Return the hospitals of a study that are not suspended, in MSP order."""
    return tuple(msp for msp in terms.msps if not is_suspended(ledger, terms, msp))


def _by_last(ledger: Ledger, record: type[R], kind: str, *attributes: str) -> dict[str, R]:
    return {
        keys.split(key)[1][-1]: record.from_bytes(value)
        for key, value in ledger.states(kind, *attributes)
    }
