"""Figures by patient: worked numbers, ties, refusals, and that intervals cover."""

from __future__ import annotations

import numpy as np
import pytest

from model.errors import EvaluationError
from model.evaluation import (
    auc,
    auc_difference,
    auc_interval,
    brier,
    constant_brier,
    patient_scores,
    permutation_p,
    rates,
    roc_curve,
)


def test_auc_counts_pairs_and_half_of_ties():
    # Pairs of (positive, negative): 3 > 1, 3 > 2, 2 > 1, and 2 = 2 counts a half.
    assert auc([1, 0, 1, 0], [3.0, 1.0, 2.0, 2.0]) == 3.5 / 4


def test_auc_of_a_constant_score_is_one_half():
    assert auc([0, 1, 1, 0, 1], np.zeros(5)) == 0.5


def test_auc_of_one_class_is_refused():
    with pytest.raises(EvaluationError, match="all 3 labels are 1"):
        auc([1, 1, 1], [0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([0, 1], [0.1, np.nan], "finite"),
        ([0, 2], [0.1, 0.2], "0 or 1"),
        ([0, 1, 1], [0.1, 0.2], "shape"),
        ([], [], "no score"),
    ],
)
def test_auc_of_values_that_are_not_allowed_is_refused(labels, scores, message):
    with pytest.raises(EvaluationError, match=message):
        auc(labels, scores)


def test_auc_agrees_with_the_area_under_the_roc_curve():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60)
    scores = np.round(rng.normal(labels, 1.0), 1)

    false_rate, true_rate = roc_curve(labels, scores)

    assert (false_rate[0], true_rate[0]) == (0.0, 0.0)
    assert (false_rate[-1], true_rate[-1]) == (1.0, 1.0)
    assert np.trapezoid(true_rate, false_rate) == pytest.approx(auc(labels, scores), abs=1e-12)


def test_patient_scores_are_means_over_slices_in_order_of_the_id():
    result = patient_scores(["p2", "p1", "p2", "p2"], [1.0, 5.0, 2.0, 6.0], [1, 0, 1, 1])

    assert result.patients == ("p1", "p2")
    assert result.scores.tolist() == [5.0, 3.0]
    assert result.labels.tolist() == [0, 1]


def test_patient_scores_with_a_top_share_keep_the_highest_slices():
    result = patient_scores(["p"] * 4, [1.0, 2.0, 3.0, 4.0], [1] * 4, top_share=0.5)

    assert result.scores.tolist() == [3.5]


def test_patient_with_both_labels_is_refused_and_named():
    with pytest.raises(EvaluationError, match="patient p7 has slices of both labels"):
        patient_scores(["p7", "p7"], [0.0, 1.0], [0, 1])


def test_auc_interval_holds_the_value_and_narrows_with_more_patients():
    rng = np.random.default_rng(1)
    widths = []
    for patients in (20, 500):
        labels = np.arange(patients) % 2
        scores = rng.normal(labels, 1.0)
        interval = auc_interval(labels, scores, rng=np.random.default_rng(2), draws=500)
        assert interval.low <= interval.value <= interval.high
        widths.append(interval.high - interval.low)

    assert widths[1] < widths[0] / 2


def test_auc_interval_covers_the_true_value_about_as_often_as_it_says():
    # Scores N(0, 1) and N(1, 1): the true AUC is Phi(1 / sqrt 2) = 0.76025.
    rng = np.random.default_rng(3)
    labels = np.arange(80) % 2
    covered = []
    for _ in range(100):
        interval = auc_interval(labels, rng.normal(labels, 1.0), rng=rng, draws=200)
        covered.append(interval.low <= 0.76025 <= interval.high)

    assert 0.85 <= np.mean(covered) <= 1.0


def test_auc_difference_of_equal_scores_is_exactly_zero():
    labels = np.arange(30) % 2
    scores = np.random.default_rng(4).normal(labels, 1.0)

    difference = auc_difference(labels, scores, scores, rng=np.random.default_rng(5), draws=100)

    assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)


def test_auc_difference_is_the_difference_of_the_two():
    rng = np.random.default_rng(6)
    labels = np.arange(40) % 2
    good, bad = rng.normal(2 * labels, 1.0), rng.normal(labels, 2.0)

    difference = auc_difference(labels, good, bad, rng=rng, draws=300)

    assert difference.value == pytest.approx(auc(labels, good) - auc(labels, bad), abs=1e-12)
    assert difference.low < difference.value < difference.high


def test_permutation_p_is_small_for_a_real_difference_and_never_zero():
    labels = np.arange(40) % 2

    p = permutation_p(labels, labels + 0.0, rng=np.random.default_rng(7), draws=99)

    assert p == 1 / 100


def test_permutation_p_of_a_constant_score_is_one():
    labels = np.arange(10) % 2

    assert permutation_p(labels, np.zeros(10), rng=np.random.default_rng(8), draws=20) == 1.0


def test_rates_count_a_score_at_the_threshold_as_covid():
    found = rates([1, 1, 0, 0, 0], [0.5, 0.4, 0.5, 0.1, 0.2], 0.5)

    assert found.sensitivity == 0.5
    assert found.specificity == pytest.approx(2 / 3)
    assert found.balanced_accuracy == pytest.approx((0.5 + 2 / 3) / 2)


def test_brier_of_the_prevalence_equals_the_constant_brier():
    labels = [1, 0, 0, 0, 1]

    assert brier(labels, [0.4] * 5) == pytest.approx(constant_brier(labels))
    assert constant_brier(labels) == pytest.approx(0.24)


def test_brier_of_a_value_that_is_no_probability_is_refused():
    with pytest.raises(EvaluationError, match="probabilities"):
        brier([0, 1], [0.5, 1.5])
