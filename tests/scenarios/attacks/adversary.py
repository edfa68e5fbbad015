"""What an attacker does with what it holds: opens without asking any of the rules.

The attacker has the project's own arithmetic and everybody's public records. It is given no secret
here; each test hands it exactly what its coalition legally holds.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from chaincode.roundkey import ring
from chaincode.roundkey.expansion import expand
from chaincode.roundkey.parameters import RING_DEGREE
from chaincode.roundkey.shares import AggregateKeyError, Shares, check_round_key
from peer_client.sealing.encoder import UpdateEncoder
from peer_client.update.errors import PackedRangeError
from peer_client.update.packing import unpack
from tests.support.sealed_round import SealedRound


def decrypted(
    played: SealedRound, ciphertext: ring.Residues, key: ring.Integers, *, number: int | None = None
) -> NDArray[np.int64]:
    """Decrypt under any key, in range or not; returns slots, shape (polynomials, 4096)."""
    rows = played.parameters.polynomials
    encoder = UpdateEncoder(played.parameters.plaintext_modulus)
    encoder.load_round_key(key)
    public = expand(played.study, number or played.number, rows)
    slots = np.empty((rows, RING_DEGREE), np.int64)
    for row in range(rows):
        slots[row] = encoder.decrypt(ciphertext[row], public[row])
    return slots


def opened(
    played: SealedRound, ciphertext: ring.Residues, key: ring.Integers, *, updates: int = 1
) -> NDArray[np.int64] | None:
    """What a key makes of a ciphertext, or None where that is visibly nothing."""
    try:
        check_round_key(
            key,
            ciphertext[-1],
            study=played.study,
            round_number=played.number,
            parameters=played.parameters,
            contributors=updates,
        )
        return unpack(
            decrypted(played, ciphertext, key),
            played.count,
            played.parameters,
            contributors=updates,
        )
    except (AggregateKeyError, PackedRangeError):
        return None


def is_opened(played: SealedRound, victim: str, key: ring.Integers) -> bool:
    """Whether a key gives the victim's own values."""
    found = opened(played, played.ciphertext(victim), key)
    return found is not None and bool((found == played.values[victim]).all())


def shares_of(played: SealedRound, victim: str, coalition: Iterable[str]) -> dict[int, Shares]:
    """The shares that a coalition received from a victim, by point."""
    return {played.point_of[msp]: played.share(victim, msp) for msp in coalition}
