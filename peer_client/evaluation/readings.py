"""What one network says of some slices: a score, a lesion share, and how its mask fits the truth.

Everything later (choice, calibration, figures with intervals) is computed from readings, so a
network is asked once. Readings are kept in float64; they hold no picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from peer_client.ct.cohort import UNLABELLED, SliceSet
from peer_client.evaluation.views import of_few

#: Maps pictures float32 `(n, h, w, 1)`, and which of them are read in all views, bool `(n,)`, to
#: log odds of COVID `(n,)` and lesions `(n, h, w)`.
Reader = Callable[
    [NDArray[np.float32], NDArray[np.bool_]], tuple[NDArray[np.float64], NDArray[np.float32]]
]

#: A pixel at or above this probability is called lesion.
LESION_THRESHOLD = 0.5
#: Keeps the logarithm of an empty lesion finite: about one pixel of a slice of 96 x 96.
LEAST_SHARE = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A network's answers for n labelled slices, and its masks on m slices that have one.

    Attributes:
        patients: Patient of each labelled slice, length n.
        labels: int64, shape `(n,)`, 0 or 1.
        logits: float64, shape `(n,)`: log odds of COVID, not calibrated.
        lesion_share: float64, shape `(n,)`: mean lesion probability over the picture, in [0, 1].
        mask_patients: Patient of each slice with a mask, length m.
        mask_areas: int64, shape `(m, 3)`: pixels of map and mask together, of the map, of the mask.
    """

    patients: tuple[str, ...]
    labels: NDArray[np.int64]
    logits: NDArray[np.float64]
    lesion_share: NDArray[np.float64]
    mask_patients: tuple[str, ...]
    mask_areas: NDArray[np.int64]


def thinned(slices: SliceSet, most: int) -> SliceSet:
    """Keep at most this many labelled slices of each patient, evenly spaced, and all masked ones.

    Args:
        slices: Of one split.
        most: Labelled slices kept of each patient, at least 1.
    """
    kept: set[int] = set(slices.mask_index.tolist())
    rows: dict[str, list[int]] = {}
    for row, patient in enumerate(slices.patients):
        if slices.labels[row] != UNLABELLED:
            rows.setdefault(patient, []).append(row)
    for mine in rows.values():
        places = np.unique(np.linspace(0, len(mine) - 1, min(most, len(mine))).round().astype(int))
        kept |= {mine[place] for place in places.tolist()}
    return slices.rows(np.array(sorted(kept), np.int64))


def read_slices(reader: Reader, slices: SliceSet, *, views: bool = True) -> Reading:
    """Let a network read slices.

    Args:
        reader: A network, or a mixture of several.
        slices: Of one split; slices without a label are read for their masks only.
        views: Whether slices of patients who have few are read in several views.

    Returns:
        Its answers.
    """
    if not len(slices):
        nothing = np.zeros(0)
        return Reading((), np.zeros(0, np.int64), nothing, nothing, (), np.zeros((0, 3), np.int64))
    labelled = np.flatnonzero(slices.labels != UNLABELLED)
    few = np.zeros(len(slices), bool)
    if views:
        few[labelled] = of_few([slices.patients[row] for row in labelled.tolist()])
    logits, lesion = reader(slices.images, few)
    called = lesion[slices.mask_index] >= LESION_THRESHOLD
    true = slices.masks > 0
    areas = np.stack([(part).sum((1, 2)) for part in (called & true, called, true)], axis=1)
    return Reading(
        patients=tuple(slices.patients[row] for row in labelled.tolist()),
        labels=slices.labels[labelled],
        logits=logits[labelled],
        lesion_share=lesion[labelled].mean((1, 2), dtype=np.float64),
        mask_patients=tuple(slices.patients[row] for row in slices.mask_index.tolist()),
        mask_areas=areas.astype(np.int64),
    )
