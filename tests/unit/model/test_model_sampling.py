"""Batches: balance, patients before slices, masks only where they exist, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from model.errors import TrainingDataError
from model.sampling import NO_LABEL, TrainingSlices, draw_batch


def make_slices(**changes):
    """Six slices: patient a has three of class 1, b one of class 0, c one, d a mask only."""
    count, size = 6, 4
    values = np.arange(count, dtype=np.float32) / 10
    fields = {
        "images": np.broadcast_to(values[:, None, None, None], (count, size, size, 1)).copy(),
        "labels": np.array([1, 1, 1, 0, 0, NO_LABEL]),
        "patients": ["a", "a", "a", "b", "c", "d"],
        "masks": np.full((1, size, size), 2, np.uint8),
        "mask_images": np.array([5]),
    }
    return TrainingSlices(**{**fields, **changes})


def numbers(batch):
    """Which slices a batch holds, read off their grey level."""
    return np.rint(batch.images[:, 0, 0, 0] * 10).astype(int).tolist()


def test_batch_is_balanced_and_ends_with_the_items_that_have_masks():
    batch = draw_batch(make_slices(), np.random.default_rng(0), class_items=8, mask_items=2)

    assert batch.labels.tolist() == [1] * 4 + [0] * 4
    assert set(numbers(batch)[:4]) <= {0, 1, 2}
    assert set(numbers(batch)[4:8]) <= {3, 4}
    assert numbers(batch)[8:] == [5, 5]
    assert batch.masks.shape == (2, 4, 4)
    assert (batch.masks == 2).all()


def test_batch_is_a_function_of_the_generator():
    drawn = [
        numbers(draw_batch(make_slices(), np.random.default_rng(3), class_items=20, mask_items=0))
        for _ in range(2)
    ]

    assert drawn[0] == drawn[1]


def test_patients_are_drawn_before_slices():
    # Patient "many" has 99 slices, patient "one" has 1: both are drawn about equally often.
    count = 100
    slices = TrainingSlices(
        np.zeros((count, 2, 2, 1), np.float32)
        + np.array([0.0] * 99 + [1.0]).reshape(-1, 1, 1, 1).astype(np.float32),
        np.ones(count, int),
        ["many"] * 99 + ["one"],
        np.zeros((0, 2, 2), np.uint8),
        np.zeros(0, int),
    )

    batch = draw_batch(slices, np.random.default_rng(1), class_items=1000, mask_items=0)

    assert 0.45 < batch.images.mean() < 0.55


def test_one_class_alone_fills_the_labelled_items():
    slices = make_slices(labels=np.array([1, 1, 1, NO_LABEL, NO_LABEL, NO_LABEL]))

    batch = draw_batch(slices, np.random.default_rng(0), class_items=5, mask_items=0)

    assert batch.labels.tolist() == [1] * 5


def test_slices_without_masks_refuse_a_batch_that_wants_them():
    slices = make_slices(masks=np.zeros((0, 4, 4), np.uint8), mask_images=np.zeros(0, int))

    assert not slices.has_masks
    with pytest.raises(TrainingDataError, match="mask"):
        draw_batch(slices, np.random.default_rng(0), class_items=2, mask_items=1)


def test_slices_without_labels_refuse_a_batch_that_wants_them():
    slices = make_slices(labels=np.full(6, NO_LABEL))

    assert not slices.has_labels
    with pytest.raises(TrainingDataError, match="label"):
        draw_batch(slices, np.random.default_rng(0), class_items=2, mask_items=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((6, 4, 4), np.float32)}, "float32 of shape"),
        ({"images": np.zeros((6, 4, 4, 1))}, "float64"),
        ({"images": np.zeros((0, 4, 4, 1), np.float32)}, "no slice at all"),
        ({"images": np.full((6, 4, 4, 1), 255, np.float32)}, "0, 1"),
        ({"images": np.full((6, 4, 4, 1), np.nan, np.float32)}, "finite"),
        ({"labels": np.array([0, 1, 2, 0, 1, 0])}, "labels"),
        ({"labels": np.array([0, 1])}, "labels"),
        ({"patients": ["a"]}, "patient"),
        ({"masks": np.zeros((1, 4, 5), np.uint8)}, "masks must be uint8"),
        ({"masks": np.zeros((1, 4, 4), np.int64)}, "masks must be uint8"),
        ({"masks": np.full((1, 4, 4), 4, np.uint8)}, "0 to 3"),
        ({"mask_images": np.array([6])}, "0 to 5"),
        ({"mask_images": np.array([0, 1])}, "image numbers"),
    ],
)
def test_slices_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(TrainingDataError, match=message):
        make_slices(**changes)
