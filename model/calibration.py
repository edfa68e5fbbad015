"""From a score to a probability, and to decisions: fitted on validation patients; pure numpy.

Two numbers (slope, offset) and two thresholds are stored with a model. They are a hospital's own
and never leave it. A slope below zero is not learnt: a score that ranks patients the wrong way
round is no reason to turn it over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.evaluation import rates

#: The least slope, per standard deviation of the scores.
LEAST_SLOPE: Final = 0.05
#: Newton steps; the fit has two numbers and is convex, ten are plenty.
NEWTON_STEPS: Final = 50


@dataclass(frozen=True, slots=True)
class Calibration:
    """Logistic map from score to probability (Platt 1999).

    Attributes:
        slope: Above 0, per unit of score.
        offset: Log odds at score 0.
        patients: Validation patients it was fitted on.
        prevalence: Share of COVID among them: probabilities hold for that mix only.
    """

    slope: float
    offset: float
    patients: int
    prevalence: float

    def probability(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Turn patients' scores, shape `(n,)`, into probabilities, float64, same shape."""
        logits = self.slope * np.asarray(scores, np.float64) + self.offset
        result: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * logits))
        return result


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold and what it reached on the validation patients.

    Attributes:
        threshold: A score at or above it is called COVID.
        sensitivity: On the validation patients.
        specificity: On the validation patients.
    """

    threshold: float
    sensitivity: float
    specificity: float


def fit_calibration(labels: ArrayLike, scores: ArrayLike, *, ridge: float = 1.0) -> Calibration:
    """Fit slope and offset to validation patients, one row each.

    Formula: least of sum over patients of -log P(label) + ridge / 2 x (slope of standardised
    scores)^2, by Newton's method. Labels are drawn in to (n_c + 1) / (n_c + 2) of their class
    (Platt 1999, section 2.2), so that separable patients give no infinite slope.

    Args:
        labels: Shape `(n,)`, 0 or 1.
        scores: Shape `(n,)`.
        ridge: Pull of the slope towards zero, at least 0.

    Returns:
        The map.

    Raises:
        EvaluationError: Only one class is there, or a value is not allowed.
    """
    rates(labels, scores, 0.0)  # raises unless both classes and finite scores are there
    values, truth = np.asarray(scores, np.float64), np.asarray(labels, np.int64)
    centre, spread = values.mean(), values.std()
    spread = spread if spread > 0 else 1.0
    standard = (values - centre) / spread
    positives, negatives = int(truth.sum()), int((1 - truth).sum())
    target = np.where(truth == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.stack([standard, np.ones_like(standard)], axis=1)
    penalty = np.array([ridge, 0.0])
    weights = np.array([0.0, np.log(target.mean() / (1 - target.mean()))])
    for _ in range(NEWTON_STEPS):
        probability = 0.5 * (1.0 + np.tanh(0.5 * design @ weights))
        gradient = design.T @ (probability - target) + penalty * weights
        curvature = design.T @ (design * (probability * (1 - probability))[:, np.newaxis])
        step = np.linalg.solve(curvature + np.diag(penalty + 1e-9), gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-12:
            break
    slope = max(float(weights[0]), LEAST_SLOPE) / spread
    offset = float(weights[1]) - slope * centre
    return Calibration(float(slope), float(offset), len(values), positives / len(values))


def sensitive_point(labels: ArrayLike, scores: ArrayLike, *, sensitivity: float) -> OperatingPoint:
    """Return the highest threshold that calls at least this share of COVID patients COVID.

    Raises:
        EvaluationError: Only one class is there, or a value is not allowed.

    >>> sensitive_point([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], sensitivity=0.9).threshold
    0.35
    """
    rates(labels, scores, 0.0)
    positive = np.sort(np.asarray(scores, np.float64)[np.asarray(labels) == 1])
    missed = int(np.floor((1 - sensitivity) * len(positive) + 1e-9))
    return _point(labels, scores, float(positive[missed]))


def specific_point(labels: ArrayLike, scores: ArrayLike, *, specificity: float) -> OperatingPoint:
    """Return the lowest threshold that calls at least this share of the others not COVID.

    Raises:
        EvaluationError: Only one class is there, or a value is not allowed.

    >>> specific_point([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], specificity=0.9).specificity
    1.0
    """
    rates(labels, scores, 0.0)
    negative = np.sort(np.asarray(scores, np.float64)[np.asarray(labels) == 0])
    alarms = int(np.floor((1 - specificity) * len(negative) + 1e-9))
    return _point(labels, scores, float(np.nextafter(negative[-1 - alarms], np.inf)))


def balanced_point(labels: ArrayLike, scores: ArrayLike) -> OperatingPoint:
    """Return the threshold of the highest balanced accuracy (Youden 1950); the middle one of ties.

    Raises:
        EvaluationError: Only one class is there, or a value is not allowed.

    >>> balanced_point([0, 0, 1, 1], [0.1, 0.3, 0.5, 0.8]).threshold
    0.4
    """
    values = np.unique(np.asarray(scores, np.float64))
    edges = np.concatenate([values[:1], (values[:-1] + values[1:]) / 2])
    reached = np.array([rates(labels, scores, edge).balanced_accuracy for edge in edges])
    best = np.flatnonzero(reached == reached.max())
    return _point(labels, scores, float(edges[best[len(best) // 2]]))


def _point(labels: ArrayLike, scores: ArrayLike, threshold: float) -> OperatingPoint:
    found = rates(labels, scores, threshold)
    return OperatingPoint(threshold, found.sensitivity, found.specificity)
