"""Rows of rules on updates: chunks, manifests and their ciphertexts."""

from __future__ import annotations

from typing import Any

import numpy as np

from chaincode.records import keys, sums
from chaincode.roundkey.parameters import MODULUS
from tests.unit.chaincode.played import MSPS, Played, make_study
from tests.unit.chaincode.rules.table import EAST, NORTH, WEST, changed, row

# --- chunks and manifests --------------------------------------------------------------------


def submit_with(played: Played, sender: str, **changes: Any) -> object:
    """Put a valid upload and submit its manifest with some fields changed."""
    upload = played.make_upload(sender)
    played.put(sender, upload)
    manifest = upload.manifest(played.round(), sender)
    return played.submit(sender, "submit_update", "lungs", 1, changed(manifest, **changes))


@row("ChunkIndexError", "a chunk beyond the last")
def _() -> object:
    played = Played().to_submitting()
    chunk = played.make_upload(EAST).chunks[0]
    return played.submit(EAST, "put_chunk", "lungs", 1, 1, transient={"chunk": chunk})


@row("ChunkSizeError", "a chunk one byte short")
def _() -> object:
    played = Played().to_submitting()
    chunk = played.make_upload(EAST).chunks[0][:-1]
    return played.submit(EAST, "put_chunk", "lungs", 1, 0, transient={"chunk": chunk})


@row("ChunkSizeError", "a chunk one byte long")
def _() -> object:
    played = Played().to_submitting()
    chunk = played.make_upload(EAST).chunks[0] + b"\0"
    return played.submit(EAST, "put_chunk", "lungs", 1, 0, transient={"chunk": chunk})


@row("ChunkHashError", "a manifest without its chunk")
def _() -> object:
    played = Played().to_submitting()
    manifest = played.make_upload(EAST).manifest(played.round(), EAST).to_bytes()
    return played.submit(EAST, "submit_update", "lungs", 1, manifest)


@row("ChunkHashError", "a manifest of another chunk")
def _() -> object:
    played = Played().to_submitting()
    size = played.layout.upload_bytes
    return submit_with(played, EAST, chunks=[{"sha256": "ab" * 32, "bytes": size}])


def submit_along(played: Played, chunk: bytes, **also: bytes) -> object:
    """Submit a manifest with bytes that are to be its last chunk."""
    manifest = played.make_upload(EAST).manifest(played.round(), EAST).to_bytes()
    return played.submit(
        EAST, "submit_update", "lungs", 1, manifest, transient={"chunk": chunk, **also}
    )


@row("ChunkHashError", "a manifest with another chunk along")
def _() -> object:
    played = Played().to_submitting()
    return submit_along(played, bytes(played.layout.upload_bytes))


@row("ChunkSizeError", "a manifest with a chunk along that is one byte short")
def _() -> object:
    played = Played().to_submitting()
    return submit_along(played, played.make_upload(EAST).chunks[0][:-1])


@row("ChunkSizeError", "a manifest with an empty chunk along")
def _() -> object:
    return submit_along(Played().to_submitting(), b"")


@row("TransientError", "a manifest with a chunk and something else along")
def _() -> object:
    played = Played().to_submitting()
    return submit_along(played, played.make_upload(EAST).chunks[0], note=b"hello")


@row("ChunkAbsentError", "a chunk that is damaged in the own peer's store")
def _() -> object:
    played = Played().to_submitting().update()
    stored = played.ledger._private[keys.collection(EAST), keys.chunk("lungs", 1, 0)]
    stored.value = b"\xff" * 8 + stored.value[8:]
    return played.aggregate()


@row("ChunkAbsentError", "a chunk that reads as empty although its hash is on the ledger")
def _() -> object:
    played = Played().to_submitting().update()
    played.ledger._private[keys.collection(EAST), keys.chunk("lungs", 1, 0)].value = b""
    return played.aggregate()


@row("ChunkAbsentError", "a chunk that this peer lacks when the round key is checked")
def _() -> object:
    played = Played().to_summed().answer()
    played.ledger._private[keys.collection(EAST), keys.chunk("lungs", 1, 0)].value = b""
    return played.record_key()


@row("ManifestPlaceError", "another hospital's manifest")
def _() -> object:
    return submit_with(Played().to_submitting(), EAST, msp=NORTH)


@row("ManifestPlaceError", "a manifest of another round")
def _() -> object:
    return submit_with(Played().to_submitting(), EAST, round=2)


@row("ManifestPlaceError", "a manifest of another study")
def _() -> object:
    return submit_with(Played().to_submitting(), EAST, study="hearts")


@row("ManifestJoinedError", "a manifest for other joined hospitals")
def _() -> object:
    return submit_with(Played().to_submitting(), EAST, joined_sha256="ab" * 32)


@row("ManifestSizeError", "a manifest one byte short")
def _() -> object:
    played = Played().to_submitting()
    return submit_with(played, EAST, upload_bytes=played.layout.upload_bytes - 1)


@row("ManifestSizeError", "a manifest without its last chunk")
def _() -> object:
    played = Played().to_submitting()
    half = {"sha256": "ab" * 32, "bytes": played.layout.upload_bytes // 2}
    return submit_with(played, EAST, chunks=[half, half])


# --- ciphertexts -----------------------------------------------------------------------------


@row("CiphertextLengthError", "a ciphertext of half a polynomial")
def _() -> object:
    return sums.validate_ciphertext(bytes(16_384), 1)


@row("CiphertextLengthError", "ciphertexts of different lengths")
def _() -> object:
    one, two = np.zeros((1, 4096), np.uint64), np.zeros((2, 4096), np.uint64)
    return sums.add_ciphertexts([one, two])


@row("ResidueError", "a residue equal to the prime")
def _() -> object:
    residues = np.zeros(4096, np.uint64)
    residues[-1] = MODULUS
    return sums.validate_ciphertext(residues.tobytes(), 1)


@row("CiphertextHashError", "a manifest with another ciphertext hash, seen when it is added")
def _() -> object:
    played = Played(study=make_study(contributors_min=4)).to_submitting().update(*MSPS[:3])
    submit_with(played, WEST, ciphertext_sha256="ab" * 32)
    return played.aggregate()


@row("SpentUpdateError", "one's own update of an abandoned round")
def _() -> object:
    played = Played().to_submitting().update(EAST)
    upload = played.uploads[EAST]
    played.wait(600).submit(EAST, "abandon", "lungs", 1, "the others are away")
    played.open(2).join(number=2).close(2)
    played.put(EAST, upload, 2)
    manifest = upload.manifest(played.round(2), EAST).to_bytes()
    return played.submit(EAST, "submit_update", "lungs", 2, manifest)


@row("SpentUpdateError", "another hospital's update of the same round")
def _() -> object:
    played = Played().to_submitting().update(EAST)
    copied = played.uploads[EAST]
    played.put(NORTH, copied)
    manifest = copied.manifest(played.round(), NORTH).to_bytes()
    return played.submit(NORTH, "submit_update", "lungs", 1, manifest)
