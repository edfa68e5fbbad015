"""How good scores and masks are, counted by patient; pure numpy, no TensorFlow.

Slices of one patient are near copies, so every interval resamples patients, never slices. Nothing
here chooses a threshold on the patients it is judged on: operating points come from validation
patients (`model.calibration`). A figure that the given patients cannot answer is refused with
`EvaluationError` and never replaced by a plausible number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.errors import EvaluationError

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PatientScores:
    """One score and one label for each patient.

    Attributes:
        patients: Ids, sorted, length n.
        scores: float64, shape `(n,)`.
        labels: int64, shape `(n,)`, 0 or 1.
    """

    patients: tuple[str, ...]
    scores: Floats
    labels: Labels


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and where it lies with the given confidence.

    Attributes:
        value: On the patients as they are.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Rates:
    """Decisions at one threshold, each in [0, 1].

    Attributes:
        sensitivity: Share of COVID patients called so.
        specificity: Share of other patients called so.
    """

    sensitivity: float
    specificity: float

    @property
    def balanced_accuracy(self) -> float:
        """Mean of sensitivity and specificity; 0.5 is chance, whatever the mix of classes."""
        return (self.sensitivity + self.specificity) / 2


def patient_scores(
    patients: Sequence[str], scores: ArrayLike, labels: ArrayLike, *, top_share: float = 1.0
) -> PatientScores:
    """Turn scores of slices into scores of patients.

    Rule: the mean of the patient's highest `top_share` of slice scores (at least one). The default,
    1, is the plain mean; a disease that fills a part of the lung wants less in whole volumes.

    Args:
        patients: Id of each slice's patient, length n.
        scores: Shape `(n,)`, higher means COVID.
        labels: Shape `(n,)`, 0 or 1.
        top_share: In (0, 1].

    Returns:
        One row for each patient, sorted by id.

    Raises:
        EvaluationError: Lengths differ, a score is not finite, a label is not 0 or 1, or a patient
            has both labels.

    >>> patient_scores(["b", "a", "b"], [0.2, 0.9, 0.4], [0, 1, 0]).scores.round(3).tolist()
    [0.9, 0.3]
    """
    values, truth = _checked(scores, labels)
    if len(patients) != len(values):
        raise EvaluationError(f"{len(values)} scores, but {len(patients)} patient ids")
    if not 0 < top_share <= 1:
        raise EvaluationError(f"top_share must lie in (0, 1]. Received: {top_share}")
    names, owner = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    result, found = np.zeros(len(names)), np.zeros(len(names), np.int64)
    for number, name in enumerate(names):
        mine = owner == number
        if len(set(truth[mine].tolist())) > 1:
            raise EvaluationError(f"patient {name} has slices of both labels")
        kept = max(1, int(np.ceil(top_share * mine.sum())))
        result[number] = np.sort(values[mine])[-kept:].mean()
        found[number] = truth[mine][0]
    return PatientScores(tuple(names.tolist()), result, found)


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Return the area under the ROC curve: P(a COVID score is above another), ties counted half.

    Raises:
        EvaluationError: Only one class is there, or a value is not allowed.

    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    values, truth = _both_classes(scores, labels)
    positive, negative = values[truth == 1], np.sort(values[truth == 0])
    below = np.searchsorted(negative, positive, side="left")
    not_above = np.searchsorted(negative, positive, side="right")
    return float((below + not_above).sum() / (2 * len(positive) * len(negative)))


def auc_interval(
    labels: ArrayLike,
    scores: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Return the AUC with its bootstrap interval; give one row for each patient.

    Patients are drawn with replacement inside each class (stratified percentile bootstrap, Efron &
    Tibshirani 1993, chapter 13).

    Raises:
        EvaluationError: Only one class is there, or a value is not allowed.
    """
    values, truth = _both_classes(scores, labels)
    resampled = _resampled_auc(_above(values, truth), rng, draws)
    low, high = _ends(resampled, confidence)
    return Interval(auc(truth, values), low, high)


def auc_difference(
    labels: ArrayLike,
    scores: ArrayLike,
    baseline: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Return AUC(scores) - AUC(baseline) with its interval, both on the same drawn patients.

    Args:
        labels: Shape `(n,)`, one row for each patient.
        scores: Shape `(n,)`.
        baseline: Shape `(n,)`, another model's scores of the same patients.
        rng: Source of the draws.
        draws: Number of resamples.
        confidence: Of the interval.

    Raises:
        EvaluationError: Only one class is there, or a value is not allowed.
    """
    values, truth = _both_classes(scores, labels)
    others, _ = _both_classes(baseline, labels)
    difference = _above(values, truth) - _above(others, truth)
    low, high = _ends(_resampled_auc(difference, rng, draws), confidence)
    return Interval(float(difference.mean()), low, high)


def permutation_p(
    labels: ArrayLike, scores: ArrayLike, *, rng: np.random.Generator, draws: int = 2000
) -> float:
    """Return how often shuffled labels do as well: (1 + times) / (1 + draws).

    Phipson & Smyth 2010: the data itself counts as one of the draws, so that p is never 0.

    Raises:
        EvaluationError: Only one class is there, or a value is not allowed.
    """
    values, truth = _both_classes(scores, labels)
    reached = auc(truth, values)
    as_well = sum(auc(rng.permutation(truth), values) >= reached for _ in range(draws))
    return (1 + as_well) / (1 + draws)


def rates(labels: ArrayLike, scores: ArrayLike, threshold: float) -> Rates:
    """Return sensitivity and specificity of "score at or above the threshold is COVID".

    Raises:
        EvaluationError: Only one class is there, or a value is not allowed.

    >>> rates([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 0.4)
    Rates(sensitivity=0.5, specificity=0.5)
    """
    values, truth = _both_classes(scores, labels)
    called = values >= threshold
    return Rates(float(called[truth == 1].mean()), float(1 - called[truth == 0].mean()))


def brier(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Return the mean squared distance of probabilities from labels (Brier 1950); lower is better.

    Raises:
        EvaluationError: A probability is outside [0, 1], or a value is not allowed.

    >>> round(brier([0, 1], [0.2, 0.6]), 3)
    0.1
    """
    values, truth = _checked(probabilities, labels)
    if values.min() < 0 or values.max() > 1:
        raise EvaluationError(
            f"probabilities must lie in [0, 1]. Received: {values.min():g} to {values.max():g}"
        )
    return float(np.mean((values - truth) ** 2))


def constant_brier(labels: ArrayLike) -> float:
    """Return the Brier score of saying the share of COVID patients to everyone.

    >>> constant_brier([0, 0, 0, 1])
    0.1875
    """
    _, truth = _checked(labels, labels)
    share = truth.mean()
    return float(share * (1 - share))


def roc_curve(labels: ArrayLike, scores: ArrayLike) -> tuple[Floats, Floats]:
    """Return the ROC curve from (0, 0) to (1, 1).

    Returns:
        1 - specificity and sensitivity, each float64, of the same length.

    Raises:
        EvaluationError: Only one class is there, or a value is not allowed.
    """
    values, truth = _both_classes(scores, labels)
    order = np.argsort(-values, kind="stable")
    last_of_tie = np.append(np.diff(values[order]) != 0, True)
    hits, alarms = np.cumsum(truth[order] == 1), np.cumsum(truth[order] == 0)
    true_rate = np.concatenate([[0.0], hits[last_of_tie] / hits[-1]])
    false_rate = np.concatenate([[0.0], alarms[last_of_tie] / alarms[-1]])
    return false_rate, true_rate


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Labels]:
    values = np.asarray(scores, np.float64)
    truth = np.asarray(labels)
    if values.ndim != 1 or values.shape != truth.shape:
        raise EvaluationError(f"scores of shape {values.shape}, labels of shape {truth.shape}")
    if not len(values):
        raise EvaluationError("there is no score at all")
    if not np.isfinite(values).all():
        raise EvaluationError("a score is not a finite number")
    if not np.isin(truth, (0, 1)).all():
        raise EvaluationError("labels must be 0 or 1")
    return values, truth.astype(np.int64)


def _both_classes(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Labels]:
    values, truth = _checked(scores, labels)
    if truth.min() == truth.max():
        raise EvaluationError(f"all {len(truth)} labels are {truth[0]}: both classes are needed")
    return values, truth


def _above(values: Floats, truth: Labels) -> Floats:
    """Say for each pair of a COVID patient and another whether the former scores higher."""
    positive = values[truth == 1][:, np.newaxis]
    negative = values[truth == 0][np.newaxis, :]
    above: Floats = (positive > negative) + 0.5 * (positive == negative)
    return above


def _resampled_auc(above: Floats, rng: np.random.Generator, draws: int) -> Floats:
    """Draw both classes with replacement; a draw's AUC is a weighted mean over the pairs."""
    positives, negatives = above.shape
    rows = rng.multinomial(positives, np.full(positives, 1 / positives), draws)
    columns = rng.multinomial(negatives, np.full(negatives, 1 / negatives), draws)
    resampled: Floats = ((rows @ above) * columns).sum(axis=1) / (positives * negatives)
    return resampled


def _ends(resampled: Floats, confidence: float) -> tuple[float, float]:
    tail = 50 * (1 - confidence)
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return float(low), float(high)
