"""Calibration and operating points: fitted numbers, their order, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from model.calibration import (
    balanced_point,
    fit_calibration,
    sensitive_point,
    specific_point,
)
from model.errors import EvaluationError
from model.evaluation import brier, constant_brier, rates


@pytest.fixture
def patients():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    return labels, rng.normal(labels * 1.5, 1.0)


def test_calibration_recovers_the_logistic_map_that_made_the_labels():
    rng = np.random.default_rng(1)
    scores = rng.normal(0.0, 3.0, 4000)
    labels = (rng.random(4000) < 1 / (1 + np.exp(-(0.8 * scores - 0.5)))).astype(int)

    found = fit_calibration(labels, scores)

    assert found.slope == pytest.approx(0.8, abs=0.06)
    assert found.offset == pytest.approx(-0.5, abs=0.12)


def test_calibration_beats_the_constant_and_its_mean_is_the_prevalence(patients):
    labels, scores = patients

    found = fit_calibration(labels, scores)
    probabilities = found.probability(scores)

    assert brier(labels, probabilities) < 0.9 * constant_brier(labels)
    assert probabilities.mean() == pytest.approx(labels.mean(), abs=0.005)
    assert (found.patients, found.prevalence) == (200, 0.5)


def test_calibration_of_separable_patients_stays_finite():
    found = fit_calibration([0, 0, 1, 1], [-1e3, -1e3, 1e3, 1e3])

    assert np.isfinite([found.slope, found.offset]).all()
    assert 0 < found.probability([-1e3])[0] < 0.5 < found.probability([1e3])[0] < 1


def test_calibration_does_not_turn_over_a_score_that_ranks_the_wrong_way():
    found = fit_calibration([1, 1, 1, 0, 0, 0], [0, 1, 2, 3, 4, 5])

    assert found.slope > 0


def test_calibration_of_a_constant_score_gives_the_prevalence():
    found = fit_calibration([0, 0, 0, 1], [2.0, 2.0, 2.0, 2.0])

    assert found.probability([2.0])[0] == pytest.approx(0.3, abs=0.06)


def test_sensitive_point_reaches_its_share_with_the_highest_threshold(patients):
    labels, scores = patients

    point = sensitive_point(labels, scores, sensitivity=0.9)

    assert point.sensitivity >= 0.9
    assert rates(labels, scores, np.nextafter(point.threshold, np.inf)).sensitivity < 0.9


def test_specific_point_reaches_its_share_with_the_lowest_threshold(patients):
    labels, scores = patients

    point = specific_point(labels, scores, specificity=0.9)

    assert point.specificity >= 0.9
    lower = scores[scores < point.threshold].max()
    assert rates(labels, scores, lower).specificity < 0.9 or lower in scores[labels == 1]


def test_balanced_point_is_at_least_as_good_as_both_others(patients):
    labels, scores = patients

    def balanced(point):
        return rates(labels, scores, point.threshold).balanced_accuracy

    best = balanced(balanced_point(labels, scores))

    assert best >= balanced(sensitive_point(labels, scores, sensitivity=0.9))
    assert best >= balanced(specific_point(labels, scores, specificity=0.9))


@pytest.mark.parametrize(
    "ask",
    [
        fit_calibration,
        balanced_point,
        lambda labels, scores: sensitive_point(labels, scores, sensitivity=0.9),
        lambda labels, scores: specific_point(labels, scores, specificity=0.9),
    ],
)
def test_patients_of_one_class_are_refused(ask):
    with pytest.raises(EvaluationError, match="both classes"):
        ask([1, 1], [0.0, 1.0])
