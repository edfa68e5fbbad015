"""A round's sum as this hospital knows it: from its store, else made again from its own peer.

Either way it is compared with the ledger's record before anybody works with it
(rounds/sums.py). A damaged file is made again; a sum that is not as recorded is refused.
"""

from __future__ import annotations

import hashlib

from chaincode.records.round import Aggregate
from peer_client.errors import SumMismatchError
from peer_client.rounds.context import RoundContext
from peer_client.rounds.records import RoundRecords
from peer_client.rounds.sums import (
    Residues,
    add_contributions,
    check_sum,
    read_contributions,
    read_upload,
    sum_from_bytes,
)
from peer_client.sealing.errors import ShareRefusedError


def checked_sum(context: RoundContext, records: RoundRecords) -> Residues:
    """Return the round's sum, compared with the ledger: from the store, else made again.

    Raises:
        SumMismatchError: It is not the one recorded.
        BundleMissingError: It is neither stored nor can it be made.
    """
    number = records.record.round
    stored = context.store.read_sum(number)
    if stored is not None:
        try:
            total = sum_from_bytes(stored, context.parameters)
            check_sum(total, records, context.study, context.ledger.channel)
            return total
        except SumMismatchError:
            # A damaged file is no reason to distrust the ledger: make the sum again.
            pass
    return made_sum(context, records)[1]


def made_sum(
    context: RoundContext, records: RoundRecords
) -> tuple[dict[str, bytes], Residues, Aggregate]:
    """Make the round's sum from the own peer's chunks, compare it with the ledger, and keep it.

    Returns:
        The contributors' uploads by MSP, their sum, and the aggregate record it was compared with.

    Raises:
        SumMismatchError: It is not the one recorded.
        BundleMissingError: The own peer has not every chunk.
    """
    number = records.record.round
    uploads = read_contributions(
        context.ledger, records, context.parameters, stored=context.store.read_upload(number)
    )
    total = add_contributions(uploads, context.parameters)
    aggregate = check_sum(total, records, context.study, context.ledger.channel)
    context.store.write_sum(number, total.astype("<u8").tobytes())
    return uploads, total, aggregate


def check_refused(context: RoundContext, records: RoundRecords) -> None:
    """Refuse a sum that leaves out an update which this hospital finds to be valid.

    Raises:
        ShareRefusedError: One is valid.
        BundleMissingError: The own peer has not all of it, so nobody can say here.
    """
    refused = records.aggregate.refused if records.aggregate else {}
    layout = records.layout(context.parameters.polynomials)
    for msp in sorted(set(refused) & set(records.updates)):
        manifest = records.updates[msp]
        try:
            upload = read_upload(context.ledger, manifest, layout)
            add_contributions({msp: upload}, context.parameters)
        except SumMismatchError:
            continue  # it is as the ledger says: no valid update
        digest = hashlib.sha256(
            memoryview(upload)[: context.parameters.ciphertext_bytes]
        ).hexdigest()
        if digest == manifest.ciphertext_sha256:
            raise ShareRefusedError(
                f"the sum of round {records.record.round} leaves out the update of {msp}, which "
                "is valid"
            )
