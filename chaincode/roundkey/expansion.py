"""The public polynomials a_j of a round, expanded from its name.

Nobody sends them: every hospital and every chaincode service computes them from
study, round and index, so a peer cannot hand out others, and no a_j serves two
rounds. They are uniform in Z_q and count as values in NTT order.

a_j: AES-256 in counter mode from block 0 under the key
SHA-256(frame("roundkey/a/v1", study, round, j)); 64-bit little-endian words, low
60 bits, values not below q skipped, the first 4096 kept (docs/security.md, "Round
keys").
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from chaincode.roundkey.frame import digest
from chaincode.roundkey.parameters import POLYNOMIAL_BYTES, RING_DEGREE
from chaincode.roundkey.ring import MASK_60, Q, Residues


def expand(study: str, round_number: int, polynomials: int, *, first: int = 0) -> Residues:
    """The polynomials a_first, a_first+1, ... of a round.

    The key check's polynomial has index d: `expand(study, r, d + 1)` has all.

    Args:
        study: Name of the study.
        round_number: Number of the round; never repeats within a study.
        polynomials: How many.
        first: Index of the first.

    Returns:
        Residues in NTT order, shape (polynomials, 4096).

    >>> bool((expand("lungs", 1, 3)[2] == expand("lungs", 1, 1, first=2)[0]).all())
    True
    """
    expanded = np.empty((polynomials, RING_DEGREE), np.uint64)
    for row in range(polynomials):
        key = digest("roundkey/a/v1", study, round_number, first + row)
        expanded[row] = uniform_residues(key)
    return expanded


def uniform_residues(key: bytes) -> Residues:
    """4096 residues below q from one AES-256 key.

    Args:
        key: 32 bytes.

    Returns:
        Residues, shape (4096,).
    """
    # Creating a cipher costs as much as a fifth of the stream; one stream nearly always suffices:
    # a word is skipped with probability 2**-46 (q is 2**60 - 2**14 + 1).
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    words = np.frombuffer(stream.update(bytes(POLYNOMIAL_BYTES)), "<u8") & MASK_60
    while len(words) < RING_DEGREE or not bool((words < Q).all()):
        more = np.frombuffer(stream.update(bytes(POLYNOMIAL_BYTES)), "<u8") & MASK_60
        words = np.concatenate([words[words < Q], more[more < Q]])[:RING_DEGREE]
    return words
