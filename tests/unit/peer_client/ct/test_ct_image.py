from __future__ import annotations

import io
import random
import zlib

import numpy as np
import pytest
from PIL import Image

from peer_client.ct.errors import ImageError, MaskError
from peer_client.ct.image import decode_image, decode_mask, read_image, read_mask


def encoded(levels: np.ndarray, kind: str = "PNG", **how) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, kind, **how)
    return buffer.getvalue()


RAMP = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))


def test_png_levels_become_shares_of_255() -> None:
    image = decode_image(encoded(RAMP), name="x")

    assert image.pixels.dtype == np.float32
    assert image.pixels.shape == (48, 64)
    np.testing.assert_allclose(image.pixels * 255, RAMP, atol=1e-4)
    assert not image.is_hu


def test_colour_and_alpha_become_grey() -> None:
    colour = np.dstack([RAMP] * 3)
    alpha = np.dstack([RAMP, RAMP, RAMP, np.full_like(RAMP, 255)])

    np.testing.assert_allclose(decode_image(encoded(colour), name="x").pixels * 255, RAMP, atol=1)
    np.testing.assert_allclose(decode_image(encoded(alpha), name="x").pixels * 255, RAMP, atol=1)


def test_16_bit_pictures_are_scaled_by_the_range_of_their_levels() -> None:
    wide = RAMP.astype(np.uint16) * 100 + 1000

    pixels = decode_image(encoded(wide), name="x").pixels

    assert pixels.min() == 0
    assert pixels.max() == 1
    np.testing.assert_allclose(pixels[0], np.linspace(0, 1, 64), atol=1e-3)


def test_equal_pictures_have_equal_digests_whatever_the_file(tmp_path) -> None:
    slow = encoded(RAMP, compress_level=9)
    fast = encoded(RAMP, compress_level=0)

    assert slow != fast
    assert decode_image(slow, name="x").digest() == decode_image(fast, name="y").digest()
    assert decode_image(slow, name="x").digest() != decode_image(encoded(RAMP.T), name="x").digest()


def test_an_empty_file_is_refused_by_name(tmp_path) -> None:
    (tmp_path / "empty.png").write_bytes(b"")

    with pytest.raises(ImageError, match=r"empty\.png is empty"):
        read_image(tmp_path / "empty.png")


def test_a_missing_file_is_refused_by_name(tmp_path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png"):
        read_image(tmp_path / "gone.png")


@pytest.mark.parametrize("side", [8, 31])
def test_a_tiny_picture_is_refused(side: int) -> None:
    with pytest.raises(ImageError, match="allowed are sides from 32"):
        decode_image(encoded(np.zeros((side, 64), np.uint8)), name="x")


def test_a_picture_that_says_it_is_huge_is_refused_before_it_is_unpacked() -> None:
    raw = bytearray(encoded(RAMP))
    raw[16:24] = (12_000).to_bytes(4, "big") * 2
    raw[29:33] = zlib.crc32(bytes(raw[12:29])).to_bytes(4, "big")

    with pytest.raises(ImageError, match="12000 x 12000"):
        decode_image(bytes(raw), name="x")


def test_other_formats_are_refused() -> None:
    with pytest.raises(ImageError, match="PNG or JPEG"):
        decode_image(encoded(RAMP, "GIF"), name="x")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_damaged_bytes_give_a_picture_or_an_image_error(kind: str) -> None:
    raw = encoded(RAMP, kind)
    rng = random.Random(1)
    for _ in range(150):
        damaged = bytearray(raw[: rng.randrange(len(raw))] if rng.random() < 0.3 else raw)
        for _ in range(rng.randrange(1, 8)):
            if damaged:
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            decode_image(bytes(damaged), name="x")
        except ImageError:
            continue


def test_a_truncated_picture_is_refused() -> None:
    raw = encoded(np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8))

    with pytest.raises(ImageError):
        decode_image(raw[: len(raw) // 2], name="x")


def test_a_mask_of_its_pictures_size_is_read(tmp_path) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[10:20, 10:20], mask[30:34, 30:34] = 1, 2
    Image.fromarray(mask).save(tmp_path / "m.png")

    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", (48, 64)), mask)


def test_a_mask_of_0_and_255_is_a_lesion_of_no_told_kind() -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[5:9, 5:9] = 255

    assert set(np.unique(decode_mask(encoded(mask), (48, 64), name="m"))) == {0, 3}


def test_a_mask_of_another_size_is_refused_with_both_sizes() -> None:
    with pytest.raises(MaskError, match="40 x 40 pixels, its picture 48 x 64"):
        decode_mask(encoded(np.zeros((40, 40), np.uint8)), (48, 64), name="m")


def test_a_mask_with_other_values_is_refused() -> None:
    with pytest.raises(MaskError, match="holds the value 7"):
        decode_mask(encoded(np.full((48, 64), 7, np.uint8)), (48, 64), name="m")


def test_a_mask_that_is_no_picture_is_a_mask_error(tmp_path) -> None:
    (tmp_path / "m.png").write_bytes(b"not a picture")

    with pytest.raises(MaskError, match="mask"):
        read_mask(tmp_path / "m.png", (48, 64))
