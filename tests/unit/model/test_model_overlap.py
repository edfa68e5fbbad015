"""Dice: worked numbers, slices without a lesion, sizes, gains by patient."""

from __future__ import annotations

import numpy as np
import pytest

from model.errors import EvaluationError
from model.overlap import dice, dice_difference, slice_dice


def square(size: int, side: int) -> np.ndarray:
    mask = np.zeros((size, size), np.uint8)
    mask[:side, :side] = 1
    return mask


def test_slice_dice_of_worked_squares():
    masks = np.stack([square(8, 4), square(8, 4), square(8, 0)])
    maps = np.stack([square(8, 4), square(8, 2), square(8, 1)]).astype(np.float32)

    each = slice_dice(maps, masks)

    # Equal: 1. Four of sixteen pixels: 2 x 4 / (4 + 16). No lesion in the mask: not defined.
    assert each[:2].tolist() == [1.0, 0.4]
    assert np.isnan(each[2])


def test_dice_pooled_counts_false_alarms_on_slices_without_a_lesion():
    masks = np.stack([square(8, 4), square(8, 0)])
    maps = np.stack([square(8, 4), square(8, 4)]).astype(np.float32)

    found = dice(maps, masks)

    assert (found.mean, found.slices) == (1.0, 1)
    assert found.pooled == pytest.approx(2 * 16 / (32 + 16))


def test_dice_takes_every_lesion_code_as_lesion():
    masks = square(8, 4)[np.newaxis] * 2

    assert dice(square(8, 4)[np.newaxis].astype(np.float32), masks).mean == 1.0


def test_dice_by_size_goes_from_small_to_large():
    sides = (6, 2, 4)
    masks = np.stack([square(8, side) for side in sides])
    maps = np.stack([square(8, 6), square(8, 0), square(8, 2)]).astype(np.float32)

    assert dice(maps, masks).by_size == (0.0, 0.4, 1.0)


def test_dice_without_any_lesion_is_refused():
    with pytest.raises(EvaluationError, match="no Dice"):
        dice(np.zeros((2, 8, 8), np.float32), np.zeros((2, 8, 8), np.uint8))


def test_dice_of_another_shape_is_refused():
    with pytest.raises(EvaluationError, match="shape"):
        dice(np.zeros((2, 8, 8), np.float32), np.zeros((2, 8, 9), np.uint8))


def test_dice_difference_counts_patients_not_slices():
    # Patient a has three slices with a gain of 0, patient b one with a gain of 0.4.
    gain = dice_difference(
        ["a", "a", "a", "b", "c"],
        np.array([0.5, 0.5, 0.5, 0.9, np.nan]),
        np.array([0.5, 0.5, 0.5, 0.5, np.nan]),
        rng=np.random.default_rng(0),
        draws=200,
    )

    assert gain.value == pytest.approx(0.2)
    assert gain.low == pytest.approx(0.0)
    assert gain.high == pytest.approx(0.4)
