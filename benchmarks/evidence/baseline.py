"""The baseline: HOG features and logistic regression, hospital by hospital.

Histograms of oriented gradients (Dalal & Triggs 2005): 8 x 8 cells of 12 pixels, 8 orientations,
and the cells' mean grey levels; L2-penalised logistic regression on training patients. No network;
what a capsule network must beat to earn its place.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from peer_client.ct.cohort import SliceSet
from peer_client.evaluation.readings import Reading

CELL_PX = 12
ORIENTATIONS = 8
#: Inverse strength of the penalty: the sketches' value, not tuned here.
INVERSE_PENALTY = 1e-3


def features(images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return HOG and grey features, `(n, features)`, of slices `(n, size, size, 1)`."""
    cells = images.shape[1] // CELL_PX
    planes = images[:, : cells * CELL_PX, : cells * CELL_PX, 0]  # what is over fills no cell
    down, right = np.gradient(planes, axis=(1, 2))
    strength = np.hypot(down, right)
    direction = ((np.arctan2(down, right) % np.pi) / np.pi * ORIENTATIONS).astype(int)
    direction %= ORIENTATIONS
    count = len(planes)
    shape = (count, cells, CELL_PX, cells, CELL_PX)
    bins: list[NDArray[np.float64]] = [
        np.where(direction == number, strength, 0).reshape(shape).sum((2, 4))
        for number in range(ORIENTATIONS)
    ]
    histograms = np.stack(bins, axis=-1)
    histograms /= np.sqrt((histograms**2).sum(-1, keepdims=True) + 0.1)
    grey = planes.reshape(shape).mean((2, 4))
    return np.concatenate([histograms.reshape(count, -1), grey.reshape(count, -1)], axis=1)


def baseline_readings(train: SliceSet, parts: dict[str, SliceSet]) -> dict[str, Reading]:
    """Fit on labelled training slices and read the other parts."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labelled = train.labelled()
    fit = make_pipeline(
        StandardScaler(),
        LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced", max_iter=300),
    ).fit(features(labelled.images), labelled.labels)
    found = {}
    for name, part in parts.items():
        mine = part.labelled()
        logits = fit.decision_function(features(mine.images))
        found[name] = Reading(
            mine.patients,
            mine.labels,
            np.asarray(logits, float),
            np.zeros(len(mine)),
            (),
            np.zeros((0, 3), np.int64),
        )
    return found
