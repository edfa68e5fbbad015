"""The decision by patient: fitted here, judged there, and stored in between."""

from __future__ import annotations

import json

import numpy as np
import pytest

from model.decision import Decision, fit_decision, report
from model.errors import EvaluationError


def cohort(seed, patients=60, slices=3):
    """Patients of both classes whose slices score about 1 apart."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(patients) % 2, slices)
    names = [f"{seed}-{number}" for number in np.repeat(np.arange(patients), slices)]
    personal = np.repeat(rng.normal(0, 0.7, patients), slices)
    return names, labels * 1.5 + personal + rng.normal(0, 0.5, len(labels)), labels


@pytest.fixture
def decision():
    return fit_decision(*cohort(0))


def test_decision_survives_json(decision):
    assert Decision.from_dict(json.loads(json.dumps(decision.to_dict()))) == decision


@pytest.mark.parametrize(
    "broken",
    [{}, {"format": 2}, {"format": 1, "top_share": 1.0}, {"format": 1, "calibration": {"a": 1}}],
)
def test_decision_that_is_none_is_refused(broken):
    with pytest.raises(EvaluationError):
        Decision.from_dict(broken)


def test_decision_scores_a_patient_by_the_mean_of_the_slices(decision):
    assert decision.patient_score([1.0, 2.0, 6.0]) == pytest.approx(3.0)


def test_decision_with_a_top_share_looks_at_the_highest_slices():
    decision = fit_decision(*cohort(0), top_share=0.3)

    assert decision.patient_score([1.0, 2.0, 6.0]) == 6.0


def test_decision_reaches_its_points_on_the_validation_patients(decision):
    assert decision.sensitive.sensitivity >= 0.9
    assert decision.specific.specificity >= 0.9


def test_report_on_new_patients_beats_the_constant(decision):
    names, scores, labels = cohort(1)

    found = report(decision, names, scores, labels, rng=np.random.default_rng(0), draws=200)

    assert (found.n_patients, found.n_slices) == (60, 180)
    assert found.auc_patient_low < found.auc_patient < found.auc_patient_high
    assert found.auc_patient > found.auc_slice > 0.7
    assert found.brier < found.constant_brier == pytest.approx(0.25)
    assert found.permutation_p == pytest.approx(1 / 201)
    assert found.balanced_accuracy > 0.7


def test_report_of_scores_without_meaning_is_near_chance(decision):
    names, scores, labels = cohort(2)
    shuffled = np.repeat(np.random.default_rng(3).permutation(scores[::3]), 3)

    found = report(decision, names, shuffled, labels, rng=np.random.default_rng(0), draws=200)

    assert found.auc_patient_low < 0.5 < found.auc_patient_high
    assert found.permutation_p > 0.05


def test_report_on_patients_of_one_class_is_refused(decision):
    names, scores, labels = cohort(1)

    with pytest.raises(EvaluationError, match="both classes"):
        report(decision, names, scores, np.ones_like(labels), rng=np.random.default_rng(0))
