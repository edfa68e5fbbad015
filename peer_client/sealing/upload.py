"""Encrypt one update, share its secret, seal the shares: one call, one secret, wiped.

    c0_j = -a_j s + t e_j + m_j        polynomial j of the packed update
    c0_d = -a_d s + t e_d              the key check, an encryption of zero

s, every e_j and the share polynomials are drawn inside the call, from the system's
randomness hashed with the round and the update: two clones of one machine that draw
the same random bytes still get different secrets for different updates. They are
overwritten before the call returns; only the upload's bytes leave. The upload is the
ciphertext, then one sealed share for each joined hospital in MSP order
(`chaincode.records.round.UploadLayout`).

`seal_update_once` is how a client calls it: stored and journalled before any byte can
be sent, never encrypted a second time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chaincode.roundkey import ntt, ring
from chaincode.roundkey.expansion import expand
from chaincode.roundkey.frame import frame
from chaincode.roundkey.parameters import RING_DEGREE, RoundParameters
from peer_client.sealing.boxes import seal
from peer_client.sealing.dealing import deal
from peer_client.sealing.encoder import encoder_for
from peer_client.sealing.errors import SealingInputError
from peer_client.sealing.journal import Journal
from peer_client.sealing.round_secret import RoundSecret
from peer_client.sealing.sampling import KeyStream, binomial
from peer_client.sealing.transcript import RoundTranscript
from peer_client.sealing.wiping import release_freed_memory, wipe
from peer_client.update.packing import pack

#: Polynomials worked on at once; their scratch stays in cache (see `chaincode.roundkey.ntt.BATCH`).
BLOCK: Final = ntt.BATCH
ENTROPY_BYTES: Final = 32
#: What is drawn, each from a key stream of its own.
_STREAMS: Final = ("secret", "errors", "shares")

Entropy = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class SealedUpload:
    """What a hospital sends: nothing in it is secret."""

    payload: bytes  # ciphertext, then boxes
    ciphertext_sha256: str  # of the ciphertext alone, 64 hex digits

    @property
    def upload_sha256(self) -> str:
        """Of the whole payload, 64 hex digits."""
        return hashlib.sha256(self.payload).hexdigest()

    def __repr__(self) -> str:
        return f"<SealedUpload {len(self.payload)} bytes, ciphertext {self.ciphertext_sha256[:8]}>"


def seal_update_once(
    values: NDArray[np.int64],
    *,
    parameters: RoundParameters,
    round: RoundTranscript,
    entropy: Entropy,
    journal: Journal,
    update_sha256: str,
    store: Callable[[bytes], None],
) -> SealedUpload:
    """Encrypt an update that was never encrypted, and write that down before returning.

    A crash before the journal's entry leaves nothing sent: the next call encrypts
    afresh. After it, a retry sends the stored bytes; this function refuses.

    Args:
        values: As for `seal_update`.
        parameters: As for `seal_update`.
        round: As for `seal_update`.
        entropy: As for `seal_update`.
        journal: The hospital's journal.
        update_sha256: `peer_client.update.update_digest` of the weight change before
            rounding, so that rounding the same change again does not hide it.
        store: Writes the payload durably (fsync) where a retry finds it.

    Returns:
        The upload.

    Raises:
        SpentUpdateError: The update or the round has been used.
        SealingInputError: As for `seal_update`.
        JournalError: The entry could not be written; nothing may be sent.
    """
    journal.check_unspent(round.study, round.round_number, update_sha256)
    sealed = seal_update(values, parameters=parameters, round=round, entropy=entropy)
    store(sealed.payload)
    journal.record_upload(
        round.study,
        round.round_number,
        update_sha256=update_sha256,
        ciphertext_sha256=sealed.ciphertext_sha256,
        upload_sha256=sealed.upload_sha256,
    )
    return sealed


def seal_update(
    values: NDArray[np.int64],
    *,
    parameters: RoundParameters,
    round: RoundTranscript,
    entropy: Entropy,
) -> SealedUpload:
    """Draw, encrypt, deal, seal, wipe.

    Args:
        values: Quantised update, integers in [0, L), shape (parameters,).
        parameters: The study's numbers.
        round: The round with its verified joins.
        entropy: Returns that many random bytes, which are overwritten after use: a bytes object
            of the call's own. `os.urandom` outside tests.

    Returns:
        The upload.

    Raises:
        SealingInputError: Values of another number or range, too few joined, or a
            sealing key that does not load.
    """
    _check_values(values, parameters)
    round.check_enough(parameters)
    if not all(1 <= member.point <= parameters.hospitals for member in round.joined):
        raise SealingInputError("an evaluation point lies outside 1 to N")
    seed = _seed(values, parameters, round, entropy)
    keys = [_secret_digest(f"roundkey/draw/{name}/v1", seed) for name in _STREAMS]
    wipe(seed)
    try:
        with RoundSecret.draw(keys[0]) as secret:
            errors = KeyStream(keys[1])
            ciphertext = encrypt(values, secret, errors, parameters=parameters, round=round)
            del errors
            points = [member.point for member in round.joined]
            shares = deal(secret, points, parameters.threshold, keys[2])
        ciphertext_sha256 = hashlib.sha256(ciphertext.data).digest()
        try:
            boxes = [
                seal(
                    shares[position],
                    member.sealing_key,
                    round.box_info(round.own_msp, member, ciphertext_sha256),
                )
                for position, member in enumerate(round.joined)
            ]
        finally:
            wipe(shares)
    finally:
        for key in keys:
            wipe(key)
        release_freed_memory()
    return SealedUpload(b"".join([ciphertext.data, *boxes]), ciphertext_sha256.hex())


def encrypt(
    values: NDArray[np.int64],
    secret: RoundSecret,
    errors: KeyStream,
    *,
    parameters: RoundParameters,
    round: RoundTranscript,
) -> ring.Residues:
    """Encrypt packed values and the key check under one secret.

    Args:
        values: Integers in [0, L), shape (parameters,).
        secret: The round secret.
        errors: Key stream of the errors.
        parameters: The study's numbers.
        round: Names the public polynomials.

    Returns:
        Little-endian residues in NTT order, shape (polynomials + 1, 4096).

    Raises:
        SealingInputError: SEAL refuses the parameters.
    """
    encoder = encoder_for(parameters.plaintext_modulus)
    in_polynomial = parameters.fields * RING_DEGREE
    rows = parameters.polynomials + 1
    ciphertext = np.empty((rows, RING_DEGREE), "<u8")
    hidden = secret.values()
    negated = ring.negate(hidden)
    try:
        for start in range(0, rows, BLOCK):
            stop = min(start + BLOCK, rows)
            public = expand(round.study, round.round_number, stop - start, first=start)
            masked = ring.multiply(public, negated)
            error = _scaled_errors(errors, stop - start, parameters.plaintext_modulus)
            packed = values[start * in_polynomial : stop * in_polynomial]
            slots = pack(packed, parameters) if packed.size else np.empty((0, 0), np.int64)
            for row in range(stop - start):
                message = slots[row] if row < len(slots) else None
                ciphertext[start + row] = encoder.encrypt(
                    masked[row], public[row], error[row], message
                )
            for buffer in (masked, error, slots):
                wipe(buffer)
    finally:
        wipe(hidden)
        wipe(negated)
        encoder.overwrite_freed()
    return ciphertext


def _scaled_errors(errors: KeyStream, rows: int, modulus: int) -> NDArray[np.int64]:
    """Errors of some polynomials times t, exact in 64 bits: |t e| <= 42 t < q / 2."""
    drawn = binomial(errors, rows * RING_DEGREE)
    scaled = drawn.astype(np.int64).reshape(rows, RING_DEGREE)
    scaled *= modulus
    wipe(drawn)
    return scaled


def _seed(
    values: NDArray[np.int64], parameters: RoundParameters, round: RoundTranscript, entropy: Entropy
) -> bytes:
    random = entropy(ENTROPY_BYTES)
    if len(random) != ENTROPY_BYTES:
        raise SealingInputError("the source of randomness gave too few bytes")
    # The narrow type is a quarter of the bytes to hash; `_check_values` has proved that it fits.
    narrow = values.astype("<u2" if parameters.levels <= 2**16 else "<u8")
    update = hashlib.sha256(narrow.data).digest()
    wipe(narrow)
    seed = _secret_digest(
        "roundkey/draw/v2", random, bytes.fromhex(round.genesis_sha256), round.channel, round.study,
        round.round_number, round.own_msp, round.joined_sha256, update,
    )  # fmt: skip
    wipe(random)
    wipe(update)
    return seed


def _secret_digest(*parts: int | str | bytes) -> bytes:
    """`chaincode.roundkey.frame.digest`, without leaving the framed parts in memory."""
    framed = frame(*parts)
    hashed = hashlib.sha256(framed).digest()
    wipe(framed)
    return hashed


def _check_values(values: NDArray[np.int64], parameters: RoundParameters) -> None:
    if values.dtype != np.int64 or values.shape != (parameters.parameters,):
        raise SealingInputError(
            f"an update of {parameters.parameters} 64-bit integers is expected, "
            f"not {values.dtype} of shape {values.shape}"
        )
    # Seen as unsigned, a negative value is a huge one: one pass finds both.
    if int(values.view(np.uint64).max()) >= parameters.levels:
        raise SealingInputError(f"an update's values lie in 0 to {parameters.levels - 1}")
