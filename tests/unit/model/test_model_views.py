"""Other views of a slice: nearer, further off, turned, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from model.views import VIEWS, View, viewed


def disc(radius_px: float, size_px: int = 64) -> NDArray[np.float32]:
    place = np.arange(size_px) - (size_px - 1) / 2
    inside = place[:, None] ** 2 + place[None, :] ** 2 <= radius_px**2
    return inside.astype(np.float32)[None, :, :, None]


def test_the_plain_view_is_the_slice_as_it_is() -> None:
    images = np.random.default_rng(0).random((2, 16, 16, 1), dtype=np.float32)
    np.testing.assert_allclose(viewed(images, View()), images, atol=1e-5)


@pytest.mark.parametrize("scale", [0.92, 1.08])
def test_a_view_from_nearer_shows_a_disc_larger(scale: float) -> None:
    area = viewed(disc(20), View(scale=scale)).sum()
    assert area == pytest.approx(disc(20).sum() / scale**2, rel=0.02)


def test_a_turn_moves_a_point_about_the_centre_and_turning_back_brings_it_home() -> None:
    images = np.zeros((1, 64, 64, 1), np.float32)
    images[0, 30:34, 50:54] = 1.0
    turned = viewed(images, View(turn_rad=0.09))
    rows = (np.arange(64)[:, None] * turned[0, :, :, 0]).sum() / turned.sum()
    assert abs(rows - 31.5) == pytest.approx(20 * np.sin(0.09), abs=0.2)
    back = viewed(turned, View(turn_rad=-0.09))
    assert np.abs(back - images).mean() < 0.002


def test_every_view_keeps_shape_type_and_range() -> None:
    images = np.random.default_rng(1).random((3, 16, 16, 1), dtype=np.float32)
    for view in VIEWS:
        seen = viewed(images, view)
        assert (seen.shape, seen.dtype) == (images.shape, np.float32)
        assert seen.min() >= 0.0
        assert seen.max() <= 1.0


def test_views_come_in_pairs_that_undo_each_other() -> None:
    assert sum(view.turn_rad for view in VIEWS) == 0.0
    assert np.mean([view.scale for view in VIEWS]) == pytest.approx(1.0)
