"""A fingerprint of a picture that stays nearly the same when the picture is saved again.

For finding near-identical pictures: the same slice at another size, saved as JPEG, or shown in
another window. It says nothing about who the patient is, and two neighbouring slices of one scan
may differ by more than its limit; splitting by patient is not replaced by it.

Method: perceptual hash by the discrete cosine transform (Zauner 2010, "Implementation and
Benchmarking of Perceptual Image Hash Functions", section 3.2.1), with 16 x 16 low frequencies
of the picture at 64 x 64, each compared with the median: 256 bits. (Ranking the levels
first, against changes of window, was tried and lost: it lifts the noise of the air to full height.)
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from peer_client.ct.grid import resized
from peer_client.ct.image import Image2D

FINGERPRINT_BYTES: Final = 32
_SIDE_PX: Final = 64
_LOW: Final = 16
#: Bits of 256 by which two pictures may differ and still be called near-identical. Measured on
#: real slices: the same picture saved again (JPEG quality 50 to 80, enlarged, noisy) differs by
#: 2 to 6 bits, made smaller or with another gamma by 4 to 10 in nine of ten cases; the nearest
#: slices of two patients differ by 12 and more.
NEAR_BITS: Final = 10


def fingerprint(image: Image2D) -> bytes:
    """Return the 32-byte fingerprint of a picture.

    Args:
        image: Grey or HU, any size.
    """
    small = resized(image.pixels, _SIDE_PX)
    low = fft.dctn(small, norm="ortho")[:_LOW, :_LOW].ravel()
    low[0] = 0.0  # the mean level says nothing
    return np.packbits(low > np.median(low)).tobytes()


def nearest(
    some: NDArray[np.uint8], others: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find for each fingerprint the nearest of others.

    Args:
        some: uint8, shape `(n, 32)`.
        others: uint8, shape `(m, 32)`, m at least 1.

    Returns:
        Position in `others` and distance in bits, each int64 of shape `(n,)`.
    """
    position = np.zeros(len(some), np.int64)
    distance = np.zeros(len(some), np.int64)
    for row, print_ in enumerate(some):
        bits = np.bitwise_count(np.bitwise_xor(others, print_)).sum(axis=1, dtype=np.int64)
        position[row] = int(bits.argmin())
        distance[row] = bits[position[row]]
    return position, distance
