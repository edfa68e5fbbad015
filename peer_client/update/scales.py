"""The next round's clipping scales, from what everybody can see: the opened sums.

A scale must cover what hospitals will send, but no hospital may say how large its own
change is. The opened sum bounds it from above when changes point in different
directions: for g hospitals of root mean square r the sum's is between sqrt(g) r and
g r. So r is taken as the sum's over sqrt(g), and a scale is four times that . From one
round to the next a scale at most doubles or halves: one bad sum costs little.

Every hospital must get the same bits. Squares are summed as integers, exactly; what
follows is one division of integers, one square root and two products, each rounded as
IEEE 754 demands.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from peer_client.update.quantise import centre_level
from peer_client.update.tensors import NANO, SharedTensor, check_layout, slices

ROOT_MEAN_SQUARES: Final = 4.0
LARGEST_STEP: Final = 2.0
SMALLEST_SCALE: Final = 1 / NANO  # the unit in which a study states scales


def next_scales(
    sums: NDArray[np.int64],
    holders: Mapping[str, int],
    scales: NDArray[np.float64],
    levels: int,
    *,
    tensors: Sequence[SharedTensor],
    contributors: int,
    contributors_min: int,
) -> NDArray[np.float64]:
    """The clipping scale of each tensor in the next round.

    Args:
        sums: Opened sums, integers, shape (parameters,).
        holders: By group, contributors with a part in it.
        scales: This round's scales.
        levels: L.
        tensors: The shared tensors, in order.
        contributors: |S|.
        contributors_min: k; the scales of a group with fewer holders stay.

    Returns:
        float64, shape (tensors,), the same bits on every machine.

    Raises:
        WeightManifestError: Another number of sums.
        ClipRangeError: A scale or L is out of range.
    """
    check_layout(sums.size, tensors, scales)
    centre = centre_level(levels)
    following = scales.copy()
    for index, (tensor, part) in enumerate(slices(tensors)):
        having = holders.get(tensor.group, 0)
        if having < contributors_min:
            continue
        scale = float(scales[index])
        moved = sums[part] - contributors * centre
        levels_used = math.sqrt(sum_of_squares(moved) / (tensor.size * having))
        wanted = ROOT_MEAN_SQUARES * levels_used * scale / centre
        bounded = min(max(wanted, scale / LARGEST_STEP), scale * LARGEST_STEP)
        following[index] = max(bounded, SMALLEST_SCALE)
    return following


def sum_of_squares(numbers: NDArray[np.int64]) -> int:
    """The exact sum of squares, in Python's integers.

    Args:
        numbers: Below 2**46 in magnitude.

    Returns:
        The sum.

    >>> sum_of_squares(np.array([2**45, -3])) == 2**90 + 9
    True
    """
    total = 0
    for start in range(0, numbers.size, 1 << 16):
        block = numbers[start : start + (1 << 16)]
        # 23-bit halves: 2**16 products of two of them stay below 2**62.
        high, low = block >> 23, block & 0x7FFFFF
        total += int(high @ high) << 46
        total += int(high @ low) << 24
        total += int(low @ low)
    return total
