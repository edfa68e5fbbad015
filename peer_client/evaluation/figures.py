"""The figures of one part, by patient and by slice, from a reading.

A figure that the given patients cannot answer is None and `notes` says why; nothing plausible is
put in its place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from model.calibration import Calibration, OperatingPoint
from model.decision import Decision
from model.evaluation import (
    PatientScores,
    auc,
    auc_interval,
    brier,
    constant_brier,
    permutation_p,
    rates,
)
from peer_client.evaluation.readings import Reading
from peer_client.evaluation.scores import by_patient

DRAWS = 2000
THIRDS = ("small", "middle", "large")


@dataclass(frozen=True, slots=True)
class PartFigures:
    """How good a model is on one part.

    Attributes:
        part: Name of the part.
        n_patients: Labelled patients.
        n_slices: Labelled slices.
        auc_patient: Area under the ROC curve, one score a patient.
        auc_patient_low: Lower end of its 95 % interval (bootstrap over patients).
        auc_patient_high: Upper end.
        auc_slice: The same by slice, for comparison only: slices of a patient are near copies.
        balanced_accuracy: Of patients at the stored balanced threshold; 0.5 is chance.
        sensitivity: There.
        specificity: There.
        at_sensitive_point: Both at the threshold stored for 90 % sensitivity; None without one.
        at_specific_point: Both at the threshold stored for 90 % specificity; None without one.
        brier: Of the calibrated probability, by patient; lower is better.
        constant_brier: Of saying the part's own share of positives to everyone.
        permutation_p: How often shuffled labels do as well.
        n_masks: Slices with a mask.
        dice_mean: Mean Dice over slices whose mask shows a lesion.
        dice_pooled: Dice over all pixels of all masks.
        dice_by_size: Mean Dice of the smallest, middle and largest third of lesions.
        notes: Why a figure is None.
    """

    part: str
    n_patients: int
    n_slices: int
    auc_patient: float | None = None
    auc_patient_low: float | None = None
    auc_patient_high: float | None = None
    auc_slice: float | None = None
    balanced_accuracy: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    at_sensitive_point: Mapping[str, float] | None = None
    at_specific_point: Mapping[str, float] | None = None
    brier: float | None = None
    constant_brier: float | None = None
    permutation_p: float | None = None
    n_masks: int = 0
    dice_mean: float | None = None
    dice_pooled: float | None = None
    dice_by_size: Mapping[str, float] | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def part_figures(
    part: str,
    reading: Reading,
    *,
    decision: Decision,
    seed: int = 0,
    draws: int = DRAWS,
) -> PartFigures:
    """Compute the figures of a part.

    Args:
        part: Its name.
        reading: The model's answers.
        decision: The model's own probability and thresholds.
        seed: Of the resampling, so that figures repeat.
        draws: Number of resamples, and of permutations.

    Raises:
        EvaluationError: A patient has slices of both labels.
    """
    notes: list[str] = []
    figures: dict[str, Any] = {}
    patients = 0
    if len(reading.labels):
        scores = by_patient(reading, top_share=decision.top_share)
        patients = len(scores.patients)
        figures |= _probability_figures(scores, decision.calibration)
        if len(set(scores.labels.tolist())) == 2:
            figures |= _ranking_figures(scores, reading, decision, seed, draws)
        else:
            notes.append(
                f"all {patients} patients have label {int(scores.labels[0])}: no AUC, no rates"
            )
    else:
        notes.append("no slice has a label: masks only")
    figures |= dice_figures(reading)
    if len(reading.mask_areas) and figures["dice_mean"] is None:
        notes.append("no mask shows a lesion: no Dice")
    return PartFigures(
        part=part,
        n_patients=patients,
        n_slices=len(reading.labels),
        n_masks=len(reading.mask_areas),
        notes=tuple(notes),
        **figures,
    )


def _probability_figures(scores: PatientScores, calibration: Calibration) -> dict[str, float]:
    return {
        "brier": brier(scores.labels, calibration.probability(scores.scores)),
        "constant_brier": constant_brier(scores.labels),
    }


def _ranking_figures(
    scores: PatientScores,
    reading: Reading,
    decision: Decision,
    seed: int,
    draws: int,
) -> dict[str, Any]:
    interval = auc_interval(
        scores.labels, scores.scores, rng=np.random.default_rng(seed), draws=draws
    )
    balanced = rates(scores.labels, scores.scores, decision.balanced.threshold)

    def both(point: OperatingPoint) -> dict[str, float] | None:
        if math.isnan(point.sensitivity):  # nothing was fitted
            return None
        found = rates(scores.labels, scores.scores, point.threshold)
        return {"sensitivity": found.sensitivity, "specificity": found.specificity}

    return {
        "auc_patient": interval.value,
        "auc_patient_low": interval.low,
        "auc_patient_high": interval.high,
        "auc_slice": auc(reading.labels, reading.logits),
        "balanced_accuracy": balanced.balanced_accuracy,
        "sensitivity": balanced.sensitivity,
        "specificity": balanced.specificity,
        "at_sensitive_point": both(decision.sensitive),
        "at_specific_point": both(decision.specific),
        "permutation_p": permutation_p(
            scores.labels, scores.scores, rng=np.random.default_rng(seed + 1), draws=draws
        ),
    }


def dice_figures(reading: Reading) -> dict[str, Any]:
    """Return `dice_mean`, `dice_pooled` and `dice_by_size` of a reading; None without lesions.

    Args:
        reading: Its `mask_areas` are used.
    """
    areas = reading.mask_areas
    shown = areas[areas[:, 2] > 0]
    if not len(shown):
        return {"dice_mean": None, "dice_pooled": None, "dice_by_size": None}
    each = 2 * shown[:, 0] / (shown[:, 1] + shown[:, 2])
    by_size = None
    if len(shown) >= len(THIRDS):
        ordered = each[np.argsort(shown[:, 2], kind="stable")]
        parts = np.array_split(ordered, len(THIRDS))
        by_size = {name: float(part.mean()) for name, part in zip(THIRDS, parts, strict=True)}
    pooled = 2 * areas[:, 0].sum() / (areas[:, 1].sum() + areas[:, 2].sum())
    return {"dice_mean": float(each.mean()), "dice_pooled": float(pooled), "dice_by_size": by_size}
