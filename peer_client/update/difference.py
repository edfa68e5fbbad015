"""What a round's training changed, and the digests that name weights and changes."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from chaincode.roundkey.frame import frame
from peer_client.update.errors import WeightListError


def weight_difference(
    before: NDArray[np.float32], after: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The change of every shared weight.

    Args:
        before: Shared weights the training started from, shape (parameters,).
        after: After it, same shape.

    Returns:
        after - before, float32, shape (parameters,).

    Raises:
        WeightListError: Other shapes or types, or a change that is not finite.
    """
    if before.dtype != np.float32 or after.dtype != np.float32:
        raise WeightListError(f"weights are float32, not {before.dtype} and {after.dtype}")
    if before.ndim != 1 or before.shape != after.shape:
        raise WeightListError(f"weights of shape {before.shape} became {after.shape}")
    difference: NDArray[np.float32] = after - before
    if not bool(np.isfinite(difference).all()):
        raise WeightListError("a weight is not finite after training")
    return difference


def update_digest(difference: NDArray[np.float32]) -> str:
    """SHA-256 of a weight change before it is rounded: what the journal calls spent.

    Args:
        difference: float32, shape (parameters,).

    Returns:
        64 hex digits.
    """
    return _digest("update/v1", difference)


def model_digest(weights: NDArray[np.float32]) -> str:
    """SHA-256 of shared weights: what hospitals confirm and the ledger publishes.

    Hospitals that applied the same sum hold the same bits: `apply_update` uses only
    IEEE operations that every machine rounds alike. Negative zero counts as zero.

    Args:
        weights: float32, shape (parameters,).

    Returns:
        64 hex digits.

    >>> model_digest(np.array([0.0], np.float32)) == model_digest(np.array([-0.0], np.float32))
    True
    """
    return _digest("model/v1", weights + np.float32(0))


def _digest(kind: str, values: NDArray[np.float32]) -> str:
    if values.dtype != np.float32 or values.ndim != 1:
        raise WeightListError(f"a vector of float32 is expected, not {values.dtype}")
    content = hashlib.sha256(frame(kind, values.size))
    content.update(np.ascontiguousarray(values, "<f4").tobytes())
    return content.hexdigest()
