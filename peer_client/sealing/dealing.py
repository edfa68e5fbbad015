"""Split a round secret into shares of which T give it back and T - 1 say nothing.

Shamir (1979), coefficient by coefficient over the field of 65521 elements: a fresh
uniform polynomial of degree T - 1 with the coefficient as its constant term, evaluated
at each joined hospital's point. T - 1 values of it are uniform and independent of the
secret, whatever it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chaincode.roundkey.parameters import RING_DEGREE, SHARE_PRIME
from peer_client.sealing.round_secret import RoundSecret
from peer_client.sealing.sampling import KeyStream, field_elements
from peer_client.sealing.wiping import wipe


def deal(
    secret: RoundSecret, points: Sequence[int], threshold: int, key: bytes
) -> NDArray[np.uint16]:
    """Share a secret among points.

    Args:
        secret: What to share.
        points: Different numbers from 1 to p - 1.
        threshold: T, shares that give the secret back.
        key: 32 bytes, used for this alone.

    Returns:
        Shares, shape (len(points), 4096); the caller wipes them.

    Raises:
        ValueError: A point is zero (its share would be the secret), comes twice, or
            lies outside the field.
    """
    if len(set(points)) != len(points) or not all(0 < point < SHARE_PRIME for point in points):
        raise ValueError(f"evaluation points {list(points)} are not different and in the field")
    prime = np.int64(SHARE_PRIME)
    random = field_elements(KeyStream(key), (threshold - 1) * RING_DEGREE)
    polynomials = np.empty((threshold, RING_DEGREE), np.int64)
    # Every step writes into a buffer that is wiped: an expression would leave its temporaries.
    polynomials[0] = secret.coefficients
    np.remainder(polynomials[0], prime, out=polynomials[0])
    polynomials[1:] = random.reshape(threshold - 1, RING_DEGREE)
    powers = np.array(
        [[pow(point, power, SHARE_PRIME) for power in range(threshold)] for point in points],
        np.int64,
    )
    # At most 779 products of two 16-bit numbers: below 2**42.
    values = powers @ polynomials
    np.remainder(values, prime, out=values)
    shares = values.astype(np.uint16)
    for buffer in (random, polynomials, values):
        wipe(buffer)
    return shares
