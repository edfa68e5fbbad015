"""Figures by patient, worked by hand; what cannot be known is None."""

from __future__ import annotations

import numpy as np
import pytest

from model.calibration import Calibration, OperatingPoint
from model.decision import Decision
from model.errors import EvaluationError
from peer_client.evaluation.figures import part_figures
from peer_client.evaluation.readings import Reading

DECISION = Decision(
    1.0,
    Calibration(1.0, 0.0, 10, 0.5),
    balanced=OperatingPoint(0.0, 1.0, 1.0),
    sensitive=OperatingPoint(-2.0, 1.0, 0.0),
    specific=OperatingPoint(2.0, 0.0, 1.0),
)
KEYS = {
    "part", "n_patients", "n_slices", "auc_patient", "auc_patient_low", "auc_patient_high",
    "auc_slice", "balanced_accuracy", "sensitivity", "specificity", "brier", "constant_brier",
    "permutation_p", "dice_mean", "dice_pooled",
}  # fmt: skip


def reading(
    patients: list[str], labels: list[int], logits: list[float], areas: list[list[int]]
) -> Reading:
    return Reading(
        tuple(patients),
        np.array(labels, np.int64),
        np.array(logits, float),
        np.zeros(len(labels)),
        tuple(f"m{number}" for number in range(len(areas))),
        np.array(areas, np.int64).reshape(-1, 3),
    )


def test_every_promised_key_is_there() -> None:
    found = part_figures("p", reading(["a", "b"], [0, 1], [-1, 1], []), decision=DECISION, draws=50)
    assert set(found.to_json()) >= KEYS


def test_patients_count_once_however_many_slices() -> None:
    # Patient b has three slices of which two mislead; the mean of them is still above a.
    found = part_figures(
        "p",
        reading(["a", "b", "b", "b"], [0, 1, 1, 1], [-1.0, -2.0, -2.0, 7.0], []),
        decision=DECISION,
        draws=50,
    )
    assert (found.n_patients, found.n_slices) == (2, 4)
    assert found.auc_patient == 1.0
    assert found.auc_slice == pytest.approx(1 / 3)
    assert (found.sensitivity, found.specificity, found.balanced_accuracy) == (1.0, 1.0, 1.0)


def test_rates_are_those_of_the_stored_points() -> None:
    found = part_figures(
        "p",
        reading(["a", "b", "c", "d"], [0, 0, 1, 1], [-1.0, 0.5, -0.5, 1.0], []),
        decision=DECISION,
        draws=50,
    )
    assert (found.sensitivity, found.specificity) == (0.5, 0.5)
    assert found.at_sensitive_point == {"sensitivity": 1.0, "specificity": 0.0}
    assert found.at_specific_point == {"sensitivity": 0.0, "specificity": 1.0}


def test_one_class_gives_no_auc_and_says_so() -> None:
    found = part_figures(
        "p", reading(["a", "b"], [1, 1], [0.0, 1.0], []), decision=DECISION, draws=50
    )
    assert found.auc_patient is None
    assert found.permutation_p is None
    assert found.brier is not None
    assert "all 2 patients have label 1" in found.notes[0]


def test_masks_without_labels_give_dice_only() -> None:
    found = part_figures("p", reading([], [], [], [[5, 10, 10]]), decision=DECISION, draws=50)
    assert found.n_patients == 0
    assert found.dice_mean == pytest.approx(0.5)
    assert found.auc_patient is None


def test_pooled_dice_counts_false_alarms_and_mean_dice_does_not() -> None:
    found = part_figures(
        "p",
        reading([], [], [], [[10, 10, 10], [0, 20, 0]]),
        decision=DECISION,
        draws=50,
    )
    assert found.dice_mean == 1.0
    assert found.dice_pooled == pytest.approx(2 * 10 / (30 + 10))


def test_dice_by_size_orders_lesions_by_their_true_area() -> None:
    areas = [[1, 2, 2], [30, 30, 30], [0, 10, 10]]
    found = part_figures("p", reading([], [], [], areas), decision=DECISION, draws=50)
    assert found.dice_by_size == {"small": 0.5, "middle": 0.0, "large": 1.0}


def test_an_empty_mask_has_no_dice_and_says_so() -> None:
    found = part_figures("p", reading([], [], [], [[0, 5, 0]]), decision=DECISION, draws=50)
    assert found.dice_mean is None
    assert any("no Dice" in note for note in found.notes)


def test_brier_of_a_constant_is_that_of_the_parts_own_share() -> None:
    found = part_figures(
        "p",
        reading(["a", "b", "c", "d"], [0, 0, 0, 1], [0.0] * 4, []),
        decision=DECISION,
        draws=50,
    )
    assert found.constant_brier == pytest.approx(0.1875)
    assert found.brier == pytest.approx(0.25)
    assert found.permutation_p == 1.0


def test_a_patient_of_both_labels_is_refused() -> None:
    with pytest.raises(EvaluationError, match="both labels"):
        part_figures("p", reading(["a", "a"], [0, 1], [0, 1], []), decision=DECISION, draws=50)


def test_figures_repeat_with_the_same_seed() -> None:
    rng = np.random.default_rng(0)
    names = [f"p{number}" for number in range(30)]
    labels = [number % 2 for number in range(30)]
    given = reading(names, labels, rng.normal(size=30).tolist(), [])
    one, two = (part_figures("p", given, decision=DECISION, draws=100) for _ in range(2))
    assert one == two
    assert one.auc_patient_low is not None
    assert one.auc_patient_low < one.auc_patient < one.auc_patient_high
