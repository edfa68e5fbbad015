"""The textbook capsule layer: every child in the window votes alone. For comparison only."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from model.layers.convolutional_capsules import BIAS_START
from model.layers.routing import route_by_agreement
from model.layers.squash import PACKAGE
from model.tensors import Tensor


@keras.saving.register_keras_serializable(package=PACKAGE)
class TextbookCapsules(keras.layers.Layer):
    """Route each capsule in a window by itself, with a matrix of its own for each parent.

    Formula, for child i = (place in the window, type) and parent j (Sabour et al. 2017, equations 1
    to 3, as most published code writes them: tile the children once for each parent, then
    multiply):

        u_j|i = W_ij v_i
        v_j   = routing by agreement of the u_j|i

    It has kernel_size^2 times the votes of `ConvolutionalCapsules` and child_types times its
    weights. The benchmark shows what that costs; no study uses it.

    Args:
        types: Parent capsules at each place.
        size: Length of each parent's vector.
        kernel_size: Side of the window in places.
        strides: Places between two windows.
        iterations: Routing steps, at least 1.

    Call arguments:
        capsules: float32, shape `(batch, height, width, child_types, child_size)`.

    Output:
        float32, shape `(batch, ceil(height / strides), ceil(width / strides), types, size)`;
        lengths lie in [0, 1).

    Raises:
        ValueError: An argument is below 1.
    """

    def __init__(
        self,
        types: int,
        size: int,
        *,
        kernel_size: int = 3,
        strides: int = 1,
        iterations: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        arguments = {
            "types": types,
            "size": size,
            "kernel_size": kernel_size,
            "strides": strides,
            "iterations": iterations,
        }
        for name, value in arguments.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1. Received: {name}={value}")
        self.types = types
        self.size = size
        self.kernel_size = kernel_size
        self.strides = strides
        self.iterations = iterations

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make one matrix for each child in the window and each parent, and the biases."""
        children = self.kernel_size**2 * input_shape[-2]  # type: ignore[operator]
        self.kernel = self.add_weight(
            name="kernel",
            shape=(children, self.types, self.size, input_shape[-1]),
            initializer=keras.initializers.RandomUniform(-0.17, 0.17),
        )
        self.bias = self.add_weight(
            name="bias",
            shape=(self.types, self.size),
            initializer=keras.initializers.Constant(BIAS_START),
        )

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

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return `(batch, height', width', types, size)`."""
        height, width = (
            None if side is None else -(-side // self.strides) for side in input_shape[1:3]
        )
        return (input_shape[0], height, width, self.types, self.size)

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is built from."""
        return {
            **super().get_config(),
            "types": self.types,
            "size": self.size,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "iterations": self.iterations,
        }
