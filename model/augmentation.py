"""Random changes of training slices: what another scanner or another breath could have made.

Pure numpy: each batch is a function of the slices and the generator, on any machine and without
TensorFlow. Pictures and masks move together; grey levels of pictures only. Values stay in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.sampling import Batch

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """How far a slice may be changed at `strength` 1; everything scales with `strength`.

    Attributes:
        strength: 0 switches augmentation off; 0.7 is what the trials used.
        rotation_rad: Largest turn, either way.
        scale: Largest relative change of height and of width.
        shear: Largest shear.
        shift: Largest shift as a share of the picture.
        contrast: Largest relative change of contrast about the middle grey.
        brightness: Largest change of grey level.
        gamma: Largest absolute logarithm of the gamma exponent.
        blur: Share of a 3 x 3 mean mixed in (up to this) or taken out (up to 0.4 of this).
        noise: Largest standard deviation of white noise in grey levels.
        patch: Largest side of a flat patch as a share of the picture, in half of the slices.
    """

    strength: float = 0.7
    rotation_rad: float = 0.22
    scale: float = 0.18
    shear: float = 0.1
    shift: float = 0.07
    contrast: float = 0.28
    brightness: float = 0.1
    gamma: float = 0.35
    blur: float = 1.0
    noise: float = 0.04
    patch: float = 0.3


def augment(batch: Batch, settings: AugmentSettings, rng: np.random.Generator) -> Batch:
    """Change every slice of a batch at random.

    Args:
        batch: Labelled items first, then items with masks.
        settings: How far.
        rng: Source of the draws.

    Returns:
        A new batch of the same shapes; the given one is unchanged.
    """
    if settings.strength == 0.0:
        return batch
    images = batch.images[..., 0]
    height, width = images.shape[1:]
    rows, columns = source_grid(draw_transforms(len(images), settings, rng), height, width)
    warped = sample_linear(images, rows, columns)
    labelled = len(batch.labels)
    masks = sample_nearest(batch.masks, rows[labelled:], columns[labelled:])
    changed = change_grey(warped, settings, rng)
    return Batch(changed[..., np.newaxis], batch.labels, masks)


def draw_transforms(count: int, settings: AugmentSettings, rng: np.random.Generator) -> Floats:
    """Draw affine maps from target to source, about the centre, in units of the picture's side.

    Half of them mirror left and right (a lung disease may sit on either side).

    Returns:
        float32, shape `(count, 2, 3)`: rows (row, column) from (row, column, 1).
    """
    strength = settings.strength

    def uniform(limit: float) -> NDArray[np.float64]:
        return rng.uniform(-limit * strength, limit * strength, count)

    turn, shear = uniform(settings.rotation_rad), uniform(settings.shear)
    tall, wide = 1 + uniform(settings.scale), 1 + uniform(settings.scale)
    wide = wide * np.where(rng.random(count) < 0.5, -1.0, 1.0)
    down, right = uniform(settings.shift), uniform(settings.shift)
    cosine, sine = np.cos(turn), np.sin(turn)
    matrix = np.stack(
        [tall * cosine, wide * sine, down, shear - tall * sine, wide * cosine, right], axis=1
    )
    return matrix.reshape(count, 2, 3).astype(np.float32)


def source_grid(transforms: Floats, height: int, width: int) -> tuple[Floats, Floats]:
    """Say for each target pixel where it comes from.

    Returns:
        Source rows and columns in pixels, each float32, shape `(n, height, width)`, held inside the
        picture (its border is repeated outwards).
    """
    row = ((np.arange(height, dtype=np.float32) + 0.5) / height - 0.5)[np.newaxis, :, np.newaxis]
    column = ((np.arange(width, dtype=np.float32) + 0.5) / width - 0.5)[np.newaxis, np.newaxis, :]
    part = transforms[:, :, :, np.newaxis, np.newaxis]
    rows = part[:, 0, 0] * row + part[:, 0, 1] * column + part[:, 0, 2]
    columns = part[:, 1, 0] * row + part[:, 1, 1] * column + part[:, 1, 2]
    rows = np.clip((rows + 0.5) * height - 0.5, 0, height - 1)
    columns = np.clip((columns + 0.5) * width - 0.5, 0, width - 1)
    return np.asarray(rows, np.float32), np.asarray(columns, np.float32)


def sample_linear(images: Floats, rows: Floats, columns: NDArray[np.float32]) -> Floats:
    """Read pictures between their pixels (bilinear).

    Args:
        images: float32, shape `(n, height, width)`.
        rows: Source rows in pixels, inside the picture, same shape.
        columns: Source columns in pixels, inside the picture, same shape.

    Returns:
        float32, same shape.
    """
    count, height, width = images.shape
    top = np.minimum(rows.astype(np.int32), height - 2)
    left = np.minimum(columns.astype(np.int32), width - 2)
    below, beside = rows - top, columns - left
    first = np.arange(count, dtype=np.int32)[:, np.newaxis, np.newaxis] * (height * width)
    corner = first + top * np.int32(width) + left
    flat = images.reshape(-1)
    upper: Floats = flat.take(corner)
    upper += (flat.take(corner + 1) - upper) * beside
    corner += width
    lower = flat.take(corner)
    lower += (flat.take(corner + 1) - lower) * beside
    upper += (lower - upper) * below
    return upper


def sample_nearest(
    masks: NDArray[np.uint8], rows: Floats, columns: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Read masks at the nearest pixel: codes must not be mixed.

    Args:
        masks: uint8, shape `(n, height, width)`.
        rows: Source rows in pixels, inside the picture, same shape.
        columns: Source columns in pixels, inside the picture, same shape.

    Returns:
        uint8, same shape.
    """
    count = np.arange(len(masks))[:, np.newaxis, np.newaxis]
    nearest: NDArray[np.uint8] = masks[
        count, np.rint(rows).astype(np.int32), np.rint(columns).astype(np.int32)
    ]
    return nearest


def change_grey(images: Floats, settings: AugmentSettings, rng: np.random.Generator) -> Floats:
    """Change contrast, brightness, gamma, sharpness and noise, and cover a patch.

    Args:
        images: float32, shape `(n, height, width)`, in [0, 1].
        settings: How far.
        rng: Source of the draws.

    Returns:
        float32, same shape, in [0, 1].
    """
    count, height, width = images.shape
    strength = settings.strength

    def uniform(low: float, high: float) -> Floats:
        return rng.uniform(low, high, (count, 1, 1)).astype(np.float32)

    def symmetric(limit: float) -> Floats:
        return uniform(-limit * strength, limit * strength)

    changed = (images - 0.5) * (1 + symmetric(settings.contrast))
    changed += 0.5 + symmetric(settings.brightness)
    # Gamma on logarithms: exp and log of float32 are several times as fast as power.
    np.clip(changed, 1e-3, 1.0, out=changed)
    np.log(changed, out=changed)
    changed *= np.exp(symmetric(settings.gamma))
    np.exp(changed, out=changed)
    mix = uniform(-0.4 * settings.blur * strength, settings.blur * strength)
    changed += (mean_of_neighbours(changed) - changed) * mix
    noise = rng.standard_normal(images.shape, dtype=np.float32)
    noise *= uniform(0.0, settings.noise * strength)
    changed += noise
    side = uniform(0.0, settings.patch * strength) * (rng.random((count, 1, 1)) < 0.5)
    middle_row, middle_column, grey = uniform(0, 1), uniform(0, 1), uniform(0, 1)
    row = np.linspace(0, 1, height, dtype=np.float32)[np.newaxis, :, np.newaxis]
    column = np.linspace(0, 1, width, dtype=np.float32)[np.newaxis, np.newaxis, :]
    covered = (np.abs(row - middle_row) < side / 2) & (np.abs(column - middle_column) < side / 2)
    changed = np.where(covered, grey, changed)
    return np.clip(changed, 0.0, 1.0, out=changed)


def mean_of_neighbours(images: NDArray[np.float32]) -> Floats:
    """Average each pixel with its eight neighbours; the border is repeated outwards.

    Args:
        images: float32, shape `(n, height, width)`.

    Returns:
        float32, same shape.
    """
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    total: NDArray[np.float32] = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    total *= np.float32(1 / 9)
    return total
