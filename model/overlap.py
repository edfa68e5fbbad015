"""How well lesion maps fit masks: Dice by slice, pooled and by lesion size; pure numpy.

Only slices whose mask shows a lesion have a Dice; the others count in the pooled figure, where a
false alarm costs. Without any lesion there is no Dice, and `EvaluationError` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.errors import EvaluationError
from model.evaluation import Interval


@dataclass(frozen=True, slots=True)
class DiceScores:
    """Dice of lesion maps against masks.

    Attributes:
        mean: Mean over slices with a lesion.
        pooled: Over all pixels of all slices together.
        slices: Slices with a lesion.
        by_size: Means over the smallest, middle and largest third of lesions (by area); empty where
            there are fewer than three slices with a lesion.
    """

    mean: float
    pooled: float
    slices: int
    by_size: tuple[float, ...]


def slice_dice(
    lesion: NDArray[np.floating], masks: NDArray[np.integer], *, threshold: float = 0.5
) -> NDArray[np.float64]:
    """Return the Dice of each slice (Dice 1945): 2 |A and B| / (|A| + |B|).

    Args:
        lesion: Probabilities, shape `(n, height, width)`.
        masks: Same shape; above 0 is lesion.
        threshold: A pixel at or above it is called lesion.

    Returns:
        float64, shape `(n,)`; NaN where the mask shows no lesion.

    Raises:
        EvaluationError: The shapes differ.
    """
    both, called, true = _areas(lesion, masks, threshold)
    with np.errstate(invalid="ignore"):
        dice: NDArray[np.float64] = np.where(true > 0, 2 * both / (called + true), np.nan)
    return dice


def dice(
    lesion: NDArray[np.floating], masks: NDArray[np.integer], *, threshold: float = 0.5
) -> DiceScores:
    """Return mean, pooled and by-size Dice (see `slice_dice`).

    Raises:
        EvaluationError: The shapes differ, or no mask shows a lesion.
    """
    each = slice_dice(lesion, masks, threshold=threshold)
    both, called, true = _areas(lesion, masks, threshold)
    shown = true > 0
    if not shown.any():
        raise EvaluationError("no mask shows a lesion, so there is no Dice")
    by_size: tuple[float, ...] = ()
    if shown.sum() >= 3:
        ordered = each[shown][np.argsort(true[shown], kind="stable")]
        by_size = tuple(float(part.mean()) for part in np.array_split(ordered, 3))
    pooled = 2 * both.sum() / (called.sum() + true.sum())
    return DiceScores(float(each[shown].mean()), float(pooled), int(shown.sum()), by_size)


def dice_difference(
    patients: Sequence[str],
    dice: NDArray[np.float64],
    baseline: NDArray[np.float64],
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Return the mean gain in Dice over another model's, patients counted equally.

    Args:
        patients: Id of each slice's patient, length n.
        dice: From `slice_dice`, shape `(n,)`; slices without a lesion are left out.
        baseline: The other model's, of the same slices.
        rng: Source of the draws.
        draws: Number of resamples of patients.
        confidence: Of the interval.

    Raises:
        EvaluationError: Lengths differ, or no slice has a lesion.
    """
    if not len(patients) == len(dice) == len(baseline):
        raise EvaluationError(
            f"{len(patients)} patient ids, {len(dice)} and {len(baseline)} Dice values"
        )
    shown = np.isfinite(dice) & np.isfinite(baseline)
    if not shown.any():
        raise EvaluationError("no mask shows a lesion, so there is no Dice")
    names, owner = np.unique(np.asarray(patients, dtype=str)[shown], return_inverse=True)
    totals = np.bincount(owner, (dice - baseline)[shown])
    gains = totals / np.bincount(owner)
    drawn = gains[rng.integers(len(names), size=(draws, len(names)))].mean(axis=1)
    tail = 50 * (1 - confidence)
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return Interval(float(gains.mean()), float(low), float(high))


def _areas(
    lesion: NDArray[np.floating], masks: NDArray[np.integer], threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the pixels of both, of the map and of the mask, by slice."""
    if lesion.shape != masks.shape or lesion.ndim != 3:
        raise EvaluationError(f"maps of shape {lesion.shape}, masks of shape {masks.shape}")
    called, true = lesion >= threshold, masks > 0
    return (called & true).sum((1, 2)), called.sum((1, 2)), true.sum((1, 2))
