"""Augmentation: ranges, masks that move with their picture, worked samples, determinism."""

from __future__ import annotations

import numpy as np
import pytest

from model.augmentation import (
    AugmentSettings,
    augment,
    draw_transforms,
    mean_of_neighbours,
    sample_linear,
    sample_nearest,
    source_grid,
)
from model.sampling import Batch

IDENTITY = np.array([[[1, 0, 0], [0, 1, 0]]], np.float32)
MIRROR = np.array([[[1, 0, 0], [0, -1, 0]]], np.float32)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    images = rng.random((6, 32, 32, 1), dtype=np.float32)
    masks = rng.integers(0, 4, (2, 32, 32)).astype(np.uint8)
    return Batch(images, np.array([1, 1, 0, 0], np.int32), masks)


def test_augment_keeps_shapes_types_range_labels_and_codes(batch):
    changed = augment(batch, AugmentSettings(strength=1.0), np.random.default_rng(1))

    assert changed.images.shape == batch.images.shape
    assert changed.images.dtype == np.float32
    assert 0.0 <= changed.images.min() <= changed.images.max() <= 1.0
    assert changed.labels is batch.labels
    assert changed.masks.dtype == np.uint8
    assert set(np.unique(changed.masks)) <= {0, 1, 2, 3}


def test_augment_is_a_function_of_the_generator(batch):
    first, second, other = (
        augment(batch, AugmentSettings(), np.random.default_rng(seed)).images for seed in (5, 5, 6)
    )

    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_augment_does_not_touch_the_given_batch(batch):
    before = batch.images.copy()

    augment(batch, AugmentSettings(), np.random.default_rng(1))

    assert np.array_equal(batch.images, before)


def test_augment_of_strength_zero_changes_nothing(batch):
    assert augment(batch, AugmentSettings(strength=0.0), np.random.default_rng(1)) is batch


def test_augment_moves_mask_and_picture_together():
    # A bright square with the same square as its mask: grey levels left alone, they stay together.
    picture = np.zeros((4, 48, 48, 1), np.float32)
    picture[:, 14:30, 10:26] = 1.0
    batch = Batch(picture, np.zeros(0, np.int32), (picture[..., 0] > 0.5).astype(np.uint8))
    settings = AugmentSettings(contrast=0, brightness=0, gamma=0, blur=0, noise=0, patch=0)

    changed = augment(batch, settings, np.random.default_rng(2))

    same = (changed.images[..., 0] > 0.5) == (changed.masks == 1)
    assert same.mean() > 0.98
    assert not np.array_equal(changed.masks, batch.masks)


def test_source_grid_of_the_identity_is_every_pixel_itself():
    rows, columns = source_grid(IDENTITY, 3, 4)

    assert np.allclose(rows[0], [[0] * 4, [1] * 4, [2] * 4], atol=1e-6)
    assert np.allclose(columns[0], [[0, 1, 2, 3]] * 3, atol=1e-6)


def test_sample_of_a_mirror_reads_from_the_other_side():
    image = np.array([[[1, 2, 3, 4], [5, 6, 7, 8]]], np.float32)
    rows, columns = source_grid(MIRROR, 2, 4)

    assert np.allclose(sample_linear(image, rows, columns), image[:, :, ::-1], atol=1e-5)
    assert np.array_equal(
        sample_nearest(image.astype(np.uint8), rows, columns), image[:, :, ::-1].astype(np.uint8)
    )


def test_sample_linear_between_four_pixels_is_their_mean():
    image = np.array([[[0, 1], [2, 5]]], np.float32)
    half = np.full((1, 1, 1), 0.5, np.float32)

    assert sample_linear(image, half, half).tolist() == [[[2.0]]]


def test_source_grid_repeats_the_border_outwards():
    far = np.array([[[1, 0, 5], [0, 1, -5]]], np.float32)

    rows, columns = source_grid(far, 3, 4)

    assert (rows == 2).all()
    assert (columns == 0).all()


def test_draw_transforms_mirrors_about_half_of_the_slices():
    transforms = draw_transforms(1000, AugmentSettings(), np.random.default_rng(0))

    assert transforms.shape == (1000, 2, 3)
    assert 0.45 < (transforms[:, 1, 1] < 0).mean() < 0.55


def test_mean_of_neighbours_of_one_bright_pixel_is_a_ninth_around_it():
    image = np.zeros((1, 5, 5), np.float32)
    image[0, 2, 2] = 9.0

    blurred = mean_of_neighbours(image)

    assert np.allclose(blurred[0, 1:4, 1:4], 1.0)
    assert blurred.sum() == pytest.approx(9.0)
