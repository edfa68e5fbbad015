"""Apply a mean change to the shared weights, with the same bits on every machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from peer_client.update.errors import WeightListError


def apply_update(weights: NDArray[np.float32], mean: NDArray[np.float64]) -> NDArray[np.float32]:
    """The new shared weights.

    One addition in float64 and one rounding to float32 for each weight, element by
    element: IEEE 754 fixes both, and numpy neither reorders nor fuses them, so all
    hospitals get one digest.

    Args:
        weights: Shared weights before the round, shape (parameters,).
        mean: `dequantise_mean`'s result, shape (parameters,).

    Returns:
        float32, shape (parameters,).

    Raises:
        WeightListError: Other shapes or types, or a result that is not finite.

    >>> apply_update(np.array([1.0], np.float32), np.array([0.25])).tolist()
    [1.25]
    """
    if weights.dtype != np.float32 or mean.dtype != np.float64:
        raise WeightListError(f"weights are float32 and means float64, not {mean.dtype}")
    if weights.shape != mean.shape or weights.ndim != 1:
        raise WeightListError(f"weights of shape {weights.shape}, changes of {mean.shape}")
    # An overflow to infinity is caught below, with a sentence instead of a warning.
    with np.errstate(over="ignore"):
        updated = (weights.astype(np.float64) + mean).astype(np.float32)
    if not bool(np.isfinite(updated).all()):
        raise WeightListError("a weight would not be finite after this round")
    return updated
