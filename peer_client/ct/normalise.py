"""Bring a slice of any scanner to the network's input, in two steps.

`normalise_spatial` finds the lung field, crops it with a margin and puts it on a fixed grid;
`normalise_signal` maps the levels so that lung lies at 1/6 and soft tissue at 5/6. Where Hounsfield
units are known the two anchors are fixed levels in HU, which is a window; where only grey
levels are known they are the picture's own: the dark fifth of the lungs, which is aerated lung
whatever else is in them (ADR 9), and the peak of the bright rest. A picture in which no lung is
found is still normalised, by its body, and *says so* (`lung_found` is False); a picture without any
contrast is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from peer_client.ct.errors import NormalisationError
from peer_client.ct.grid import Box, resized
from peer_client.ct.image import Image2D
from peer_client.ct.lung_field import LungField, find_lung_field

#: Changes whenever the same picture would be normalised to other values; part of cache keys.
NORMALISATION_VERSION: Final = 3

#: Aerated lung and muscle. Lung density at inspiration has its mode between -900 and -800 HU,
#: unenhanced muscle and blood between 30 and 60 HU.
LUNG_HU: Final = -850.0
TISSUE_HU: Final = 40.0
#: Where the two anchors lie in the network's input. The window in HU is -1072 to 262.
LUNG_LEVEL: Final = 1 / 6
TISSUE_LEVEL: Final = 5 / 6
#: Margin around the lungs: this share of the box's own size, and one working pixel.
MARGIN_SHARE: Final = 0.04
MARGIN_PICTURE_SHARE: Final = 1 / 128
#: Which part of a lung field is taken for aerated lung, percent from the dark end. Its mode would
#: be the lesion where disease fills most of it, and lesions would then be mapped to lung.
LUNG_PERCENTILE: Final = 20.0
_CONTRAST_MIN: Final = 1e-4
_PEAK_DISTANCE_MIN: Final = 0.15  # grey


@dataclass(frozen=True, slots=True)
class Anchors:
    """The levels of lung and of soft tissue in one picture, in the picture's own unit."""

    lung: float
    tissue: float


@dataclass(frozen=True, slots=True, eq=False)
class SpatialSlice:
    """A slice on the network's grid, levels untouched.

    Attributes:
        pixels: float32, shape `(size_px, size_px)`, grey or HU as in the picture.
        box: What was cropped, in pixels of the picture.
        field: The lung field it was cropped by.
    """

    pixels: NDArray[np.float32]
    box: Box
    field: LungField


@dataclass(frozen=True, slots=True, eq=False)
class NormalisedSlice:
    """What the network is given.

    Attributes:
        pixels: float32, shape `(size_px, size_px, 1)`, in [0, 1], multiples of 1/255, so that
            a slice read back from a cache of bytes is the same slice.
        box: What was cropped, in pixels of the picture.
        lung_found: Whether the crop was made by lungs, not by the body.
        reason: Why no lungs were found, a short clause; empty where found.
        field: The lung field; `lung_on_grid` brings it to the network's grid.
        anchors: The levels that went to 1/6 and 5/6, grey or HU.
    """

    pixels: NDArray[np.float32]
    box: Box
    lung_found: bool
    reason: str
    field: LungField
    anchors: Anchors


def to_network_input(
    image: Image2D,
    *,
    size_px: int,
    spatial: bool = True,
    signal: bool = True,
    field: LungField | None = None,
) -> NormalisedSlice:
    """Normalise one slice.

    Args:
        image: Grey or HU, any size.
        size_px: Side of the network's input, pixels.
        spatial: False takes the whole picture instead of the lung field (for comparisons).
        signal: False keeps grey levels, or maps the range of HU to [0, 1] (for comparisons).
        field: The picture's lung field where it has been found already.

    Returns:
        The slice.

    Raises:
        NormalisationError: The picture has no contrast.
    """
    cropped = normalise_spatial(image, size_px=size_px, field=field)
    if not spatial:
        height, width = image.pixels.shape
        box = (0.0, 0.0, float(width), float(height))
        cropped = SpatialSlice(resized(image.pixels, size_px, box), box, cropped.field)
    anchors = hu_anchors() if image.is_hu else grey_anchors(cropped.field, image, cropped.box)
    if signal:
        levels = normalise_signal(cropped.pixels, anchors)
    elif image.is_hu:
        levels = np.clip((cropped.pixels + 1024) / 4095, 0, 1).astype(np.float32)
    else:
        levels = np.clip(cropped.pixels, 0, 1)
    stepped = (np.round(levels * 255) / np.float32(255)).astype(np.float32)
    return NormalisedSlice(
        pixels=stepped[:, :, None],
        box=cropped.box,
        lung_found=cropped.field.found,
        reason=cropped.field.reason,
        field=cropped.field,
        anchors=anchors,
    )


def normalise_spatial(
    image: Image2D,
    *,
    size_px: int,
    margin_share: float = MARGIN_SHARE,
    field: LungField | None = None,
) -> SpatialSlice:
    """Crop the lung field with a margin and put it on a square grid.

    The box is stretched to the square, so neither the patient's size nor the scanner's
    pixel spacing (nor unequal spacing of rows and columns) is left in the result.

    Args:
        image: Grey or HU, any size.
        size_px: Side of the result, pixels.
        margin_share: Margin on each side, as a share of the lung box's own size.
        field: The picture's lung field where it has been found already.

    Returns:
        The cropped slice; by the body where no lung was found.

    Raises:
        NormalisationError: The picture has no contrast, or holds values that are no numbers.
    """
    if not np.isfinite(image.pixels).all():
        raise NormalisationError("the picture holds values that are not numbers")
    if float(np.ptp(image.pixels)) < _CONTRAST_MIN:
        raise NormalisationError("the picture is blank: all its pixels have the same level")
    field = find_lung_field(image) if field is None else field
    left, top, right, bottom = field.box
    margin_x = margin_share * (right - left) + MARGIN_PICTURE_SHARE if field.found else 0.0
    margin_y = margin_share * (bottom - top) + MARGIN_PICTURE_SHARE if field.found else 0.0
    height, width = image.pixels.shape
    box = (
        max(0.0, left - margin_x) * width,
        max(0.0, top - margin_y) * height,
        min(1.0, right + margin_x) * width,
        min(1.0, bottom + margin_y) * height,
    )
    return SpatialSlice(resized(image.pixels, size_px, box), box, field)


def normalise_signal(pixels: NDArray[np.float32], anchors: Anchors) -> NDArray[np.float32]:
    """Map levels so that lung lies at 1/6 and soft tissue at 5/6, clipped to [0, 1].

    Args:
        pixels: float32, any shape, in the unit of the anchors (grey or HU).
        anchors: The two levels.

    Returns:
        float32, same shape, in [0, 1].

    Raises:
        NormalisationError: The anchors are equal or swapped.

    >>> normalise_signal(np.array([-2000, -850, 40, 3000], np.float32), hu_anchors()).round(3)
    array([0.   , 0.167, 0.833, 1.   ], dtype=float32)
    """
    distance = anchors.tissue - anchors.lung
    if not distance > 0:
        raise NormalisationError(
            f"lung ({anchors.lung:g}) is not darker than soft tissue ({anchors.tissue:g})"
        )
    share = (pixels - np.float32(anchors.lung)) / np.float32(distance)
    level = LUNG_LEVEL + share * np.float32(TISSUE_LEVEL - LUNG_LEVEL)
    return np.asarray(np.clip(level, 0, 1), np.float32)


def hu_anchors() -> Anchors:
    """Return the anchors where Hounsfield units are known, in HU."""
    return Anchors(LUNG_HU, TISSUE_HU)


def grey_anchors(field: LungField, image: Image2D, box: Box) -> Anchors:
    """Find the levels of lung and soft tissue in a picture of unknown grey scale.

    Lung is the 20th percentile of the levels inside the lung field, soft tissue the mode of the
    levels above the threshold inside the box. Where no lungs were found, or hardly anything is
    bright, the 10th and 90th percentile of the box stand in.

    Args:
        field: The lung field of the picture.
        image: The picture, grey in [0, 1].
        box: The box that was cropped, in pixels of the picture.

    Returns:
        Two levels in [0, 1], at least 0.15 apart.
    """
    height, width = image.pixels.shape
    side_y, side_x = field.levels.shape
    rows = slice(int(box[1] / height * side_y), int(np.ceil(box[3] / height * side_y)))
    columns = slice(int(box[0] / width * side_x), int(np.ceil(box[2] / width * side_x)))
    levels = field.levels[rows, columns]
    bright = levels[field.body[rows, columns]]
    if field.found:
        lung = float(np.percentile(field.levels[field.mask], LUNG_PERCENTILE))
    else:
        lung = float(np.percentile(levels, 10))
    tissue = _mode(bright) if bright.size > 50 else float(np.percentile(levels, 90))
    return Anchors(lung, max(tissue, lung + _PEAK_DISTANCE_MIN))


def lung_on_grid(
    field: LungField, shape: tuple[int, ...], box: Box, *, size_px: int
) -> NDArray[np.bool_]:
    """Bring the lung field to the network's grid, filled.

    Vessels and lesions are brighter than the threshold; those that air surrounds are filled,
    and gaps up to about 3 % of the picture's width are closed. Dense disease that touches the chest
    wall over more than that is not counted as lung.

    Args:
        field: The lung field.
        shape: Height and width of the picture.
        box: The box that was cropped, in pixels of the picture.
        size_px: Side of the network's grid.

    Returns:
        bool, shape `(size_px, size_px)`.
    """
    if not field.found:
        return np.zeros((size_px, size_px), np.bool_)
    reach = 2
    padded = np.pad(field.mask, reach)
    closed = ndimage.binary_closing(padded, iterations=reach)[reach:-reach, reach:-reach]
    filled = ndimage.binary_fill_holes(closed | field.mask)
    side_y, side_x = field.mask.shape
    scale_x, scale_y = side_x / shape[1], side_y / shape[0]
    work_box = (box[0] * scale_x, box[1] * scale_y, box[2] * scale_x, box[3] * scale_y)
    return resized(np.asarray(filled, np.float32), size_px, work_box) >= 0.5


def _mode(levels: NDArray[np.float32]) -> float:
    """Return the most frequent level in [0, 1], to 1/64, of a lightly smoothed histogram."""
    counts, edges = np.histogram(levels, 64, (0.0, 1.0001))
    smooth = np.convolve(counts, [0.25, 0.5, 0.25], "same")
    highest = int(smooth.argmax())
    return float((edges[highest] + edges[highest + 1]) / 2)
