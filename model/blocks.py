"""The plain pieces around the capsules: convolutions, a residual block, enlarging."""

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
    return keras.layers.ReLU()(_normalised(inputs, channels, name, window, strides))


def residual(inputs: Tensor, *, name: str) -> Tensor:
    """Add to the features what two convolutions make of them (He et al. 2016, figure 2).

    The second normalisation's scale starts at zero (`model/weights.py`), so an untrained block
    passes its input on unchanged (Goyal et al. 2017, section 5.1).

    Args:
        inputs: float32, shape `(batch, height, width, channels)`, not below zero.
        name: The convolutions are called `<name>_1` and `<name>_2`.

    Returns:
        float32, the shape of the input, not below zero.
    """
    channels = inputs.shape[-1]
    change = _normalised(convolve(inputs, channels, name=f"{name}_1"), channels, f"{name}_2")
    return keras.layers.ReLU()(keras.layers.Add()([inputs, change]))


def _normalised(
    inputs: Tensor, channels: int, name: str, window: int = 3, strides: int = 1
) -> Tensor:
    mapped = keras.layers.Conv2D(
        channels, window, strides=strides, padding="same", use_bias=False, name=name
    )(inputs)
    return GroupNormalization(NORMALISATION_GROUPS, name=f"{name}_norm")(mapped)


def enlarge(inputs: Tensor) -> Tensor:
    """Double height and width by repeating each pixel."""
    return keras.layers.UpSampling2D(2, interpolation="nearest")(inputs)


def as_maps(capsules: Tensor) -> Tensor:
    """Read capsules, shape `(batch, height, width, types, size)`, as `types x size` channels."""
    height, width, types, size = capsules.shape[1:]
    return keras.layers.Reshape((height, width, types * size))(capsules)
