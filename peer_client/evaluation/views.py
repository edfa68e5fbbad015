"""Log odds of slices, averaged over views where a patient has few slices.

Rule: a patient of at most twelve slices is read in all views of `model.views`; with more, the
slices are views enough, and reading a volume five times over would cost too much. The lesion map is
of the slice as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from model.views import VIEWS, viewed

if TYPE_CHECKING:
    from model.network import SliceNetwork

#: Told (slices done, slices).
Progress = Callable[[int, int], None]

#: A patient with more slices than this is read in one view; a round judges this many of a patient.
FEW_SLICES: Final = 12


def of_few(patients: Sequence[str]) -> NDArray[np.bool_]:
    """Say which slices are read in all views: those of patients with few, bool, shape `(n,)`.

    >>> of_few(["a"] * 13 + ["b"]).tolist()[-2:]
    [False, True]
    """
    count = Counter(patients)
    return np.array([count[patient] <= FEW_SLICES for patient in patients], bool)


def log_odds(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return log odds of probabilities, finite also where float32 says 0 or 1; same shape.

    >>> log_odds(np.array([0.5, 1.0], np.float32)).round(1).tolist()
    [0.0, 16.1]
    """
    held = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    result: NDArray[np.float64] = np.log(held) - np.log1p(-held)
    return result


def averaged_over_views(
    net: SliceNetwork,
    images: NDArray[np.float32],
    as_they_are: NDArray[np.float64],
    few: NDArray[np.bool_] | None,
    told: Progress | None = None,
) -> NDArray[np.float64]:
    """Average the log odds of some slices over all views.

    Args:
        net: The network.
        images: float32, shape `(n, size_px, size_px, 1)`.
        as_they_are: Log odds of the slices as they are, float64, shape `(n,)`.
        few: Which slices are read in the other views too, bool, shape `(n,)`; None: none.
        told: Told (slices done, slices), of all n; all views together read them once.

    Returns:
        float64, shape `(n,)`.
    """
    result = as_they_are.copy()
    if few is None or not few.any():
        return result
    whole = None if told is None else _scaled(told, len(images))
    for place, view in enumerate(VIEWS):
        progress = part_of(whole, place, len(VIEWS))
        result[few] += mirrored_log_odds(net, viewed(images[few], view), progress)
    result[few] /= 1 + len(VIEWS)
    return result


def mirrored_log_odds(
    net: SliceNetwork, images: NDArray[np.float32], told: Progress | None = None
) -> NDArray[np.float64]:
    """Return the log odds that `predict` would give, without its maps: two to three times as fast.

    They are those of the mean probability of a slice and its mirror image; the mean of their log
    odds is another number.
    """
    from model.prediction import predict_scores

    def probabilities(pictures: NDArray[np.float32], place: int) -> NDArray[np.float64]:
        half = part_of(told, place, 2)
        scores = predict_scores(net, pictures, flips=False, progress=half).astype(np.float64)
        result: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * scores))
        return result

    both = probabilities(images, 0) + probabilities(images[:, :, ::-1], 1)
    return log_odds((both / 2).astype(np.float32))


def _scaled(told: Progress, slices: int) -> Progress:
    """Return what the reading of some slices tells its progress to, in terms of all."""
    return lambda done, total: told(done * slices // total, slices)


def part_of(progress: Progress | None, place: int, parts: int) -> Progress | None:
    """Return what one of several readings of the same slices tells its progress to."""
    if progress is None:
        return None
    return lambda done, total: progress((place * total + done) // parts, total)
