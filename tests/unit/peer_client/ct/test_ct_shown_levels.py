"""What a picture shows is what is read: palettes, transparency, orientation, colours, depth."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from peer_client.ct.errors import MaskError
from peer_client.ct.grey_range import grey_range, to_grey
from peer_client.ct.image import decode_image, decode_mask
from peer_client.ct.normalise import to_network_input
from peer_client.ct.phantoms import phantom_volume

#: Mean difference of the network's input that a way of saving may make.
SAME = 0.02
ROTATE_90 = 6  # EXIF: shown turned by 90 degrees clockwise
ORIENTATION = 0x0112
VOC = [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]


@pytest.fixture(scope="module")
def hu() -> np.ndarray:
    """The middle slice of a phantom, HU, 256 x 256."""
    volume, _ = phantom_volume(5, slices=3, size_px=256)
    return volume.voxels[1].astype(np.float32)


@pytest.fixture(scope="module")
def grey(hu: np.ndarray) -> np.ndarray:
    """The slice in a lung window, 8 bits."""
    return np.clip((hu + 1350) / 1500 * 255, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def lesion() -> np.ndarray:
    """A black and white mask with 400 white pixels."""
    mask = np.zeros((256, 256), np.uint8)
    mask[100:120, 60:80] = 255
    return mask


def saved(picture: Image.Image, kind: str = "PNG", **how) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **how)
    return buffer.getvalue()


def network_input(raw: bytes) -> np.ndarray:
    return to_network_input(decode_image(raw, name="x"), size_px=96).pixels


def difference(one: bytes, other: bytes) -> float:
    return float(np.abs(network_input(one) - network_input(other)).mean())


def indexed(indices: np.ndarray, palette: list[int], **how) -> bytes:
    picture = Image.fromarray(indices.astype(np.uint8), "P")
    picture.putpalette(palette)
    return saved(picture, **how)


def oriented(picture: Image.Image, kind: str) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = ROTATE_90
    return saved(picture, kind, exif=exif)


@pytest.mark.parametrize(
    "burn",
    [
        lambda levels: levels.__setitem__((0, 0), 65535),
        lambda levels: levels.__setitem__((slice(2, 12), slice(2, 42)), 65535),  # a line of text
        lambda levels: levels.__setitem__((slice(None), 0), 0),  # a dead column
    ],
    ids=["one pixel", "text", "column"],
)
@pytest.mark.parametrize("offset", [0, 1024, 20000])
def test_a_few_pixels_do_not_decide_how_16_bit_levels_are_scaled(hu, offset: int, burn) -> None:
    levels = np.clip(hu + 1024 + offset, 0, 65535).astype(np.uint16)
    burnt = levels.copy()
    burn(burnt)

    assert difference(saved(Image.fromarray(levels)), saved(Image.fromarray(burnt))) <= SAME


def test_a_small_picture_on_a_wide_black_page_keeps_its_levels() -> None:
    page = np.zeros((400, 400), np.uint16)
    page[:30, :30] = np.arange(900).reshape(30, 30) + 100  # a twentieth of the pixels

    low, high = grey_range(page)

    assert 0 <= low <= 100
    assert high == 999
    assert to_grey(page)[10, 10] == pytest.approx((410 - low) / (high - low), abs=1e-6)


def test_levels_that_are_all_equal_have_no_range() -> None:
    assert grey_range(np.full((4, 4), 7)) == (7.0, 7.0)
    assert to_grey(np.full((4, 4), 7)).max() == 0


@pytest.mark.parametrize("channels", [2, 4])
def test_what_is_transparent_lies_on_black(hu, grey, channels: int) -> None:
    outside = ~ndimage.binary_fill_holes(hu > -500)
    plain = np.where(outside, 0, grey).astype(np.uint8)
    hidden = np.where(outside, 255, grey).astype(np.uint8)
    alpha = np.where(outside, 0, 255).astype(np.uint8)

    picture = Image.fromarray(np.dstack([hidden] * (channels - 1) + [alpha]))

    assert difference(saved(Image.fromarray(plain)), saved(picture)) == 0


def test_a_level_that_is_declared_transparent_is_black(grey) -> None:
    plain = np.minimum(grey, 254)
    marked = plain.copy()
    plain[:40], marked[:40] = 0, 255
    for dtype in (np.uint8, np.uint16):
        shown = decode_image(saved(Image.fromarray(plain.astype(dtype))), name="x").pixels
        raw = saved(Image.fromarray(marked.astype(dtype)), transparency=255)
        np.testing.assert_allclose(decode_image(raw, name="x").pixels[:40], 0, atol=1e-6)
        np.testing.assert_allclose(decode_image(raw, name="x").pixels, shown, atol=0.01)


def test_a_palette_shows_its_colours(grey) -> None:
    upside_down = indexed(255 - grey, [level for at in range(256) for level in [255 - at] * 3])

    assert difference(saved(Image.fromarray(grey)), upside_down) == 0


def test_transparent_entries_of_a_palette_are_black(grey) -> None:
    palette = [level for at in range(256) for level in [at] * 3]
    marked = np.minimum(grey, 254)
    marked[:40] = 255

    shown = decode_image(indexed(marked, palette, transparency=255), name="x").pixels

    assert shown[:40].max() == 0
    np.testing.assert_allclose(shown[40:] * 255, np.minimum(grey, 254)[40:], atol=1e-3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_is_read_in_the_orientation_that_it_gives(grey, kind: str) -> None:
    lying = Image.fromarray(grey).transpose(Image.Transpose.ROTATE_90)

    upright = decode_image(oriented(lying, kind), name="x").pixels

    np.testing.assert_allclose(upright * 255, grey, atol=0 if kind == "PNG" else 60)
    assert float(np.abs(upright * 255 - grey).mean()) < 4


def test_a_mask_is_read_in_the_orientation_that_it_gives(lesion) -> None:
    tall = np.ascontiguousarray(lesion[:, :200])
    lying = Image.fromarray(tall).transpose(Image.Transpose.ROTATE_90)

    classes = decode_mask(oriented(lying, "PNG"), tall.shape, name="m")

    np.testing.assert_array_equal(classes > 0, tall > 0)


def test_cmyk_is_read_as_it_is_shown(grey) -> None:
    raw = saved(Image.fromarray(grey).convert("RGB").convert("CMYK"), "JPEG", quality=95)

    assert difference(saved(Image.fromarray(grey)), raw) <= SAME


def test_black_ink_alone_is_dark(grey) -> None:
    inks = np.zeros((*grey.shape, 4), np.uint8)
    inks[..., 3] = 255 - grey

    raw = saved(Image.fromarray(inks, "CMYK"), "JPEG", quality=95)

    assert difference(saved(Image.fromarray(grey)), raw) <= SAME


def test_a_black_and_white_mask_with_any_palette_shows_its_white_pixels(lesion) -> None:
    white_first = Image.fromarray(lesion).quantize(2)
    assert white_first.getpalette()[:3] == [255, 255, 255]
    for raw in (
        saved(white_first),
        indexed(lesion > 0, [0, 0, 0, 255, 255, 255]),
        indexed(lesion == 0, [255, 255, 255, 0, 0, 0]),
        indexed(np.where(lesion, 9, 4), [*[7, 7, 7] * 4, 0, 0, 0, *[7, 7, 7] * 4, *[255] * 3]),
        saved(Image.fromarray(lesion).convert("1")),
    ):
        classes = decode_mask(raw, lesion.shape, name="m")
        np.testing.assert_array_equal(classes, np.where(lesion, 3, 0))


def test_index_masks_in_colours_are_read_as_they_are(lesion) -> None:
    indices = np.where(lesion, 1, 0)
    indices[10:20, 10:20], indices[30:40, 30:40] = 2, 3

    for palette in (VOC, [level for at in range(256) for level in [at] * 3]):
        np.testing.assert_array_equal(
            decode_mask(indexed(indices, palette), lesion.shape, name="m"), indices
        )
    np.testing.assert_array_equal(
        decode_mask(indexed(indices, VOC, transparency=0), lesion.shape, name="m"), indices
    )


@pytest.mark.parametrize(
    "palette",
    [
        [255, 255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255],  # background is white
        [255, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0, 255],  # background is red
        [0, 0, 0, 128, 0, 0, 128, 0, 0, 0, 0, 0],  # two classes in one colour
        [0, 0, 0, 90, 90, 90, 0, 0, 0, 90, 90, 90],  # two pairs that look alike
    ],
)
def test_a_palette_that_does_not_show_classes_is_named(palette: list[int], lesion) -> None:
    indices = np.where(lesion, 1, 0)
    indices[10:20, 10:20], indices[30:40, 30:40] = 2, 3

    with pytest.raises(MaskError, match="palette"):
        decode_mask(indexed(indices, palette), lesion.shape, name="m")


def test_hidden_pixels_of_a_mask_are_background(lesion) -> None:
    white = np.full_like(lesion, 255)

    raw = saved(Image.fromarray(np.dstack([white, white, white, lesion])))

    np.testing.assert_array_equal(decode_mask(raw, lesion.shape, name="m"), np.where(lesion, 3, 0))


def test_a_mask_in_colours_without_a_palette_is_refused(lesion) -> None:
    red = np.dstack([lesion, np.zeros_like(lesion), np.zeros_like(lesion)])

    with pytest.raises(MaskError, match="in colours"):
        decode_mask(saved(Image.fromarray(red)), lesion.shape, name="m")


def test_white_in_16_bits_is_a_lesion_of_no_told_kind(lesion) -> None:
    wide = lesion.astype(np.uint16) * 257

    classes = decode_mask(saved(Image.fromarray(wide)), lesion.shape, name="m")

    np.testing.assert_array_equal(classes, np.where(lesion, 3, 0))
