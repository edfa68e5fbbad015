"""From a weight change to small integers, and back from their sum to a mean.

A tensor with clipping scale c has levels 0 to L - 1 around the centre Z = (L - 1)/2
(L is odd), one step being c / Z. Values beyond c are clipped to it. Rounding is
stochastic: a value between two levels goes up with the probability of its distance, so
the result is unbiased and the mean over hospitals gains precision. Zero is exactly the
centre, never its neighbour: a hospital without a part in a tensor adds nothing to it.

Quantising needs no agreement between machines (its noise is each hospital's own); the
mean does, and uses only integer sums and single IEEE multiplications and divisions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from peer_client.update.errors import ClipRangeError, WeightListError
from peer_client.update.tensors import SharedTensor, check_layout, slices

#: Values worked on at a time: 256 KiB of float64.
BLOCK: Final = 32_768


@dataclass(frozen=True, slots=True)
class QuantisationReport:
    """What rounding and clipping did to an update; shown, never sent."""

    relative_error: float  # root of squared error over squared values
    clipped: float  # share of values beyond their scale


def quantise(
    difference: NDArray[np.float32],
    scales: NDArray[np.float64],
    levels: int,
    rng: np.random.Generator,
    *,
    tensors: Sequence[SharedTensor],
    groups: Collection[str],
) -> NDArray[np.int64]:
    """Clip and round a weight change to the integers that are encrypted.

    Args:
        difference: Change of the shared weights, shape (parameters,).
        scales: Clipping scale of each tensor, in the unit of the weights.
        levels: L, odd, at least 3.
        rng: Source of the rounding noise.
        tensors: The shared tensors, in order.
        groups: Groups this hospital has a part in; the others' tensors become zeros.

    Returns:
        Integers in [0, L), shape (parameters,).

    Raises:
        WeightListError: Another number of values, or one that is not finite.
        ClipRangeError: A scale is not positive, or L is even or below 3.

    >>> tensors = [SharedTensor("w", 3, "all")]
    >>> change = np.array([-9.0, 0.0, 0.5], np.float32)
    >>> quantise(change, np.array([0.5]), 255, np.random.default_rng(0),
    ...          tensors=tensors, groups={"all"}).tolist()
    [0, 127, 254]
    """
    check_layout(difference.size, tensors, scales)
    centre = centre_level(levels)
    if not bool(np.isfinite(difference).all()):
        raise WeightListError("a weight's change is not finite")
    values = np.full(difference.size, centre, np.int64)
    for (tensor, part), scale in zip(slices(tensors), scales.tolist(), strict=True):
        if tensor.group in groups:
            for block in _blocks(part):
                values[block] += _rounded(difference[block], centre / scale, centre, rng)
    return values


def _rounded(
    change: NDArray[np.float32], levels_per_unit: float, centre: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Changes as levels from -Z to Z: floor(x + u), u uniform, is x rounded up or down at random.

    u has 24 bits, so that Z + u is exact and below Z + 1 for every width in use; a wider one is
    held to Z as well.
    """
    scaled = change.astype(np.float64)
    scaled *= levels_per_unit
    # Clip after scaling: c * (Z / c) may exceed Z by one unit in the last place.
    np.clip(scaled, -centre, centre, out=scaled)
    scaled += rng.random(change.size, np.float32)
    np.floor(scaled, out=scaled)
    np.minimum(scaled, centre, out=scaled)
    return scaled.astype(np.int64)


def _blocks(part: slice) -> list[slice]:
    """Cut a tensor's place into pieces whose temporary arrays stay in cache."""
    return [slice(at, min(at + BLOCK, part.stop)) for at in range(part.start, part.stop, BLOCK)]


def quantisation_report(
    difference: NDArray[np.float32],
    values: NDArray[np.int64],
    scales: NDArray[np.float64],
    levels: int,
    *,
    tensors: Sequence[SharedTensor],
    groups: Collection[str],
) -> QuantisationReport:
    """How far the integers are from the change they stand for.

    Args:
        difference: As for `quantise`.
        values: What it gave.
        scales: As for `quantise`.
        levels: As for `quantise`.
        tensors: As for `quantise`.
        groups: As for `quantise`; other tensors do not count.

    Returns:
        Relative error and share of clipped values (0 and 0 for no values).

    Raises:
        ClipRangeError: L is even or below 3.
    """
    centre = centre_level(levels)
    error = total = 0.0
    clipped = count = 0
    for (tensor, part), scale in zip(slices(tensors), scales.tolist(), strict=True):
        if tensor.group not in groups:
            continue
        count += tensor.size
        for block in _blocks(part):
            wanted = difference[block].astype(np.float64)
            missed = (values[block] - centre) * (scale / centre)
            missed -= wanted
            clipped += int(np.count_nonzero(np.abs(wanted) > scale))
            error += float(np.square(missed, out=missed).sum())
            total += float(np.square(wanted, out=wanted).sum())
    relative = (error / total) ** 0.5 if total else 0.0
    return QuantisationReport(relative, clipped / count if count else 0.0)


def dequantise_mean(
    sums: NDArray[np.int64],
    holders: Mapping[str, int],
    scales: NDArray[np.float64],
    levels: int,
    *,
    tensors: Sequence[SharedTensor],
    contributors: int,
    contributors_min: int,
) -> NDArray[np.float64]:
    """The mean change of every weight, over the hospitals with a part in it.

    With |S| contributors, of which g have a part, the mean is (sum - |S| Z) c / (g Z):
    those without a part sent Z. A group in which fewer than k contributors have a part
    keeps its weights: its sum would be nearly one hospital's update.

    Args:
        sums: Opened sums, integers, shape (parameters,).
        holders: By group, contributors with a part in it.
        scales: The round's clipping scale of each tensor.
        levels: L.
        tensors: The shared tensors, in order.
        contributors: |S|.
        contributors_min: k.

    Returns:
        float64, shape (parameters,), the same bits on every machine.

    Raises:
        WeightListError: Another number of sums.
        ClipRangeError: A scale, L, or a number of contributors out of range.
    """
    check_layout(sums.size, tensors, scales)
    centre = centre_level(levels)
    if any(not 0 <= count <= contributors for count in holders.values()):
        raise ClipRangeError(f"{contributors} contributors, of which {dict(holders)} have a part")
    mean = np.zeros(sums.size, np.float64)
    for (tensor, part), scale in zip(slices(tensors), scales.tolist(), strict=True):
        having = holders.get(tensor.group, 0)
        if having >= contributors_min:
            moved = sums[part] - contributors * centre
            # Integers below 2**53 are exact in float64; then one product, one quotient, both
            # rounded as IEEE 754 demands. No sum of floats, whose order could differ.
            mean[part] = moved.astype(np.float64) * scale / float(having * centre)
    return mean


def centre_level(levels: int) -> int:
    """Z, the level that means zero.

    Args:
        levels: L, odd, at least 3.

    Returns:
        (L - 1) / 2.

    Raises:
        ClipRangeError: L is even or below 3.
    """
    if levels < 3 or levels % 2 == 0:
        raise ClipRangeError(f"{levels} levels: an odd number of at least 3 has a centre")
    return (levels - 1) // 2
