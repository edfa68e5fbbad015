"""From scores of slices to a decision for a patient, and the report on how good it is; pure numpy.

A `Decision` is fitted on a hospital's validation patients and stored beside its model: how slices
become a patient, the calibration, and the thresholds. `report` judges it on other patients. Neither
looks at the patients of the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model import evaluation
from model.calibration import (
    Calibration,
    OperatingPoint,
    balanced_point,
    fit_calibration,
    sensitive_point,
    specific_point,
)
from model.errors import EvaluationError

FORMAT: Final = 1
#: What the sensitive and the specific point are to reach.
WANTED: Final = 0.9


@dataclass(frozen=True, slots=True)
class Decision:
    """How one hospital's model decides about a patient.

    Attributes:
        top_share: A patient's score is the mean of this share of the highest slice scores.
        calibration: From a patient's score to a probability.
        balanced: Threshold of the best balanced accuracy on the validation patients.
        sensitive: Threshold of 90 % sensitivity there.
        specific: Threshold of 90 % specificity there.
    """

    top_share: float
    calibration: Calibration
    balanced: OperatingPoint
    sensitive: OperatingPoint
    specific: OperatingPoint

    def patient_score(self, slice_scores: ArrayLike) -> float:
        """Return the score of one patient from the scores of the slices.

        Raises:
            EvaluationError: There is no slice, or a score is not finite.
        """
        scores = np.asarray(slice_scores, np.float64)
        found = evaluation.patient_scores(
            [""] * len(scores), scores, np.zeros(len(scores)), top_share=self.top_share
        )
        return float(found.scores[0])

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Decision:
        """Read what `to_dict` wrote.

        Raises:
            EvaluationError: It is of another format, or a field is missing or unknown.
        """
        try:
            if values["format"] != FORMAT:
                raise EvaluationError(f"a decision rule of format {values['format']}, not {FORMAT}")
            return cls(
                float(values["top_share"]),
                Calibration(**values["calibration"]),
                *(OperatingPoint(**values[name]) for name in ("balanced", "sensitive", "specific")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise EvaluationError(f"this is no decision rule: {error}") from error


@dataclass(frozen=True, slots=True)
class ClassReport:
    """How good decisions were, on patients that the model and the thresholds had not seen.

    Attributes:
        n_patients: Patients.
        n_slices: Slices.
        auc_patient: AUC by patient.
        auc_patient_low: Lower end of its 95 % interval (bootstrap by patient).
        auc_patient_high: Upper end.
        auc_slice: AUC by slice.
        balanced_accuracy: At the stored balanced point.
        sensitivity: At the stored point for 90 % sensitivity.
        specificity: At the stored point for 90 % specificity.
        brier: Of the calibrated probabilities, by patient.
        constant_brier: Of saying the share of COVID patients to everyone.
        permutation_p: How often shuffled labels reach this AUC by patient.
    """

    n_patients: int
    n_slices: int
    auc_patient: float
    auc_patient_low: float
    auc_patient_high: float
    auc_slice: float
    balanced_accuracy: float
    sensitivity: float
    specificity: float
    brier: float
    constant_brier: float
    permutation_p: float


def fit_decision(
    patients: Sequence[str],
    scores: NDArray[np.floating],
    labels: ArrayLike,
    *,
    top_share: float = 1.0,
) -> Decision:
    """Fit calibration and thresholds to validation patients.

    Args:
        patients: Id of each slice's patient, length n.
        scores: Logits of slices, shape `(n,)` (`model.prediction.predict_scores`).
        labels: Shape `(n,)`, 0 or 1.
        top_share: See `Decision`.

    Raises:
        EvaluationError: Only one class is there, or a value is not allowed.
    """
    by = evaluation.patient_scores(patients, scores, labels, top_share=top_share)
    return Decision(
        top_share,
        fit_calibration(by.labels, by.scores),
        balanced_point(by.labels, by.scores),
        sensitive_point(by.labels, by.scores, sensitivity=WANTED),
        specific_point(by.labels, by.scores, specificity=WANTED),
    )


def report(
    decision: Decision,
    patients: Sequence[str],
    scores: NDArray[np.floating],
    labels: ArrayLike,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
) -> ClassReport:
    """Judge a decision rule on patients it has not seen.

    Args:
        decision: Fitted on other patients.
        patients: Id of each slice's patient, length n.
        scores: Logits of slices, shape `(n,)`.
        labels: Shape `(n,)`, 0 or 1.
        rng: Source of bootstrap and permutation draws.
        draws: Number of each.

    Raises:
        EvaluationError: Only one class is there, or a value is not allowed.
    """
    by = evaluation.patient_scores(patients, scores, labels, top_share=decision.top_share)
    interval = evaluation.auc_interval(by.labels, by.scores, rng=rng, draws=draws)

    def at(point: OperatingPoint) -> evaluation.Rates:
        return evaluation.rates(by.labels, by.scores, point.threshold)

    return ClassReport(
        n_patients=len(by.patients),
        n_slices=len(scores),
        auc_patient=interval.value,
        auc_patient_low=interval.low,
        auc_patient_high=interval.high,
        auc_slice=evaluation.auc(labels, scores),
        balanced_accuracy=at(decision.balanced).balanced_accuracy,
        sensitivity=at(decision.sensitive).sensitivity,
        specificity=at(decision.specific).specificity,
        brier=evaluation.brier(by.labels, decision.calibration.probability(by.scores)),
        constant_brier=evaluation.constant_brier(by.labels),
        permutation_p=evaluation.permutation_p(by.labels, by.scores, rng=rng, draws=draws),
    )
