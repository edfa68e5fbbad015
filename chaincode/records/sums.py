"""Strict validation and exact addition of ciphertexts, block by block.

An update is plain little-endian uint64 residues. This module checks every length and every
residue, adds modulo q in MSP order and keeps nothing but the digests of the sum and its last
polynomial, the key check, so that memory stays at one chunk for each hospital whatever the model's
size. It decides who is left out and why; it reads bytes through a function it is given, opens no
ledger and knows no key. The sum is never stored: every member recomputes it (ADR 0003).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chaincode.records.errors import (
    ChunkAbsentError,
    ChunkHashError,
    ChunkSizeError,
    CiphertextHashError,
    CiphertextLengthError,
    ResidueError,
    RuleError,
)
from chaincode.records.round import (
    BLOCK_POLYNOMIALS,
    CHUNK_BYTES,
    Contributor,
    Manifest,
    UploadLayout,
)
from chaincode.roundkey import ring
from chaincode.roundkey.parameters import MODULUS, POLYNOMIAL_BYTES, RING_DEGREE

Residues = NDArray[np.uint64]

#: Returns one chunk of an upload from this peer's store; raises ChunkHashError for a chunk
#: whose hash on the ledger is not the manifest's, any other error for one that the peer lacks.
ChunkReader = Callable[[Manifest, int], bytes]

#: Residues worked on at a time: 256 KiB, so that checking and adding share one read from memory.
TILE: Final = 32_768
#: Sums of this many residues below q < 2**60 fit 64 bits; only then is a reduction due.
LAZY_TERMS: Final = 15


@dataclass(frozen=True, slots=True)
class Sum:
    """What is known of a sum of updates.

    Attributes:
        contributors: In MSP order.
        refused: ``RuleName: sentence`` by hospital, in MSP order.
        block_sha256: SHA-256 of each block of at most 128 polynomials, 64 hex digits each.
        check: The summed key-check polynomial, 32768 bytes; empty without contributors.
    """

    contributors: tuple[Contributor, ...]
    refused: dict[str, str]
    block_sha256: tuple[str, ...]
    check: bytes


def validate_ciphertext(data: bytes | memoryview, polynomials: int) -> Residues:
    """Check the bytes of `polynomials` polynomials and return them as residues.

    Args:
        data: Little-endian uint64 residues in NTT order.
        polynomials: How many polynomials there must be, the key check included.

    Returns:
        Residues below q, shape ``(polynomials, 4096)``, a read-only view of `data`.

    Raises:
        CiphertextLengthError: The length is not ``polynomials * 32768`` bytes.
        ResidueError: A residue is not below q.
    """
    residues = _view(data, polynomials)
    flat = residues.reshape(-1)
    for start in range(0, flat.size, TILE):
        if flat[start : start + TILE].max() >= MODULUS:
            raise _residue_error(flat)
    return residues


def add_ciphertexts(ciphertexts: Sequence[Residues]) -> Residues:
    """Add residues modulo q, equal bit for bit to SEAL's addition of ciphertexts.

    Args:
        ciphertexts: At least one array of residues below q, all of one shape.

    Returns:
        The sums, residues below q, of that shape.

    Raises:
        CiphertextLengthError: There is no ciphertext, or the shapes differ.
    """
    if not ciphertexts:
        raise CiphertextLengthError("there is no ciphertext to add")
    if any(ciphertext.shape != ciphertexts[0].shape for ciphertext in ciphertexts):
        raise CiphertextLengthError("ciphertexts of different lengths cannot be added")
    total, _ = _check_and_add([np.ravel(ciphertext) for ciphertext in ciphertexts])
    return total.reshape(ciphertexts[0].shape)


def validate_and_add(
    blocks: Sequence[bytes | memoryview], polynomials: int
) -> tuple[Residues, tuple[int, ...]]:
    """Check and add blocks of equal length in one pass over memory.

    Args:
        blocks: One block for each hospital, little-endian uint64 residues.
        polynomials: How many polynomials each must hold.

    Returns:
        The sum, shape ``(polynomials, 4096)``, and the positions of blocks with a residue that is
        not below q. With any such position the sum is meaningless.

    Raises:
        CiphertextLengthError: A block has another length.
    """
    total, invalid = _check_and_add([_view(block, polynomials).reshape(-1) for block in blocks])
    return total.reshape(polynomials, RING_DEGREE), invalid


def sum_updates(read: ChunkReader, manifests: Sequence[Manifest], layout: UploadLayout) -> Sum:
    """Validate the updates of a round and add the valid ones.

    An update is refused only for what every endorser sees: bytes are first compared with the hash
    in the manifest, which the reader has found on the ledger.

    The first pass adds while it validates; only when it refuses somebody is a second one needed,
    over the others.

    Args:
        read: Gives one chunk of one manifest.
        manifests: The submitted manifests, in any order.
        layout: The round's layout.

    Returns:
        Digests of the sum, who is in it, and who is not and why.

    Raises:
        ChunkAbsentError: A chunk in this peer's store is not the one that the ledger hashed.
    """
    ordered = sorted(manifests, key=lambda manifest: manifest.msp)
    refused: dict[str, str] = {}
    while True:
        candidates = [manifest for manifest in ordered if manifest.msp not in refused]
        attempt = _Pass(read, candidates, layout)
        blocks, check = attempt.run()
        if not attempt.refused:
            break
        refused.update(attempt.refused)
    return Sum(
        contributors=tuple(Contributor(m.msp, m.ciphertext_sha256) for m in candidates),
        refused=dict(sorted(refused.items())),
        block_sha256=tuple(blocks),
        check=check,
    )


def summed_check(read: ChunkReader, manifests: Sequence[Manifest], layout: UploadLayout) -> bytes:
    """Add the key-check polynomials alone, from the chunk that ends each ciphertext.

    Args:
        read: Gives one chunk of one manifest.
        manifests: Manifests of the contributors.
        layout: The round's layout.

    Returns:
        32768 bytes, little-endian residues.

    Raises:
        RuleError: A contributor's chunk is not what the aggregate saw.
    """
    index = layout.blocks - 1
    end = layout.ciphertext_in_chunk(index)
    parts = []
    for manifest in sorted(manifests, key=lambda manifest: manifest.msp):
        chunk = memoryview(read(manifest, index))[end - POLYNOMIAL_BYTES : end]
        parts.append(validate_ciphertext(chunk, 1))
    return add_ciphertexts(parts).tobytes()


class _Pass:
    """One pass over all chunks of some updates: validates all of them, adds what it can."""

    def __init__(
        self, read: ChunkReader, manifests: Sequence[Manifest], layout: UploadLayout
    ) -> None:
        self._read = read
        self._manifests = manifests
        self._layout = layout
        self._hashes = {manifest.msp: hashlib.sha256() for manifest in manifests}
        self.refused: dict[str, str] = {}

    def run(self) -> tuple[list[str], bytes]:
        """Return the digest of each block of the sum, and the summed key check."""
        blocks: list[str] = []
        check = b""
        for index in range(self._layout.chunks):
            parts = self._ciphertext_parts(index)
            size = self._layout.ciphertext_in_chunk(index)
            if not size or not parts:
                continue
            total, invalid = validate_and_add(list(parts.values()), size // POLYNOMIAL_BYTES)
            for position in invalid:
                msp = list(parts)[position]
                where = index * BLOCK_POLYNOMIALS
                self._refuse(msp, _residue_error(_view_any(parts[msp]), where))
            blocks.append(hashlib.sha256(total.data).hexdigest())
            check = total[-1].tobytes()
        for manifest in self._manifests:
            if (
                manifest.msp not in self.refused
                and self._hashes[manifest.msp].hexdigest() != manifest.ciphertext_sha256
            ):
                sentence = "the ciphertext's SHA-256 is not the one in the manifest"
                self._refuse(manifest.msp, CiphertextHashError(sentence))
        return blocks, check

    def _ciphertext_parts(self, index: int) -> dict[str, memoryview]:
        parts: dict[str, memoryview] = {}
        for manifest in self._manifests:
            if manifest.msp in self.refused:
                continue
            try:
                chunk = self._read(manifest, index)
                part = self._hashed(manifest, index, chunk)
                if len(chunk) != self._layout.chunk_bytes(index):
                    raise ChunkSizeError(
                        f"chunk {index} has {len(chunk)} bytes, "
                        f"not {self._layout.chunk_bytes(index)}"
                    )
            except (ChunkHashError, ChunkSizeError) as error:
                self._refuse(manifest.msp, error)
                continue
            parts[manifest.msp] = part
        return parts

    def _hashed(self, manifest: Manifest, index: int, chunk: bytes) -> memoryview:
        """Check a chunk's bytes, go on with the ciphertext's hash, return its ciphertext."""
        part = memoryview(chunk)[: self._layout.ciphertext_in_chunk(index)]
        whole = hashlib.sha256(part)
        if index == 0:
            # Both hashes begin alike: the bytes of most uploads are hashed once, not twice.
            self._hashes[manifest.msp] = whole.copy()
        else:
            self._hashes[manifest.msp].update(part)
        whole.update(memoryview(chunk)[len(part) :])
        if whole.hexdigest() != manifest.chunks[index].sha256:
            raise ChunkAbsentError(
                f"chunk {index} of {manifest.msp} in this peer's store is damaged or has not "
                "arrived; send this again"
            )
        return part

    def _refuse(self, msp: str, error: RuleError) -> None:
        self.refused[msp] = error.message


def _view(data: bytes | memoryview, polynomials: int) -> Residues:
    expected = polynomials * POLYNOMIAL_BYTES
    if len(data) != expected:
        raise CiphertextLengthError(
            f"the ciphertext has {len(data)} bytes, {polynomials} polynomials have {expected}"
        )
    return _view_any(data).reshape(polynomials, RING_DEGREE)


def _view_any(data: bytes | memoryview) -> Residues:
    view: Residues = np.frombuffer(data, dtype="<u8")
    return view


def _residue_error(flat: Residues, first_polynomial: int = 0) -> ResidueError:
    position = int(np.argmax(flat >= np.uint64(MODULUS)))
    polynomial, coefficient = divmod(position, RING_DEGREE)
    where = first_polynomial + polynomial
    return ResidueError(f"residue {coefficient} of polynomial {where} is not below {MODULUS}")


def _check_and_add(rows: Sequence[Residues]) -> tuple[Residues, tuple[int, ...]]:
    """Add flat rows; positions of rows with a residue of q or more come beside the sum."""
    size = rows[0].size
    total = np.empty(size, np.uint64)
    scratch = np.empty(min(TILE, size), np.uint64)
    invalid: set[int] = set()
    for start in range(0, size, TILE):
        parts = [row[start : start + TILE] for row in rows]
        invalid.update(i for i, part in enumerate(parts) if part.max() >= MODULUS)
        _add_tile(parts, total[start : start + TILE], scratch[: parts[0].size])
    return total, tuple(sorted(invalid))


def _add_tile(parts: Sequence[Residues], tile: Residues, scratch: Residues) -> None:
    """Write the sum modulo q of `parts` into `tile`, by `ring.reduce` without allocation."""
    if len(parts) == 1:
        tile[:] = parts[0]
        return
    np.add(parts[0], parts[1], out=tile)
    terms = 2
    for part in parts[2:]:
        if terms == LAZY_TERMS:
            _reduce_tile(tile, scratch)
            terms = 1
        tile += part
        terms += 1
    _reduce_tile(tile, scratch)


def _reduce_tile(tile: Residues, scratch: Residues) -> None:
    np.right_shift(tile, ring.SHIFT_60, out=scratch)
    scratch *= ring.FOLD
    tile &= ring.MASK_60
    tile += scratch
    np.subtract(tile, ring.Q, out=scratch)
    np.minimum(tile, scratch, out=tile)


assert CHUNK_BYTES % POLYNOMIAL_BYTES == 0  # noqa: S101 - blocks of the sum are whole polynomials
