"""Seal one share to one hospital's key of the round, and open it there.

HPKE (RFC 9180) in base mode with the hybrid KEM of ML-KEM-768 and X25519 (safe while
either holds), HKDF-SHA256 and AES-256-GCM, from the `cryptography` package. A box has
exactly 9,328 bytes and opens only under the same info, so a box of another round,
study, dealer, recipient or ciphertext is refused; which of these was wrong is not
said.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from numpy.typing import NDArray

from chaincode.roundkey.frame import digest
from chaincode.roundkey.parameters import BOX_BYTES, SEALING_KEY_BYTES, SHARE_BYTES, SHARE_PRIME
from peer_client.sealing.errors import SealingInputError, SecretWipedError
from peer_client.sealing.wiping import wipe

SUITE: Final = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
ML_KEM_SEED_BYTES: Final = 64
PRIVATE_BYTES: Final = ML_KEM_SEED_BYTES + 32
ML_KEM_PUBLIC_BYTES: Final = SEALING_KEY_BYTES - 32


class SealingKey:
    """The private half of a hospital's key of one round; its text is a fingerprint."""

    __slots__ = ("_private", "_public", "_seed")

    def __init__(self, seed: bytearray) -> None:
        if len(seed) != PRIVATE_BYTES:
            raise SealingInputError("a sealing key has another length than expected")
        self._seed = seed
        # Expanded once: each expansion leaves a copy of the seed that Python cannot overwrite.
        with memoryview(seed) as view:
            ml_kem = mlkem.MLKEM768PrivateKey.from_seed_bytes(view[:ML_KEM_SEED_BYTES])
            curve = x25519.X25519PrivateKey.from_private_bytes(view[ML_KEM_SEED_BYTES:])
        self._private: hpke.MLKEM768X25519PrivateKey | None = hpke.MLKEM768X25519PrivateKey(
            ml_kem, curve
        )
        self._public = (
            ml_kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
        )

    @property
    def public(self) -> bytes:
        """The public half, 1216 bytes: ML-KEM-768, then X25519."""
        return self._public

    @property
    def seed(self) -> bytearray:
        """The private bytes themselves: to be stored in memory-backed storage only."""
        return self._seed

    def open(self, box: bytes, info: bytes) -> NDArray[np.uint16] | None:
        """Open a box.

        Args:
            box: What the dealer sealed.
            info: What it must be bound to.

        Returns:
            The share, values below p, shape (4096,), or None where the box does not
            open to one: the caller reports the dealer.

        Raises:
            SecretWipedError: The key was wiped.
        """
        if len(box) != BOX_BYTES:
            return None
        if self._private is None:
            raise SecretWipedError("a sealing key was used after it was wiped")
        try:
            content = SUITE.decrypt(box, self._private, info=info)
        except (InvalidTag, ValueError):
            return None
        if len(content) != SHARE_BYTES:
            return None
        share = np.frombuffer(content, "<u2").astype(np.uint16)
        wipe(content)
        if int(share.max()) < SHARE_PRIME:
            return share
        wipe(share)
        return None

    def wipe(self) -> None:
        """Overwrite the private bytes; every later use is refused."""
        wipe(self._seed)
        self._seed = bytearray()
        self._private = None

    def __repr__(self) -> str:
        state = digest("roundkey/fingerprint/v1", self._public).hex()[:8] if self._seed else "wiped"
        return f"<SealingKey {state}>"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a sealing key is not copied or stored")


def seal(share: NDArray[np.uint16], sealing_key: bytes, info: bytes) -> bytes:
    """Seal a share.

    Args:
        share: Values below p, shape (4096,).
        sealing_key: The recipient's public key, 1216 bytes.
        info: What the box is bound to.

    Returns:
        9,328 bytes.

    Raises:
        SealingInputError: The key does not load.
    """
    try:
        public = hpke.MLKEM768X25519PublicKey(
            mlkem.MLKEM768PublicKey.from_public_bytes(sealing_key[:ML_KEM_PUBLIC_BYTES]),
            x25519.X25519PublicKey.from_public_bytes(sealing_key[ML_KEM_PUBLIC_BYTES:]),
        )
        # A view: on a little-endian machine the share is not copied.
        words = np.ascontiguousarray(share, "<u2")
        box = SUITE.encrypt(words.data.cast("B"), public, info=info)
    except ValueError as error:
        raise SealingInputError("a sealing key of the round does not load") from error
    return box
