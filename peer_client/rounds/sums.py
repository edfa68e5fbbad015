"""Make a round's sum again from the own peer's chunks, and hold it against the ledger.

The chaincode never stores a sum, it records digests. A hospital adds the contributors' ciphertexts
itself before it answers, from the private data of its own peer, and refuses where a chunk, a count
or a digest is not as recorded. Only public arithmetic happens here: nothing is opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from chaincode.records.errors import RuleError
from chaincode.records.round import (
    BLOCK_POLYNOMIALS,
    Aggregate,
    Manifest,
    UploadLayout,
    aggregate_digest,
)
from chaincode.records.study import Study
from chaincode.records.sums import add_ciphertexts, validate_ciphertext
from chaincode.roundkey.parameters import RoundParameters
from peer_client.errors import BundleMissingError, SumMismatchError
from peer_client.ledgers.ledger import HospitalLedger, PrivateDataError
from peer_client.rounds.records import RoundRecords

Residues = NDArray[np.uint64]

#: Uploads read from the own peer at a time.
READERS = 4


def read_upload(ledger: HospitalLedger, manifest: Manifest, layout: UploadLayout) -> bytes:
    """Return a hospital's whole upload from the own peer's private store.

    Raises:
        BundleMissingError: The own peer has not, or no longer, every chunk.
        SumMismatchError: A chunk is not the one of the manifest.
    """
    parts = []
    for index, chunk in enumerate(manifest.chunks):
        where = f"chunk {index} of {manifest.msp} in round {manifest.round}"
        try:
            part = ledger.evaluate(
                "chunk", manifest.study, str(manifest.round), manifest.msp, str(index)
            )
        except (RuleError, PrivateDataError) as error:
            raise BundleMissingError(f"{where} is not at this hospital's peer") from error
        if not part:
            raise BundleMissingError(f"{where} has expired at this hospital's peer")
        if len(part) != chunk.bytes or hashlib.sha256(part).hexdigest() != chunk.sha256:
            raise SumMismatchError(f"{where} is not the one that its manifest names")
        parts.append(part)
    upload = b"".join(parts)
    if len(upload) != layout.upload_bytes:
        raise SumMismatchError(
            f"the upload of {manifest.msp} has {len(upload)} bytes, not {layout.upload_bytes}"
        )
    return upload


def is_upload_of(manifest: Manifest, stored: bytes) -> bool:
    """Return whether stored bytes are, chunk by chunk, what a manifest names."""
    start = 0
    for chunk in manifest.chunks:
        part = memoryview(stored)[start : start + chunk.bytes]
        if hashlib.sha256(part).hexdigest() != chunk.sha256:
            return False
        start += chunk.bytes
    return start == len(stored)


def read_contributions(
    ledger: HospitalLedger,
    records: RoundRecords,
    parameters: RoundParameters,
    *,
    stored: bytes | None = None,
) -> dict[str, bytes]:
    """Return the whole upload of each contributor, by MSP in MSP order.

    Args:
        ledger: The way to the own peer.
        records: The round.
        parameters: The study's numbers.
        stored: This hospital's own upload as it lies in its store. Where it is what the manifest
            names, it need not be asked of the peer; the others' always are.
    """
    layout = records.layout(parameters.polynomials)

    def read(msp: str) -> bytes:
        manifest = records.updates[msp]
        if msp == ledger.msp_id and stored is not None and is_upload_of(manifest, stored):
            return stored
        return read_upload(ledger, manifest, layout)

    with ThreadPoolExecutor(max_workers=READERS) as pool:
        found = pool.map(read, records.contributors)
        return dict(zip(records.contributors, found, strict=True))


def add_contributions(uploads: Mapping[str, bytes], parameters: RoundParameters) -> Residues:
    """Add the ciphertexts of some uploads.

    Args:
        uploads: Whole uploads by MSP.
        parameters: The study's numbers.

    Returns:
        Residues below q, shape `(polynomials + 1, 4096)`, the key check last.

    Raises:
        SumMismatchError: An upload is not a ciphertext; the chaincode would have refused it.
    """
    polynomials = parameters.polynomials + 1
    try:
        parts = [
            validate_ciphertext(
                memoryview(uploads[msp])[: parameters.ciphertext_bytes], polynomials
            )
            for msp in sorted(uploads)
        ]
        return add_ciphertexts(parts)
    except RuleError as error:
        raise SumMismatchError(f"a contribution of the round is malformed: {error}") from error


def sum_from_bytes(content: bytes, parameters: RoundParameters) -> Residues:
    """Return a stored sum as residues.

    Raises:
        SumMismatchError: It is not a ciphertext of the study's size.
    """
    try:
        return validate_ciphertext(content, parameters.polynomials + 1)
    except RuleError as error:
        raise SumMismatchError(f"the stored sum is damaged: {error}") from error


def check_sum(total: Residues, records: RoundRecords, study: Study, channel: str) -> Aggregate:
    """Return the round's aggregate record, proved to be about this sum.

    Args:
        total: The sum made here, shape `(polynomials + 1, 4096)`.
        records: The round.
        study: Its terms.
        channel: The channel, part of the digest D.

    Raises:
        SumMismatchError: Digests, contributors or their number are not as they must be.
    """
    aggregate = records.aggregate
    number = records.record.round
    if aggregate is None:
        raise SumMismatchError(f"round {number} has no aggregate on the ledger")
    if block_digests(total) != aggregate.block_sha256:
        raise SumMismatchError(
            f"the sum of round {number} made here is not the one whose digests the ledger records"
        )
    if hashlib.sha256(total[-1].astype("<u8").tobytes()).hexdigest() != aggregate.check_sha256:
        raise SumMismatchError(f"the key check of round {number} is not the one recorded")
    _check_contributors(aggregate, records, study)
    digest = aggregate_digest(
        study.genesis_sha256,
        channel,
        study.study,
        number,
        study_sha256=study.sha256,
        joined_sha256=records.record.joined_sha256,
        contributors=aggregate.contributors,
        block_sha256=aggregate.block_sha256,
    )
    if digest != aggregate.digest:
        raise SumMismatchError(f"the digest D of round {number} does not follow from its parts")
    return aggregate


def _check_contributors(aggregate: Aggregate, records: RoundRecords, study: Study) -> None:
    """Refuse an aggregate of too few, of strangers, or of other ciphertexts than submitted."""
    number = records.record.round
    count = len(aggregate.contributors)
    if count < study.contributors_min:
        raise SumMismatchError(
            f"round {number} sums {count} updates; the study asks for {study.contributors_min}"
        )
    names = [contributor.msp for contributor in aggregate.contributors]
    if names != sorted(set(names)) or not set(names) <= set(records.joined):
        raise SumMismatchError(f"the contributors of round {number} are not hospitals of it")
    for contributor in aggregate.contributors:
        manifest = records.updates.get(contributor.msp)
        if manifest is None or manifest.ciphertext_sha256 != contributor.ciphertext_sha256:
            raise SumMismatchError(
                f"the sum of round {number} names another ciphertext than {contributor.msp} sent"
            )


def block_digests(total: Residues) -> tuple[str, ...]:
    """Return the SHA-256 of each block of at most 128 polynomials, as the chaincode computes it.

    Args:
        total: Residues, shape `(polynomials, 4096)`.

    >>> len(block_digests(np.zeros((129, 4096), np.uint64)))
    2
    """
    plain = np.ascontiguousarray(total, "<u8")
    return tuple(
        hashlib.sha256(plain[start : start + BLOCK_POLYNOMIALS].tobytes()).hexdigest()
        for start in range(0, len(plain), BLOCK_POLYNOMIALS)
    )
