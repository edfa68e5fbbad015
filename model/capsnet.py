"""The capsule network: convolutional stem, two grids of capsules, class capsules, decoder.

    picture 96 x 96 -> stem 48 -> stage 24 -> primary capsules 12 -> deep capsules 6
                                    |                                     |
                                    +-- pooled capsules --> class capsules
    decoder: deep capsules 6 -> capsules 6 + 12 -> 24 -> 48 -> 96 -> lesion capsule

Capsules carry what parts are there and how they lie; the decoder takes its skips from every level.
The classes of a slice and the tissue of its pixels come from the same capsules. Measured choices:
docs/model.md. The module builds; training and prediction are elsewhere.
"""

from __future__ import annotations

from typing import Any

import keras

from model import losses
from model.blocks import as_maps, convolve, enlarge, residual
from model.config import CLASSES, DETAIL_CHANNELS, PICTURE_CHANNELS, ROUTING_WINDOW, CapsNetConfig
from model.layers import (
    CapsuleLength,
    ClassCapsules,
    ConvolutionalCapsules,
    PooledCapsules,
    PrimaryCapsules,
    TissueProbabilities,
)
from model.layers.squash import PACKAGE
from model.layers.window_capsules import WindowCapsules
from model.network import SliceNetwork
from model.tensors import Tensor
from model.weights import initial_vector, set_vector, specs

__all__ = ["CapsNet", "CapsNetConfig", "build"]


@keras.saving.register_keras_serializable(package=PACKAGE)
class CapsNet(SliceNetwork):
    """The capsule network of a configuration (see `SliceNetwork` for inputs and outputs).

    Class scores are the lengths of the class capsules, each in [0, 1).

    Args:
        config: The architecture, or its dictionary (as a model file holds it).
    """

    def __init__(self, config: CapsNetConfig | dict[str, Any], **kwargs: Any) -> None:
        if not isinstance(config, CapsNetConfig):
            config = CapsNetConfig.from_dict(config)
        encoder = build_encoder(config)
        decoder = build_decoder(config, encoder.outputs[2:])
        super().__init__(config, encoder, decoder, specs(config), **kwargs)

    def classification_loss(self, labels: Tensor, scores: Tensor) -> Tensor:
        """Margin loss and cross-entropy of the lengths."""
        return losses.capsule_class_loss(labels, scores)

    def probabilities(self, scores: Tensor) -> Tensor:
        """Softmax of ten times the lengths."""
        return keras.ops.softmax(losses.LENGTH_SCALE * scores, axis=-1)


def build(config: CapsNetConfig, *, seed: int = 0) -> CapsNet:
    """Build a capsule network with the initial weights of a seed.

    Args:
        config: The architecture.
        seed: Seed of the initial weights (the same bytes on every machine).

    Returns:
        The network.

    Raises:
        ModelConfigError: The architecture cannot be built (by `CapsNetConfig`).
        WeightLayoutError: `config.personal` names a layer that does not exist.
    """
    net = CapsNet(config)
    set_vector(net, initial_vector(net.manifest, seed))
    return net


def capsule_layer(
    config: CapsNetConfig, kind: type[WindowCapsules], size: int, *, strides: int, name: str
) -> Tensor:
    """Return a routed capsule layer of a kind.

    Its windows reach one parent's places beyond the parent's own on every side.
    """
    return kind(
        config.capsule_types,
        size,
        kernel_size=ROUTING_WINDOW * strides,
        strides=strides,
        iterations=config.routing_iterations,
        name=name,
    )


def build_encoder(
    config: CapsNetConfig, kind: type[WindowCapsules] = ConvolutionalCapsules
) -> Tensor:
    """Build the encoder: picture -> [class lengths, auxiliary logits, *decoder inputs].

    Args:
        config: The architecture.
        kind: Of its routed layers.
    """
    picture = keras.Input((config.size_px, config.size_px, 1), name="picture")
    half = convolve(picture, config.stem_channels, name="stem_1", window=5, strides=2)
    half = convolve(half, config.stem_channels, name="stem_2")
    quarter = convolve(half, config.stage_channels, name="stage_1", strides=2)
    quarter = convolve(quarter, config.stage_channels, name="stage_2")
    quarter = residual(quarter, name="residual")
    primary = PrimaryCapsules(
        config.capsule_types, config.primary_size, kernel_size=2, strides=2, name="primary_capsules"
    )(quarter)
    deep = capsule_layer(config, kind, config.deep_size, strides=2, name="deep_capsules")(primary)

    mean = keras.layers.GlobalAveragePooling2D(name="mean")(quarter)
    largest = keras.layers.GlobalMaxPooling2D(name="largest")(quarter)
    pooled = keras.layers.Concatenate(axis=1, name="pooled")(
        [
            PooledCapsules(config.deep_size, name="mean_capsules")(mean),
            PooledCapsules(config.deep_size, name="largest_capsules")(largest),
        ]
    )
    classes = ClassCapsules(
        CLASSES, config.deep_size, iterations=config.routing_iterations, name="class_capsules"
    )([deep, pooled])
    lengths = CapsuleLength(name="class_lengths")(classes)

    # Deep supervision (Lee et al. 2015): a plain head on the same features teaches the stem from
    # the first step, long before the routed layers have anything to say. Not used to predict.
    features = keras.layers.Concatenate(name="features")([mean, largest])
    hidden = keras.layers.Dropout(config.auxiliary_dropout, seed=0, name="dropout")(features)
    auxiliary = keras.layers.Dense(CLASSES, name="auxiliary")(hidden)
    outputs = [lengths, auxiliary, picture, half, quarter, primary, deep]
    return keras.Model(picture, outputs, name="encoder")


def build_decoder(
    config: CapsNetConfig,
    features: list[Tensor],
    kind: type[WindowCapsules] = ConvolutionalCapsules,
) -> Tensor:
    """Build the decoder: features of the encoder -> tissue probabilities of every pixel.

    Args:
        config: The architecture.
        features: The encoder's outputs that are the decoder's inputs.
        kind: Of its routed layers.
    """
    inputs = [keras.Input(feature.shape[1:]) for feature in features]
    picture, half, quarter, primary, deep = inputs
    stage = config.stage_channels

    capsules = capsule_layer(config, kind, config.decoder_size, strides=1, name="decoder_capsules")(
        deep
    )
    low = keras.layers.Concatenate()([enlarge(as_maps(capsules)), as_maps(primary)])
    maps = keras.layers.Concatenate()([enlarge(low), quarter])
    maps = convolve(maps, stage, name="merge", window=1)
    maps = convolve(maps, stage, name="quarter")
    maps = keras.layers.Concatenate()([enlarge(maps), half])
    maps = convolve(maps, DETAIL_CHANNELS, name="half")
    # Full resolution is expensive: a few channels of the picture itself are its only skip.
    detail = convolve(picture, PICTURE_CHANNELS, name="picture")
    maps = keras.layers.Concatenate()([enlarge(maps), detail])
    maps = convolve(maps, DETAIL_CHANNELS, name="full")
    # The lesion capsules before their squash, whose length and direction the next layer reads off.
    totals = keras.layers.Conv2D(config.deep_size, 1, name="lesion_capsule")(maps)
    tissue = TissueProbabilities(name="tissue")(totals)
    return keras.Model(inputs, tissue, name="decoder")
