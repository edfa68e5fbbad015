"""Bring pictures, masks and network output from one pixel grid to another.

A *box* is (left, top, right, bottom) in pixels of the picture, fractions allowed: pixel
centres lie at half numbers. Shrinking averages areas, enlarging interpolates linearly, both by
Pillow on float32. Class masks are never interpolated as numbers: each class is averaged and
the lesion is where at least half of the area is lesion.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Box = tuple[float, float, float, float]


def resized(
    pixels: NDArray[np.float32], size_px: int | tuple[int, int], box: Box | None = None
) -> NDArray[np.float32]:
    """Resize a picture, or the part of it in a box.

    Args:
        pixels: float32, shape `(height, width)`.
        size_px: Side of the square result in pixels, or its (height, width).
        box: What to take, or None for the whole picture.

    Returns:
        float32, shape `(height, width)` of the result.

    >>> resized(np.array([[0.0, 1.0], [0.0, 1.0]], np.float32), 1).tolist()
    [[0.5]]
    """
    height, width = (size_px, size_px) if isinstance(size_px, int) else size_px
    source_height = pixels.shape[0] if box is None else box[3] - box[1]
    method = Image.Resampling.BILINEAR if source_height < height else Image.Resampling.BOX
    picture = Image.fromarray(np.ascontiguousarray(pixels, np.float32))
    return np.asarray(picture.resize((width, height), method, box=box), np.float32)


def resized_mask(
    mask: NDArray[np.uint8], size_px: int | tuple[int, int], box: Box | None = None
) -> NDArray[np.uint8]:
    """Resize a mask of the classes 0 to 3.

    A pixel of the result is lesion where at least half of its area is, and of the class that has
    most of the area (the lower one where two have the same).

    Args:
        mask: uint8, shape `(height, width)`, values 0 to 3.
        size_px: As for `resized`.
        box: As for `resized`.

    Returns:
        uint8, shape of the result, values 0 to 3.
    """
    shares = np.stack(
        [resized((mask == kind).astype(np.float32), size_px, box) for kind in (1, 2, 3)]
    )
    # Slightly below a half: shares that add up to one half must not be lost to rounding.
    lesion = shares.sum(axis=0) >= 0.5 - 1e-4
    return np.where(lesion, shares.argmax(axis=0) + 1, 0).astype(np.uint8)


def pasted_back(
    values: NDArray[np.float32], box: Box, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Undo a crop: put what the network said about a box back at its place in the picture.

    Args:
        values: float32, shape `(h, w)`: one number for each pixel of the network's grid.
        box: The box that was cropped, in pixels of the picture.
        shape: Height and width of the picture.

    Returns:
        float32, `shape`; zero outside the box.
    """
    height, width = values.shape
    left, top, right, bottom = box
    # Sample the grid at the centre of every pixel of the picture (linear, edges extended by
    # half a grid pixel so that the outermost picture pixels are not lost).
    y = (np.arange(shape[0]) + 0.5 - top) / (bottom - top) * height - 0.5
    x = (np.arange(shape[1]) + 0.5 - left) / (right - left) * width - 0.5
    inside_y = np.flatnonzero((y > -0.5) & (y < height - 0.5))
    inside_x = np.flatnonzero((x > -0.5) & (x < width - 0.5))
    pasted = np.zeros(shape, np.float32)
    if inside_y.size == 0 or inside_x.size == 0:
        return pasted
    y0, fy = _neighbours(y[inside_y], height)
    x0, fx = _neighbours(x[inside_x], width)
    y1, x1 = np.minimum(y0 + 1, height - 1), np.minimum(x0 + 1, width - 1)
    rows0 = values[y0][:, x0] * (1 - fx) + values[y0][:, x1] * fx
    rows1 = values[y1][:, x0] * (1 - fx) + values[y1][:, x1] * fx
    pasted[np.ix_(inside_y, inside_x)] = rows0 * (1 - fy[:, None]) + rows1 * fy[:, None]
    return pasted


def _neighbours(
    position: NDArray[np.float64], length: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    clipped = np.clip(position, 0, length - 1)
    lower = np.floor(clipped).astype(np.int64)
    return lower, clipped - lower
