"""The two plain pieces that the capsule network and its twin are made of."""

from __future__ import annotations

import keras

from model.config import NORMALISATION_GROUPS
from model.layers.group_normalization import GroupNormalization
from model.tensors import Tensor


def convolve(
    inputs: Tensor, channels: int, *, name: str, window: int = 3, strides: int = 1
) -> Tensor:
    """Convolve, normalise in groups (Wu & He 2018) and cut off below zero.

    Group normalisation looks at one picture at a time: it works for a batch of one, and hospitals
    need not share statistics of their pictures.

    Args:
        inputs: float32, shape `(batch, height, width, channels_in)`.
        channels: Output channels, a multiple of 8.
        name: Layer name; the normalisation is called `<name>_norm`.
        window: Side of the convolution's window in pixels.
        strides: Pixels between two windows.

    Returns:
        float32, shape `(batch, ceil(height / strides), ceil(width / strides), channels)`.
    """
    mapped = keras.layers.Conv2D(
        channels, window, strides=strides, padding="same", use_bias=False, name=name
    )(inputs)
    normalised = GroupNormalization(NORMALISATION_GROUPS, name=f"{name}_norm")(mapped)
    return keras.layers.ReLU()(normalised)


def enlarge(inputs: Tensor) -> Tensor:
    """Double height and width by repeating each pixel."""
    return keras.layers.UpSampling2D(2, interpolation="nearest")(inputs)


def as_maps(capsules: Tensor) -> Tensor:
    """Read capsules, shape `(batch, height, width, types, size)`, as `types x size` channels."""
    height, width, types, size = capsules.shape[1:]
    return keras.layers.Reshape((height, width, types * size))(capsules)
