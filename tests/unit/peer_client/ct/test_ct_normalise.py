from __future__ import annotations

import numpy as np
import pytest

from peer_client.ct.errors import NormalisationError
from peer_client.ct.grid import resized
from peer_client.ct.image import Image2D
from peer_client.ct.lung_field import find_lung_field, otsu_threshold, without_field_padding
from peer_client.ct.normalise import (
    Anchors,
    lung_on_grid,
    normalise_signal,
    normalise_spatial,
    to_network_input,
)
from peer_client.ct.phantom_anatomy import draw_anatomy, lung_region, slice_hu


def chest(size: int = 160, seed: int = 1, kind: str = "sound"):
    """A slice in HU with some noise, and where its lungs truly are."""
    rng = np.random.default_rng(seed)
    anatomy = draw_anatomy(rng, np.random.default_rng(seed + 1000), kind)
    axis = ((np.arange(size) + 0.5) / size - 0.5) * 2.2 * anatomy.half_width_mm
    x, y = np.meshgrid(axis.astype(np.float32), axis.astype(np.float32))
    hu, _ = slice_hu(anatomy, x, y, 0.5)
    noisy = hu + rng.normal(0, 12, hu.shape).astype(np.float32)
    return noisy.astype(np.float32), lung_region(anatomy, x, y, 0.5)


def grey(hu: np.ndarray, low: float, high: float, gamma: float = 1.0) -> Image2D:
    return Image2D((np.clip((hu - low) / (high - low), 0, 1) ** gamma).astype(np.float32))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("low", "high", "gamma"),
    [(-1350, 150, 1), (-1000, 400, 1), (-1024, 3071, 1), (-160, 240, 1), (-1350, 150, 0.6)],
    ids=["lung", "narrow", "full", "soft tissue", "bent"],
)
def test_lungs_are_found_in_every_window(seed: int, low: float, high: float, gamma: float) -> None:
    hu, lungs = chest(seed=seed)

    field = find_lung_field(grey(hu, low, high, gamma))

    truth = resized(lungs.astype(np.float32), 128) > 0.5
    assert field.found
    assert field.reason == ""
    assert (field.mask & truth).sum() > 0.8 * truth.sum()
    assert (field.mask & ~truth).sum() < 0.1 * truth.sum()


@pytest.mark.parametrize("seed", range(5))
def test_lungs_are_found_in_hounsfield_units(seed: int) -> None:
    hu, lungs = chest(seed=seed)

    field = find_lung_field(Image2D(hu, is_hu=True))

    truth = resized(lungs.astype(np.float32), 128) > 0.5
    assert field.found
    assert (field.mask & truth).sum() > 0.8 * truth.sum()


@pytest.mark.parametrize("off", [0, 10, -14], ids=["centred", "right", "left"])
def test_the_padding_of_a_round_field_of_view_does_not_hide_the_lungs(off: int) -> None:
    hu, lungs = chest()
    axis = np.arange(160) - 79.5
    outside = np.hypot(axis[None, :] - off, axis[:, None]) > 80
    hu[outside] = -2048
    picture = grey(hu, -2048, 1500)

    field = find_lung_field(picture)

    truth = resized((lungs & ~outside).astype(np.float32), 128) > 0.5
    assert field.found
    assert (field.mask & truth).sum() > 0.75 * truth.sum()
    assert (field.mask & ~truth).sum() < 0.15 * truth.sum()


def test_without_padding_the_picture_is_left_as_it_is() -> None:
    hu, _ = chest()
    levels = resized(grey(hu, -1350, 150).pixels, 128)

    np.testing.assert_array_equal(without_field_padding(levels), levels)


def test_otsu_parts_two_levels_between_them() -> None:
    values = np.array([0.2] * 50 + [0.7] * 20, np.float32)

    assert 0.2 < otsu_threshold(values) < 0.7


def test_where_there_are_no_lungs_the_slice_says_so_and_why() -> None:
    axis = np.linspace(-1, 1, 120)
    body = (np.hypot(axis[:, None], axis[None, :]) < 0.8).astype(np.float32)
    body += np.random.default_rng(0).normal(0, 0.01, body.shape).astype(np.float32)

    slice_ = to_network_input(Image2D(np.clip(body, 0, 1)), size_px=32)

    assert not slice_.lung_found
    assert "no dark area" in slice_.reason
    assert slice_.pixels.shape == (32, 32, 1)
    # The body's box, not the whole picture.
    assert slice_.box[0] > 5
    assert not lung_on_grid(slice_.field, body.shape, slice_.box, size_px=32).any()


def test_a_blank_picture_is_refused() -> None:
    with pytest.raises(NormalisationError, match="blank"):
        to_network_input(Image2D(np.full((64, 64), 0.5, np.float32)), size_px=32)


def test_values_that_are_no_numbers_are_refused() -> None:
    pixels = np.zeros((64, 64), np.float32)
    pixels[3, 3] = np.nan

    with pytest.raises(NormalisationError, match="not numbers"):
        to_network_input(Image2D(pixels), size_px=32)


def test_one_chest_looks_alike_from_every_window() -> None:
    hu, _ = chest(seed=4)
    pictures = [
        Image2D(hu, is_hu=True),
        grey(hu, -1350, 150),
        grey(hu, -1024, 1024),
        grey(hu, -1024, 3071),
    ]

    slices = [to_network_input(picture, size_px=64).pixels for picture in pictures]

    for other in slices[1:]:
        assert np.abs(other - slices[0]).mean() < 0.06
    raw = [resized(picture.pixels, 64) for picture in pictures[1:]]
    assert np.abs(raw[0] - raw[2]).mean() > 0.2


def test_lung_and_tissue_land_on_their_levels() -> None:
    hu, lungs = chest(seed=2)

    for picture in (Image2D(hu, is_hu=True), grey(hu, -1350, 150)):
        slice_ = to_network_input(picture, size_px=96)
        inside = resized(lungs.astype(np.float32), 96, slice_.box) > 0.99
        assert np.median(slice_.pixels[:, :, 0][inside]) == pytest.approx(1 / 6, abs=0.06)
        assert np.median(slice_.pixels[:, :, 0][~inside]) == pytest.approx(5 / 6, abs=0.12)


def test_levels_are_steps_of_a_byte_within_0_and_1() -> None:
    hu, _ = chest()

    pixels = to_network_input(grey(hu, -1350, 150), size_px=48).pixels

    assert pixels.dtype == np.float32
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    np.testing.assert_allclose(pixels * 255, np.round(pixels * 255), atol=1e-4)


def test_the_crop_has_a_margin_around_the_lungs() -> None:
    hu, lungs = chest()
    rows, columns = np.nonzero(lungs)

    left, top, right, bottom = normalise_spatial(Image2D(hu, is_hu=True), size_px=64).box

    assert left < columns.min()
    assert right > columns.max() + 1
    assert top < rows.min()
    assert bottom > rows.max() + 1
    assert right - left < 1.2 * (columns.max() - columns.min())


def test_unequal_spacing_does_not_change_the_result() -> None:
    hu, _ = chest()
    squeezed = resized(hu, (160, 80))

    square = to_network_input(Image2D(hu, is_hu=True), size_px=48).pixels
    narrow = to_network_input(Image2D(squeezed, is_hu=True), size_px=48).pixels

    assert np.abs(square - narrow).mean() < 0.03


def test_lung_keeps_its_level_where_most_of_it_is_diseased() -> None:
    rng = np.random.default_rng(4)
    hu = np.full((160, 160), 40, np.float32)
    hu[30:130, 20:70] = hu[30:130, 90:140] = -850
    sound = hu.copy()
    hu[30:100, 20:70] = hu[30:100, 90:140] = -500  # ground glass in seven tenths of both lungs
    sound += rng.normal(0, 12, hu.shape).astype(np.float32)
    hu += rng.normal(0, 12, hu.shape).astype(np.float32)

    def lung_of(picture: np.ndarray) -> float:
        return to_network_input(grey(picture, -1350, 150), size_px=96).anchors.lung

    assert lung_of(hu) == pytest.approx(lung_of(sound), abs=0.02)
    ill = to_network_input(grey(hu, -1350, 150), size_px=96).pixels[:, :, 0]
    assert np.median(ill[10:50, 15:35]) > 0.35


def test_swapped_anchors_are_refused() -> None:
    with pytest.raises(NormalisationError, match="not darker"):
        normalise_signal(np.zeros(3, np.float32), Anchors(lung=0.5, tissue=0.5))


def test_each_step_can_be_turned_off_for_comparisons() -> None:
    hu, _ = chest()
    picture = grey(hu, -1350, 150)

    whole = to_network_input(picture, size_px=32, spatial=False, signal=False)

    np.testing.assert_allclose(whole.pixels[:, :, 0], resized(picture.pixels, 32), atol=0.003)
    assert whole.box == (0, 0, 160, 160)


def test_the_lung_on_the_grid_holds_the_vessels_inside_it() -> None:
    hu, lungs = chest(seed=3)
    slice_ = to_network_input(Image2D(hu, is_hu=True), size_px=96)

    lung = lung_on_grid(slice_.field, hu.shape, slice_.box, size_px=96)

    truth = resized(lungs.astype(np.float32), 96, slice_.box) >= 0.5
    assert (lung & truth).sum() / (lung | truth).sum() > 0.88
