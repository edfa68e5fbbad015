"""What a hospital sends in a round: a fresh sealing key, an upload of the round's layout, once."""

from __future__ import annotations

from chaincode.ledger import Ledger
from chaincode.records import keys
from chaincode.records.canonical import sha256_hex
from chaincode.records.errors import (
    ChunkHashError,
    ChunkIndexError,
    ChunkSizeError,
    JoinReportFormError,
    ManifestJoinedError,
    ManifestPlaceError,
    ManifestSizeError,
    SealingKeyReusedError,
    SpentUpdateError,
)
from chaincode.records.round import Chunk, Join, Manifest, Round, UploadLayout
from chaincode.records.study import Study
from chaincode.records.terms import round_parameters


def check_fresh_sealing_key(ledger: Ledger, terms: Study, key_sha256: str) -> str:
    """Return the ledger key that marks a sealing key as used.

    Raises:
        SealingKeyReusedError: It was used in this study before.
    """
    marker = keys.sealing_key(terms.study, key_sha256)
    if ledger.get_state(marker):
        raise SealingKeyReusedError("this sealing key joined a round of the study before")
    return marker


def check_unspent(ledger: Ledger, terms: Study, ciphertext_sha256: str) -> str:
    """Return the ledger key that marks a ciphertext as submitted.

    Raises:
        SpentUpdateError: It was submitted in this study before, by anybody.
    """
    marker = keys.spent(terms.study, ciphertext_sha256)
    if ledger.get_state(marker):
        raise SpentUpdateError(
            f"ciphertext {ciphertext_sha256[:16]} was submitted in study {terms.study} before"
        )
    return marker


def upload_layout(terms: Study, round_record: Round) -> UploadLayout:
    """Return where everything of an upload of this round lies."""
    return UploadLayout(round_parameters(terms).polynomials, len(round_record.joined))


def check_chunk(layout: UploadLayout, index: int, size: int) -> None:
    """Check a chunk's number and length.

    Raises:
        ChunkIndexError: The upload has no such chunk.
        ChunkSizeError: The chunk has another length.
    """
    if index >= layout.chunks:
        raise ChunkIndexError(f"an upload has {layout.chunks} chunks, none is number {index}")
    expected = layout.chunk_bytes(index)
    if size != expected:
        raise ChunkSizeError(f"chunk {index} has {size} bytes, it must have {expected}")


def check_manifest(manifest: Manifest, round_record: Round, msp: str, layout: UploadLayout) -> None:
    """Check that a manifest is of this hospital, this round, its joined and its layout.

    Raises:
        ManifestPlaceError: Another study, round or hospital.
        ManifestJoinedError: Another list of joined hospitals.
        ManifestSizeError: Other sizes than the layout's.
    """
    place = (manifest.study, manifest.round, manifest.msp)
    if place != (round_record.study, round_record.round, msp):
        raise ManifestPlaceError(
            f"the manifest is of {manifest.msp} in round {manifest.round} of {manifest.study}, "
            f"not of {msp} in round {round_record.round} of {round_record.study}"
        )
    if manifest.joined_sha256 != round_record.joined_sha256:
        raise ManifestJoinedError("the manifest was written for other joined hospitals")
    sizes = [chunk.bytes for chunk in manifest.chunks]
    expected = [layout.chunk_bytes(index) for index in range(layout.chunks)]
    if manifest.upload_bytes != layout.upload_bytes or sizes != expected:
        raise ManifestSizeError(
            f"the manifest has {manifest.upload_bytes} bytes in {len(sizes)} chunks, the round's "
            f"layout has {layout.upload_bytes} bytes in {len(expected)} chunks"
        )


def check_chunk_hash(chunk: Chunk, ledger_hash: bytes, sentence: str) -> None:
    """Compare a chunk's hash on the ledger with the manifest's (an absent one differs).

    Raises:
        ChunkHashError: They differ; `sentence` says which chunk it is.
    """
    if ledger_hash.hex() != chunk.sha256:
        raise ChunkHashError(sentence)


def check_join_report(join: Join | None, msp: str, sealing_key_sha256: str) -> None:
    """Check that a report is about the join that stands in the reporting hospital's name.

    Raises:
        JoinReportFormError: There is no such join, or it has another sealing key.
    """
    if join is None or sha256_hex(join.sealing_key) != sealing_key_sha256:
        raise JoinReportFormError(
            f"no join with the sealing key {sealing_key_sha256[:16]} stands in the name of {msp}"
        )
