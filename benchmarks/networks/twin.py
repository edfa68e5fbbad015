"""The twin: a plain U-Net with a dense class head, as large as the capsule network.

The control: what do capsules buy, and what do they cost? It has the same stem, inputs, outputs and
training as the capsule network, with ordinary convolutions where that has capsules, and logits
where that has lengths.
"""

from __future__ import annotations

import math

import keras

from model import losses
from model.blocks import convolve, enlarge, residual
from model.config import (
    CLASSES,
    DETAIL_CHANNELS,
    NORMALISATION_GROUPS,
    PICTURE_CHANNELS,
    TISSUES,
    CapsNetConfig,
)
from model.network import SliceNetwork
from model.tensors import Tensor
from model.weights import WeightSpec, initial_vector, set_vector


class Twin(SliceNetwork):
    """A U-Net of the size of the capsule network that `config` describes.

    Class scores are logits.

    Args:
        config: The capsule network to match; its capsule fields are not used.
    """

    def __init__(self, config: CapsNetConfig) -> None:
        encoder = _encoder(config)
        decoder = _decoder(config, encoder.outputs[2:])
        super().__init__(config, encoder, decoder, manifest(encoder, decoder))

    def classification_loss(self, labels: Tensor, scores: Tensor) -> Tensor:
        """Cross-entropy of the logits."""
        return losses.cross_entropy(labels, scores)

    def probabilities(self, scores: Tensor) -> Tensor:
        """Softmax of the logits."""
        return keras.ops.softmax(scores, axis=-1)


def build_twin(config: CapsNetConfig, *, seed: int = 0) -> Twin:
    """Build the twin of a capsule network with the initial weights of a seed."""
    net = Twin(config)
    set_vector(net, initial_vector(net.manifest, seed))
    return net


def manifest(encoder: Tensor, decoder: Tensor) -> tuple[WeightSpec, ...]:
    """List the tensors of built models; kernels start as He et al. 2015 draw them.

    The residual block starts as the capsule network's does.
    """
    listed = []
    for part, group in ((encoder, "all"), (decoder, "masks")):
        for variable in part.trainable_variables:
            name = "/".join(variable.path.split("/")[-2:])
            shape = tuple(variable.shape)
            half_width = math.sqrt(6.0 / math.prod(shape[:-1])) if len(shape) > 1 else 0.0
            scale = name.endswith("/gamma") and name != "residual_2_norm/gamma"
            centre = 1.0 if scale else 0.0
            listed.append(WeightSpec(name, shape, group, centre, half_width))  # type: ignore[arg-type]
    return tuple(listed)


def deep_channels(config: CapsNetConfig) -> tuple[int, int]:
    """Return the widths of the two levels below the stage.

    Three quarters and five eighths of the stage's make the twin as large as the capsule network.

    >>> deep_channels(CapsNetConfig())
    (48, 40)
    """
    groups = NORMALISATION_GROUPS
    eighths = config.stage_channels // (8 * groups) * groups
    return max(groups, 6 * eighths), max(groups, 5 * eighths)


def _encoder(config: CapsNetConfig) -> Tensor:
    """Build the encoder: picture -> [class logits, auxiliary logits, *decoder inputs]."""
    stem, stage = config.stem_channels, config.stage_channels
    eighth_channels, sixteenth_channels = deep_channels(config)
    picture = keras.Input((config.size_px, config.size_px, 1), name="picture")
    half = convolve(picture, stem, name="stem_1", window=5, strides=2)
    half = convolve(half, stem, name="stem_2")
    quarter = convolve(half, stage, name="stage_1", strides=2)
    quarter = convolve(quarter, stage, name="stage_2")
    quarter = residual(quarter, name="residual")
    eighth = convolve(quarter, eighth_channels, name="stage_3", strides=2)
    sixteenth = convolve(eighth, sixteenth_channels, name="stage_4", strides=2)

    features, deep = _pooled(quarter), _pooled(sixteenth)
    joined = keras.layers.Concatenate()([features, deep])
    logits = keras.layers.Dense(CLASSES, name="classes")(joined)
    hidden = keras.layers.Dropout(config.auxiliary_dropout, seed=0, name="dropout")(features)
    auxiliary = keras.layers.Dense(CLASSES, name="auxiliary")(hidden)
    outputs = [logits, auxiliary, picture, half, quarter, eighth, sixteenth]
    return keras.Model(picture, outputs, name="encoder")


def _pooled(maps: Tensor) -> Tensor:
    """Return the mean and the largest value of each channel, `(batch, 2 x channels)`."""
    mean = keras.layers.GlobalAveragePooling2D()(maps)
    return keras.layers.Concatenate()([mean, keras.layers.GlobalMaxPooling2D()(maps)])


def _decoder(config: CapsNetConfig, features: list[Tensor]) -> Tensor:
    """Build the decoder: features of the encoder -> tissue probabilities of every pixel."""
    inputs = [keras.Input(feature.shape[1:]) for feature in features]
    picture, half, quarter, eighth, sixteenth = inputs
    stage = config.stage_channels
    _, sixteenth_channels = deep_channels(config)
    maps = keras.layers.Concatenate()([enlarge(sixteenth), eighth])
    maps = convolve(maps, sixteenth_channels, name="eighth")
    maps = keras.layers.Concatenate()([enlarge(maps), quarter])
    maps = convolve(maps, stage, name="merge", window=1)
    maps = convolve(maps, stage, name="quarter")
    maps = keras.layers.Concatenate()([enlarge(maps), half])
    maps = convolve(maps, DETAIL_CHANNELS, name="half")
    detail = convolve(picture, PICTURE_CHANNELS, name="picture")
    maps = keras.layers.Concatenate()([enlarge(maps), detail])
    maps = convolve(maps, DETAIL_CHANNELS, name="full")
    tissue = keras.layers.Conv2D(TISSUES, 1, activation="softmax", name="tissue")(maps)
    return keras.Model(inputs, tissue, name="decoder")
