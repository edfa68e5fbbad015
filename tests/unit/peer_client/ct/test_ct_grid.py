from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peer_client.ct.grid import pasted_back, resized, resized_mask


def test_shrinking_averages_areas() -> None:
    pixels = np.array([[0, 1, 2, 3], [4, 5, 6, 7]] * 2, np.float32)

    np.testing.assert_allclose(resized(pixels, 2), [[2.5, 4.5], [2.5, 4.5]])


def test_a_box_takes_only_its_part() -> None:
    pixels = np.zeros((8, 8), np.float32)
    pixels[2:4, 4:6] = 1

    np.testing.assert_allclose(resized(pixels, 2, (4, 2, 6, 4)), 1)


def test_half_a_pixel_of_lesion_is_lesion_and_less_is_not() -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[0, 0:2] = 1  # half of the first quarter
    mask[2, 2] = 1  # a quarter of the last

    np.testing.assert_array_equal(resized_mask(mask, 2), [[1, 0], [0, 0]])


def test_the_class_with_most_area_wins() -> None:
    mask = np.zeros((2, 2), np.uint8)
    mask[0] = [2, 2]
    mask[1] = [1, 0]

    assert resized_mask(mask, 1).item() == 2


def test_a_mask_that_is_only_enlarged_keeps_its_classes() -> None:
    mask = np.array([[0, 1], [2, 3]], np.uint8)

    assert set(np.unique(resized_mask(mask, 8))) == {0, 1, 2, 3}


def test_pasting_back_undoes_a_crop_away_from_its_rim() -> None:
    rng = np.random.default_rng(0)
    pixels = resized(rng.random((12, 12)).astype(np.float32), 120)
    box = (20.0, 30.0, 84.0, 94.0)

    back = pasted_back(resized(pixels, 64, box), box, pixels.shape)

    np.testing.assert_allclose(back[32:92, 22:82], pixels[32:92, 22:82], atol=1e-5)
    assert not back[:29].any()
    assert not back[:, 86:].any()


@settings(max_examples=40, deadline=None)
@given(left=st.floats(0, 30), top=st.floats(0, 30), width=st.floats(8, 30), height=st.floats(8, 30))
def test_pasting_back_ones_covers_the_box_and_nothing_else(
    left: float, top: float, width: float, height: float
) -> None:
    box = (left, top, left + width, top + height)

    back = pasted_back(np.ones((16, 16), np.float32), box, (64, 64))

    assert back.sum() == pytest.approx(width * height, rel=0.25)
    rows, columns = np.nonzero(back)
    assert columns.min() + 0.5 >= left - 1e-6
    assert columns.max() + 0.5 <= left + width + 1e-6
    assert rows.min() + 0.5 >= top - 1e-6
    assert rows.max() + 0.5 <= top + height + 1e-6
