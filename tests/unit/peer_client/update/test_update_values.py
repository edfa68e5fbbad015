from __future__ import annotations

import hashlib
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaincode.records.study import Weight
from peer_client.update import (
    ClipRangeError,
    SharedTensor,
    WeightListError,
    apply_update,
    dequantise_mean,
    first_scales,
    model_digest,
    next_scales,
    own_groups,
    part_holders,
    quantisation_report,
    quantise,
    shared_tensors,
    update_digest,
    weight_difference,
)
from peer_client.update.scales import sum_of_squares
from tests.unit.chaincode.contract.played import make_study

TENSORS = (SharedTensor("encoder", 3, "all"), SharedTensor("decoder", 2, "masks"))
SCALES = np.array([0.5, 2.0])
BOTH = frozenset({"all", "masks"})
LEVELS = 255


def _change(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def _quantise(change: np.ndarray, *, seed: int = 0, groups=BOTH, levels: int = LEVELS):
    rng = np.random.default_rng(seed)
    return quantise(change, SCALES, levels, rng, tensors=TENSORS, groups=groups)


def _mean(sums: np.ndarray, all_: int = 4, masks: int = 3, contributors: int = 4):
    return dequantise_mean(
        sums,
        {"all": all_, "masks": masks},
        SCALES,
        LEVELS,
        tensors=TENSORS,
        contributors=contributors,
        contributors_min=3,
    )


def test_zero_is_exactly_the_centre_whatever_the_noise() -> None:
    for seed in range(50):
        assert _quantise(_change(0, 0, -0.0, 0, 0), seed=seed).tolist() == [127] * 5


def test_values_beyond_the_scale_are_clipped_to_the_last_level() -> None:
    assert _quantise(_change(9, -9, 0.5, -2.5, 2)).tolist() == [254, 0, 254, 0, 254]


def test_tensors_of_groups_without_a_part_are_sent_as_zeros() -> None:
    assert _quantise(_change(0.5, 0.5, 0.5, 2, 2), groups={"all"}).tolist()[3:] == [127, 127]


@settings(max_examples=30, deadline=None)
@given(st.floats(-0.5, 0.5, width=32), st.sampled_from([15, 255, 319, 65535]))
def test_rounding_reaches_only_the_two_neighbours_and_is_unbiased(
    value: float, levels: int
) -> None:
    tensor = (SharedTensor("w", 4000, "all"),)
    change = np.full(4000, value, np.float32)
    centre = (levels - 1) // 2

    drawn = quantise(
        change,
        np.array([0.5]),
        levels,
        np.random.default_rng(1),
        tensors=tensor,
        groups={"all"},
    )

    exact = float(np.float32(value)) * centre / 0.5
    assert set(np.unique(drawn - centre)) <= {int(np.floor(exact)), int(np.floor(exact)) + 1}
    assert abs(float((drawn - centre).mean()) - exact) < 5 * 0.5 / 4000**0.5


def test_eight_bits_lose_little_and_the_report_says_how_much() -> None:
    rng = np.random.default_rng(2)
    tensor = (SharedTensor("w", 100_000, "all"),)
    change = rng.normal(0, 0.02, 100_000).astype(np.float32)
    scales = np.array([0.08])
    values = quantise(change, scales, 319, rng, tensors=tensor, groups={"all"})

    report = quantisation_report(change, values, scales, 319, tensors=tensor, groups={"all"})

    assert 0.005 < report.relative_error < 0.02
    assert report.clipped == pytest.approx(float((np.abs(change) > 0.08).mean()))


def test_mean_over_hospitals_counts_only_those_with_a_part() -> None:
    with_masks = _quantise(_change(0.25, -0.5, 0, 2, -2))
    without = _quantise(_change(0.25, -0.5, 0, 9, 9), groups={"all"})

    mean = _mean(3 * with_masks + without)

    assert mean.tolist()[1:] == [-0.5, 0.0, 2.0, -2.0]
    assert mean[0] == pytest.approx(0.25, abs=0.5 / 127)


def test_group_with_fewer_than_k_holders_is_left_as_it_was() -> None:
    values = _quantise(_change(0.5, 0.5, 0.5, 2, 2))
    others = 3 * _quantise(_change(0.5, 0.5, 0.5, 0, 0), groups={"all"})

    mean = _mean(values + others, masks=1)

    assert mean.tolist() == [0.5, 0.5, 0.5, 0.0, 0.0]


def test_more_holders_than_contributors_are_refused() -> None:
    with pytest.raises(ClipRangeError, match="4 contributors"):
        _mean(np.zeros(5, np.int64), masks=5)


def test_applied_update_has_the_same_bits_everywhere() -> None:
    tensors = (SharedTensor("w", 10_000, "all"),)
    places = np.arange(10_000, dtype=np.int64)
    sums = places * 7919 % (4 * 318 + 1)
    weights = ((places * 104_729 % 2**21 - 2**20) / 2**22).astype(np.float32)

    mean = dequantise_mean(
        sums,
        {"all": 4},
        np.array([0.0123]),
        319,
        tensors=tensors,
        contributors=4,
        contributors_min=3,
    )
    digest = model_digest(apply_update(weights, mean))

    # Written down once: another machine or numpy must give these bits.
    assert digest == "1f5129c5084d6cd1ea144961b42d33c7e1f3a47e936808e186e357477ca0f002"


def test_every_mean_is_the_nearest_float_of_two_roundings() -> None:
    sums = np.array([0, 1, 5, 508, 1016])
    tensors = (SharedTensor("w", 5, "all"),)

    mean = dequantise_mean(
        sums,
        {"all": 4},
        np.array([0.1]),
        255,
        tensors=tensors,
        contributors=4,
        contributors_min=3,
    )

    for total, value in zip(sums.tolist(), mean.tolist(), strict=True):
        product = float(Fraction(total - 4 * 127) * Fraction(0.1))
        assert value == float(Fraction(product) / (4 * 127))


def test_scales_follow_the_opened_sums_within_a_factor_of_two() -> None:
    def after(level: int) -> list[float]:
        sums = np.full(5, 4 * 127) + np.array([level, -level, level, level, -level])
        return next_scales(
            sums,
            {"all": 4, "masks": 3},
            SCALES,
            LEVELS,
            tensors=TENSORS,
            contributors=4,
            contributors_min=3,
        ).tolist()

    assert after(0) == [0.25, 1.0]
    assert after(4 * 127) == [1.0, 4.0]
    # 4 x (64 / sqrt 4) levels of 0.5 / 127, and over sqrt 3 for the hospitals with masks
    assert after(64) == [
        pytest.approx(4 * 32 * 0.5 / 127),
        pytest.approx(4 * 64 / 3**0.5 * 2 / 127),
    ]


def test_scale_of_a_group_with_fewer_than_k_holders_stays() -> None:
    scales = next_scales(
        np.full(5, 4 * 127),
        {"all": 4, "masks": 2},
        SCALES,
        LEVELS,
        tensors=TENSORS,
        contributors=4,
        contributors_min=3,
    )

    assert scales.tolist() == [0.25, 2.0]


@given(st.lists(st.integers(-(2**46) + 1, 2**46 - 1), max_size=50))
def test_sum_of_squares_is_exact(numbers: list[int]) -> None:
    assert sum_of_squares(np.array(numbers, np.int64)) == sum(n * n for n in numbers)


def test_scales_never_reach_zero() -> None:
    scales = np.array([1e-9])
    following = next_scales(
        np.full(3, 4 * 127),
        {"all": 4},
        scales,
        LEVELS,
        tensors=TENSORS[:1],
        contributors=4,
        contributors_min=3,
    )

    assert following.tolist() == [1e-9]


def test_difference_and_its_digest_are_of_the_exact_bits() -> None:
    before, after = _change(1, 2), _change(1.5, 2)

    difference = weight_difference(before, after)

    assert difference.tolist() == [0.5, 0.0]
    framed = (
        len(b"update/v1").to_bytes(4, "little")
        + b"update/v1"
        + (8).to_bytes(4, "little")
        + (2).to_bytes(8, "little")
    )
    expected = hashlib.sha256(framed + difference.tobytes()).hexdigest()
    assert update_digest(difference) == expected
    assert update_digest(difference) != model_digest(difference)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (np.zeros(2), np.zeros(2), "float32"),
        (_change(1), _change(1, 2), "shape"),
        (np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32), "shape"),
        (_change(0), _change(np.nan), "not finite"),
        (_change(0), _change(np.inf), "not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused(before, after, reason: str) -> None:
    with pytest.raises(WeightListError, match=reason):
        weight_difference(before, after)


@pytest.mark.parametrize("levels", [0, 1, 2, 254])
def test_levels_without_a_centre_are_refused(levels: int) -> None:
    with pytest.raises(ClipRangeError, match="odd number"):
        _quantise(_change(0, 0, 0, 0, 0), levels=levels)


@pytest.mark.parametrize("scales", [[0.5], [0.5, 0.0], [0.5, -1.0], [0.5, np.nan], [0.5, np.inf]])
def test_scales_that_are_missing_or_not_positive_are_refused(scales: list[float]) -> None:
    with pytest.raises(ClipRangeError, match="positive clipping scales"):
        quantise(
            _change(0, 0, 0, 0, 0),
            np.array(scales),
            LEVELS,
            np.random.default_rng(0),
            tensors=TENSORS,
            groups=BOTH,
        )


def test_values_that_are_too_few_or_not_finite_are_refused() -> None:
    with pytest.raises(WeightListError, match="4 values"):
        _quantise(_change(0, 0, 0, 0))
    with pytest.raises(WeightListError, match="not finite"):
        _quantise(_change(0, 0, 0, 0, np.nan))


def test_a_model_that_would_not_be_finite_is_refused() -> None:
    with pytest.raises(WeightListError, match="would not be finite"):
        apply_update(_change(3e38), np.array([3e38]))
    with pytest.raises(WeightListError, match="shape"):
        apply_update(_change(1, 2), np.array([0.0]))
    with pytest.raises(WeightListError, match="float64"):
        apply_update(_change(1), _change(1))


def test_shared_tensors_leave_out_the_personal_ones_and_keep_the_order() -> None:
    weights = (
        Weight("a", (2, 3), "all", 500_000_000),
        Weight("b", (9,), "personal", 0),
        Weight("c", (), "masks", 1),
    )

    assert shared_tensors(weights) == (SharedTensor("a", 6, "all"), SharedTensor("c", 1, "masks"))
    assert first_scales(weights).tolist() == [0.5, 1e-9]


def test_holders_are_counted_among_the_contributors_alone() -> None:
    study = make_study()
    without = study.hospitals[-1]
    assert without.has_masks == 0

    assert part_holders(study, study.msps) == {"all": 4, "masks": 3}
    assert part_holders(study, study.msps[1:]) == {"all": 3, "masks": 2}
    assert own_groups(study, without.msp, study.msps) == {"all"}
    assert own_groups(study, study.msps[0], study.msps) == BOTH
    assert part_holders(replace(study), ()) == {"all": 0, "masks": 0}


def test_masks_tensors_are_not_sent_where_too_few_with_masks_joined_to_hide_each_other() -> None:
    study = make_study()
    first, second, _third, without = study.msps
    assert study.contributors_min == 3

    assert own_groups(study, first, (first, second, without)) == {"all"}
