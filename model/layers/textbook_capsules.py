"""The textbook capsule layer: every child in the window votes alone. For comparison only."""

from __future__ import annotations

import keras
from keras import ops

from model.layers.routing import route_by_agreement
from model.layers.squash import PACKAGE
from model.layers.window_capsules import WindowCapsules
from model.tensors import Tensor


@keras.saving.register_keras_serializable(package=PACKAGE)
class TextbookCapsules(WindowCapsules):
    """Route each capsule in a window by itself, with a matrix of its own for each parent.

    Formula, for child i = (place in the window, type) and parent j (Sabour et al. 2017, equations 1
    to 3, as most published code writes them: tile the children once for each parent, then
    multiply):

        u_j|i = W_ij v_i
        v_j   = routing by agreement of the u_j|i

    It has kernel_size^2 times the votes of `ConvolutionalCapsules` and child_types times its
    weights. The benchmark shows what that costs; no study uses it.

    Arguments, call arguments, output and errors are those of `WindowCapsules`.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make one matrix for each child in the window and each parent, and the biases."""
        children = self.kernel_size**2 * input_shape[-2]  # type: ignore[operator]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(children, self.types, self.size, input_shape[-1]),
            initializer=keras.initializers.RandomUniform(-0.17, 0.17),
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
