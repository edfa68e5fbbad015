"""The only ways in which the contract writes anything.

A record is written once and never changed or deleted: what one hospital has read and acted on is
what every other will read (docs/security.md). The round's own record alone is written again, along
its table of states. A chunk, which is private and not yet in a manifest, may be sent again.
"""

from __future__ import annotations

from collections.abc import Mapping

from chaincode.ledger import Ledger
from chaincode.records import keys
from chaincode.records.canonical import Record
from chaincode.records.errors import OnceError, RecordExistsError, RoundStateError
from chaincode.records.round import Round, RoundState
from chaincode.records.states import TRANSITIONS


def check_first_time(ledger: Ledger, key: str, error: type[OnceError], sentence: str) -> None:
    """Check that a key was never written.

    Raises:
        OnceError: It was; `error` is the rule's own class.
    """
    if ledger.get_state(key):
        raise error(sentence)


def put_new(ledger: Ledger, records: Mapping[str, Record]) -> None:
    """Write records under keys that were never written.

    Raises:
        RecordExistsError: A key has a record already.
    """
    names = list(records)
    for key, found in zip(names, ledger.get_states(names), strict=True):
        if found:
            kind, parts = keys.split(key)
            raise RecordExistsError(f"the {kind} of {' '.join(parts)} is written and stays so")
    for key, record in records.items():
        ledger.put_state(key, record.to_bytes())


def put_round(ledger: Ledger, before: Round | None, after: Round) -> None:
    """Write a round's record: a new one, or the next of the one read in this transaction.

    Raises:
        RecordExistsError: A new round has a record already.
        RoundStateError: No event leads from the one state to the other, or it is another round's.
    """
    key = keys.round_(after.study, after.round)
    if before is None:
        put_new(ledger, {key: after})
        return
    known = {(state, following) for (state, _), following in TRANSITIONS.items()}
    same = (before.study, before.round) == (after.study, after.round)
    if not same or (RoundState(before.state), RoundState(after.state)) not in known:
        raise RoundStateError(
            f"round {before.round} of {before.study} cannot go from {before.state} to {after.state}"
        )
    ledger.put_state(key, after.to_bytes())


def put_chunk(ledger: Ledger, round_record: Round, msp: str, index: int, chunk: bytes) -> None:
    """Write a chunk of an upload that has no manifest yet into its owner's collection."""
    key = keys.chunk(round_record.study, round_record.round, index)
    ledger.put_private(keys.collection(msp), key, chunk)
