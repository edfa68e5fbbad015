"""Find the lung field in one axial slice.

The picture is brought to a 128 x 128 working grid, lightly smoothed and cut in two at
Otsu's threshold (Otsu 1979, "A threshold selection method from gray-level histograms") or,
where Hounsfield units are known, at -400 HU. The dark components that are neither the air around
the body nor a thin strip at the border nor too small are the lungs. Where they fill too little
of the picture the answer is "not found", with the reason; nothing is guessed.

The scanner's round field of view is a trap: outside of it some scanners write values darker
than air, and a threshold then parts that padding from everything else, lungs included. It is
recognised by being the darkest of all and touching the corners, and painted over with the level
of air.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from peer_client.ct.grid import resized
from peer_client.ct.image import Image2D

#: Side of the working grid, pixels.
WORK_PX: Final = 128
#: Border between air and tissue where HU are known: half way between lung and soft tissue.
THRESHOLD_HU: Final = -400.0
#: Ends of the HU range that is looked at: below is padding, above bone, metal, contrast.
RANGE_HU: Final = (-1024.0, 400.0)
_COMPONENT_MIN_PX: Final = 120  # of 16384; a lung apex of 1 cm in a field of 40 cm has about 80
_LUNG_SHARE_MIN: Final = 0.05  # of the picture
_BOX_MIN_PX: Final = (36, 28)  # width, height of the box with its margin
_FILL_MIN: Final = 0.12  # of the component's own box; rings and frames are thinner
_STRIP_PX: Final = 12
_CLEARLY_MORE: Final = 1.3
_CORNER_PX: Final = 10  # rows plus columns from the corner
#: Padding of the field of view: its spread of levels, its share of the picture (outside a full
#: circle 0.215 of the square), and how much darker than air it is, all in grey from 0 to 1.
_PADDING_SPREAD: Final = 0.02
_PADDING_SHARE: Final = (0.02, 0.6)
_PADDING_STEP: Final = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class LungField:
    """Where the lungs are in a slice.

    Attributes:
        found: Whether lungs were found.
        reason: Why not, a short clause; empty where found.
        mask: bool, shape `(128, 128)`: air within the lungs, on the working grid.
        body: bool, shape `(128, 128)`: what is above the threshold.
        levels: float32, shape `(128, 128)`: the picture on the working grid, smoothed, field
            padding painted over; grey in [0, 1] or HU as in the picture.
        box: Left, top, right, bottom of the lungs without margin, as shares of the picture's
            width and height; of the body where no lungs were found.
    """

    found: bool
    reason: str
    mask: NDArray[np.bool_]
    body: NDArray[np.bool_]
    levels: NDArray[np.float32]
    box: tuple[float, float, float, float]


def find_lung_field(image: Image2D) -> LungField:
    """Find the lungs of one slice.

    Args:
        image: Grey in [0, 1] or HU, any size.

    Returns:
        The lung field; `found` is False where there is none to be seen.
    """
    levels = resized(image.pixels, WORK_PX)
    if image.is_hu:
        levels = np.clip(levels, *RANGE_HU).astype(np.float32)
    else:
        levels = without_field_padding(levels)
    levels = ndimage.gaussian_filter(levels, 0.7, mode="nearest").astype(np.float32)
    best: tuple[NDArray[np.bool_], NDArray[np.bool_], str] | None = None
    for threshold in [THRESHOLD_HU] if image.is_hu else _grey_thresholds(levels):
        dark = levels < threshold
        mask = _lung_components(dark)
        reason = _implausible(mask)
        if best is None or (
            # A later threshold must find clearly more: the first one may have lost one lung to
            # the air around the body, or both to fat.
            not reason and (best[2] or mask.sum() > _CLEARLY_MORE * best[0].sum())
        ):
            best = (mask, ~dark, reason)
    assert best is not None  # noqa: S101 - there is always a threshold
    mask, body, reason = best
    if reason:
        mask = np.zeros_like(mask)
    box = _box(_largest(body) if reason else mask)
    shares = tuple(edge / WORK_PX for edge in box)
    return LungField(
        not reason, reason, mask, body, levels, (shares[0], shares[1], shares[2], shares[3])
    )


def otsu_threshold(values: NDArray[np.float32]) -> float:
    """Return the level that parts the values into the two most distinct classes.

    Formula (Otsu 1979, equation 18): the level k of greatest
    `w0(k) w1(k) (mean0(k) - mean1(k))^2`, over a histogram of 256 bins.

    Args:
        values: Any shape, any unit.

    Returns:
        The level, in the unit of the values.

    >>> round(otsu_threshold(np.array([0, 0, 0.1, 0.9, 1, 1], np.float32)), 1)
    0.1
    """
    counts, edges = np.histogram(values, 256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts).astype(np.float64)
    above = below[-1] - below
    moment_below = np.cumsum(counts * centres)
    moment_above = moment_below[-1] - moment_below
    difference = moment_below / np.maximum(below, 1) - moment_above / np.maximum(above, 1)
    return float(edges[int((below * above * difference**2).argmax()) + 1])


def without_field_padding(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Paint what is darker than air around a round field of view with the level of air.

    The field may be off centre and cut by the border, so it is not looked for as a circle:
    padding is what touches a corner, has the level of the darkest corner or less, and is darker
    than (nearly) everything else. Where the air around the body is black itself, painting it with
    the darkest level of the rest changes nothing that matters: it stays dark.

    Args:
        levels: Grey in [0, 1], shape `(h, w)`.

    Returns:
        The same array where there is no such padding, else a copy without it.
    """
    # The darkest corner, not the darkest pixel: streaks of metal may be darker than the padding.
    least = float(levels[:: levels.shape[0] - 1, :: levels.shape[1] - 1].min())
    labels, _ = ndimage.label(levels < least + _PADDING_SPREAD)
    corners = {int(labels[y, x]) for y in (0, -1) for x in (0, -1)} - {0}
    padding = np.isin(labels, tuple(corners))
    share = float(padding.mean())
    if not _PADDING_SHARE[0] < share < _PADDING_SHARE[1]:
        return levels
    # The resized rim mixes padding and air; it is neither.
    wide = ndimage.binary_dilation(padding, iterations=2)
    air = float(np.percentile(levels[~wide], 5))
    if air - least < _PADDING_STEP:
        return levels
    painted = levels.copy()
    painted[wide & (levels < air)] = air
    return painted


def _grey_thresholds(levels: NDArray[np.float32]) -> list[float]:
    # A few black or white pixels (text, arrows, metal) must not decide.
    low, high = np.percentile(levels, [1, 99])
    first = otsu_threshold(np.clip(levels, low, high))
    # In a window for soft tissue, contrast and bone part from everything else first; the
    # darker class then parts into fat and muscle, and lung and air.
    darker = levels[levels < first]
    return [first, otsu_threshold(darker)] if darker.size else [first]


def _implausible(mask: NDArray[np.bool_]) -> str:
    """Return why dark components cannot be the lungs, or an empty text."""
    if mask.mean() < _LUNG_SHARE_MIN:
        return "no dark area inside the body is large enough"
    left, top, right, bottom = _box(mask)
    if right - left < _BOX_MIN_PX[0] or bottom - top < _BOX_MIN_PX[1]:
        return "the dark areas inside the body are too narrow"
    return ""


def _lung_components(dark: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, _ = ndimage.label(dark)
    # Air around the body reaches into at least one corner. More than the corner pixel is
    # looked at, because burnt-in frames and text cut it off.
    away = np.minimum(np.arange(WORK_PX), np.arange(WORK_PX)[::-1])
    corners = set(np.unique(labels[away[:, None] + away[None, :] < _CORNER_PX]).tolist())
    mask = np.zeros_like(dark)
    for number, window in enumerate(ndimage.find_objects(labels), 1):
        if number in corners or window is None:
            continue
        component = labels[window] == number
        area = int(component.sum())
        height, width = component.shape
        touches = (
            window[0].start == 0
            or window[1].start == 0
            or window[0].stop == WORK_PX
            or window[1].stop == WORK_PX
        )
        if area < _COMPONENT_MIN_PX or area < _FILL_MIN * component.size:
            continue
        if touches and min(height, width) < _STRIP_PX:
            continue
        mask[window] |= component
    return mask


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == int(sizes.argmax()))


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the true pixels; the whole grid where there are none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return 0, 0, mask.shape[1], mask.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
