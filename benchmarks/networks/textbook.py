"""The textbook's capsule layer: every child in the window votes alone; and a network of it."""

from __future__ import annotations

from dataclasses import replace

import keras
from keras import ops

from model.capsnet import CapsNet, build_decoder, build_encoder
from model.config import CapsNetConfig
from model.layers.routing import route_by_agreement
from model.layers.squash import PACKAGE
from model.layers.window_capsules import WindowCapsules
from model.network import SliceNetwork
from model.tensors import Tensor
from model.weights import WeightSpec, initial_vector, set_vector, specs

#: Layers of the capsule network that are routed over windows.
ROUTED = ("deep_capsules", "decoder_capsules")
#: Kernels start uniform in +- this.
HALF_WIDTH = 0.17


@keras.saving.register_keras_serializable(package=PACKAGE)
class TextbookCapsules(WindowCapsules):
    """Route each capsule in a window by itself, with a matrix of its own for each parent.

    Formula, for child i = (place in the window, type) and parent j (Sabour et al. 2017, equations 1
    to 3, as most published code writes them: tile the children once for each parent, then
    multiply):

        u_j|i = W_ij v_i
        v_j   = routing by agreement of the u_j|i

    It has kernel_size^2 times the votes of `ConvolutionalCapsules` and child_types times its
    weights.

    Arguments, call arguments, output and errors are those of `WindowCapsules`.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make one matrix for each child in the window and each parent, and the biases."""
        children = self.kernel_size**2 * input_shape[-2]  # type: ignore[operator]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(children, self.types, self.size, input_shape[-1]),
            initializer=keras.initializers.RandomUniform(-HALF_WIDTH, HALF_WIDTH),
        )
        self.add_biases()

    def call(self, capsules: Tensor) -> Tensor:
        """Cut out the windows, let every child vote, then route."""
        _, height, width, child_types, child_size = capsules.shape
        maps = ops.reshape(capsules, (-1, height, width, child_types * child_size))
        windows = ops.image.extract_patches(
            maps, size=self.kernel_size, strides=self.strides, padding="same"
        )
        height, width = windows.shape[1], windows.shape[2]
        children = self.kernel_size**2 * child_types
        tiled = ops.tile(
            ops.reshape(windows, (-1, children, 1, child_size, 1)), (1, 1, self.types, 1, 1)
        )
        votes = ops.matmul(ops.expand_dims(self.kernel, 0), tiled)
        votes = ops.reshape(votes, (-1, height, width, children, self.types, self.size))
        votes = ops.transpose(votes, (0, 3, 1, 2, 4, 5))
        return route_by_agreement(votes, self.bias, iterations=self.iterations)


class TextbookNet(CapsNet):
    """The capsule network of a configuration with the textbook's layer for its routed ones.

    Args:
        config: The architecture.
    """

    def __init__(self, config: CapsNetConfig) -> None:
        encoder = build_encoder(config, TextbookCapsules)
        decoder = build_decoder(config, encoder.outputs[2:], TextbookCapsules)
        SliceNetwork.__init__(self, config, encoder, decoder, textbook_specs(config))


def build_textbook(config: CapsNetConfig, *, seed: int = 0) -> TextbookNet:
    """Build the network with the initial weights of a seed."""
    net = TextbookNet(config)
    set_vector(net, initial_vector(net.manifest, seed))
    return net


def textbook_specs(config: CapsNetConfig) -> tuple[WeightSpec, ...]:
    """List every trainable tensor: those of the capsule network, with the routed layers' kernels.

    >>> shapes = {spec.name: spec.shape for spec in textbook_specs(CapsNetConfig())}
    >>> shapes["deep_capsules/kernel"]
    (288, 8, 16, 8)
    """
    return tuple(_textbook(spec, config.capsule_types) for spec in specs(config))


def _textbook(spec: WeightSpec, types: int) -> WeightSpec:
    """Return a routed layer's kernel with a matrix for each child in the window and each parent."""
    layer, variable = spec.name.split("/")
    if layer not in ROUTED or variable != "kernel":
        return spec
    height, width, child_size, parents = spec.shape
    shape = (height * width * types, types, parents // types, child_size)
    return replace(spec, shape=shape, half_width=HALF_WIDTH)
