"""Secrets and errors from key streams: centred binomial numbers and field elements.

Every number comes from AES-256 in counter mode under a key that is used once.
Streams live in byte arrays and are overwritten with zeros after use. Nothing here
draws a key: `peer_client.sealing.upload` does, from the system's randomness hashed
with the update. Values are never compared or branched on, but numpy promises no
constant time (docs/security.md, "Not protected").
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from numpy.typing import NDArray

from chaincode.roundkey.parameters import NOISE_BOUND, SHARE_PRIME
from peer_client.sealing.wiping import wipe

#: Bytes of stream for one centred binomial number: 64 + 20 = 84 = 2 eta fair bits.
BINOMIAL_BYTES = 12
_LOW_20 = np.uint32(0xFFFFF)


class KeyStream:
    """AES-256-CTR from block 0 under a key that serves this stream alone.

    The caller wipes the key once the stream is made; the cipher has its own schedule by then.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher: CipherContext = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def fill(self, size: int) -> bytearray:
        """The next bytes of the stream, in a buffer that `wipe` can overwrite.

        Args:
            size: Number of bytes.

        Returns:
            The bytes.
        """
        stream = bytearray(size)
        self._cipher.update_into(bytes(size), stream)
        return stream


def binomial(stream: KeyStream, count: int) -> NDArray[np.int8]:
    """Centred binomial numbers CBD(42): 84 fair bits counted, minus 42.

    Their standard deviation is sqrt(21) = 4.58 and none exceeds 42.

    Args:
        stream: Source; 12 bytes a number: first 8 of each, then 4 of each.
        count: How many.

    Returns:
        Numbers in [-42, 42], shape (count,).
    """
    raw = stream.fill(BINOMIAL_BYTES * count)
    ones: NDArray[np.int8] = np.bitwise_count(np.frombuffer(raw, "<u8", count)).view(np.int8)
    few = np.frombuffer(raw, "<u4", count, 8 * count) & _LOW_20
    fewer = np.bitwise_count(few).view(np.int8)
    ones += fewer
    ones -= np.int8(NOISE_BOUND)
    for buffer in (few, fewer, raw):
        wipe(buffer)
    return ones


def field_elements(stream: KeyStream, count: int) -> NDArray[np.int64]:
    """Uniform elements of the share field: 16-bit words, those not below p skipped.

    Args:
        stream: Source.
        count: How many.

    Returns:
        Numbers in [0, p), shape (count,).
    """
    elements = np.empty(count, np.int64)
    filled = 0
    while filled < count:
        # One word in 4369 is skipped; a little more than needed makes a second turn rare.
        raw = stream.fill(2 * (count - filled + count // 1000 + 64))
        words = np.frombuffer(raw, "<u2")
        kept = words[words < SHARE_PRIME][: count - filled]
        elements[filled : filled + len(kept)] = kept
        filled += len(kept)
        wipe(kept)
        wipe(raw)
    return elements
