"""A hospital's upload: its chunks in its own collection, then the manifest for all to see."""

from __future__ import annotations

import hashlib

from chaincode.contract import writing
from chaincode.contract.rules import arguments, members, uploads
from chaincode.contract.telling import tell_round
from chaincode.ledger import Ledger
from chaincode.records import keys, states
from chaincode.records.errors import SecondUpdateError
from chaincode.records.round import Manifest, Round, UploadLayout, Use
from chaincode.records.states import RoundEvent


def put_chunk(ledger: Ledger, study: bytes, number: bytes, index: bytes) -> bytes:
    """Store one chunk of the creator's upload in its own collection; no public write."""
    terms, round_record = arguments.read_study_and_round(ledger, study, number)
    msp = members.check_joined(round_record, members.check_member(ledger, terms).msp)
    _check_no_update_yet(ledger, round_record, msp)
    states.after(round_record, RoundEvent.PUT_CHUNK)
    position = arguments.read_chunk_index(index)
    chunk = arguments.read_transient(ledger, "chunk")
    uploads.check_chunk(uploads.upload_layout(terms, round_record), position, len(chunk))
    writing.put_chunk(ledger, round_record, msp, position, chunk)
    return tell_round(ledger, "round.chunk", round_record)


def submit_update(ledger: Ledger, study: bytes, number: bytes, text: bytes) -> bytes:
    """Record the manifest of an upload whose chunks are in place; the update is spent by it.

    The last chunk may come with it, in the transient map: each endorser then compares its bytes
    with the manifest, where otherwise it compares the hash on the ledger.
    """
    terms, round_record = arguments.read_study_and_round(ledger, study, number)
    msp = members.check_joined(round_record, members.check_member(ledger, terms).msp)
    _check_no_update_yet(ledger, round_record, msp)
    states.after(round_record, RoundEvent.SUBMIT_UPDATE)
    manifest = Manifest.from_text(text)
    layout = uploads.upload_layout(terms, round_record)
    uploads.check_manifest(manifest, round_record, msp, layout)
    along = _chunk_along(ledger, layout)
    for index, chunk in enumerate(manifest.chunks):
        place = (keys.collection(msp), keys.chunk(terms.study, round_record.round, index))
        if along is not None and index == layout.chunks - 1:
            found = hashlib.sha256(along).digest()
            writing.put_chunk(ledger, round_record, msp, index, along)
        else:
            found = ledger.private_hash(*place)
        uploads.check_chunk_hash(
            chunk, found, f"chunk {index} of {msp} on the ledger is not the manifest's"
        )
    marker = uploads.check_unspent(ledger, terms, manifest.ciphertext_sha256)
    key = keys.update(terms.study, round_record.round, msp)
    writing.put_new(ledger, {key: manifest, marker: Use(terms.study, round_record.round, msp)})
    return tell_round(ledger, "round.update", round_record)


def _chunk_along(ledger: Ledger, layout: UploadLayout) -> bytes | None:
    """Return the last chunk where it came with its manifest."""
    if not ledger.transient:
        return None
    chunk = arguments.read_transient(ledger, "chunk")
    uploads.check_chunk(layout, layout.chunks - 1, len(chunk))
    return chunk


def _check_no_update_yet(ledger: Ledger, round_record: Round, msp: str) -> None:
    writing.check_first_time(
        ledger,
        keys.update(round_record.study, round_record.round, msp),
        SecondUpdateError,
        f"{msp} has submitted its update in round {round_record.round} already",
    )
