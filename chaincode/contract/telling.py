"""The one event of a transaction, which is its answer too: study, round, state, who acted."""

from __future__ import annotations

from chaincode.ledger import Ledger
from chaincode.records.canonical import encode
from chaincode.records.round import Round
from chaincode.records.study import Study


def tell_round(ledger: Ledger, event: str, round_record: Round) -> bytes:
    """Set the event of a transaction on a round and return its payload."""
    return _tell(ledger, event, round_record.study, round_record.round, round_record.state)


def tell_study(ledger: Ledger, event: str, terms: Study, state: str) -> bytes:
    """Set the event of a transaction on a study and return its payload."""
    return _tell(ledger, event, terms.study, 0, state)


def _tell(ledger: Ledger, event: str, study: str, number: int, state: str) -> bytes:
    payload = encode(
        {"study": study, "round": number, "state": state, "msp": ledger.creator.msp_id}
    )
    ledger.set_event(event, payload)
    return payload
