"""Convolutional capsules: votes by one shared transformation, routed at each place."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from model.layers.routing import route_by_agreement
from model.layers.squash import PACKAGE
from model.tensors import Tensor

#: Where the biases start: a little above zero, as in the code of LaLonde & Bagci, so that the first
#: parents are not exactly zero where the picture is.
BIAS_START = 0.02


@keras.saving.register_keras_serializable(package=PACKAGE)
class ConvolutionalCapsules(keras.layers.Layer):
    """Route the capsules in a window to parent capsules at its centre.

    Formula, for the child type i and the parent j at one place (LaLonde & Bagci 2018, section 2:
    routing held to a window, transformations shared over places and child types; Sabour et al.
    2017, equations 1 to 3 for the routing):

        u_j|i = sum over the window of W_j,xy v_i,xy      (one convolution)
        v_j   = routing by agreement of the u_j|i

    So a child type casts one vote for each parent, made of its capsules in the whole window, and
    there are as many children to route as types. That is what makes it fast: the textbook's one
    vote for each capsule in the window has kernel_size^2 times as many votes (`TextbookCapsules`).

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
        """Make the shared kernel and one bias for each parent."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, input_shape[-1], self.types * self.size),
            initializer="he_uniform",
        )
        self.bias = self.add_weight(
            name="bias",
            shape=(self.types, self.size),
            initializer=keras.initializers.Constant(BIAS_START),
        )

    def call(self, capsules: Tensor) -> Tensor:
        """Vote by one convolution over all child types, then route."""
        _, height, width, children, child_size = capsules.shape
        # Child types are folded into the batch, types inside pictures, so that the votes come out
        # in the order that routing wants and the largest array is never transposed.
        folded = ops.transpose(capsules, (0, 3, 1, 2, 4))
        folded = ops.reshape(folded, (-1, height, width, child_size))
        votes = ops.conv(folded, self.kernel, strides=self.strides, padding="same")
        height, width = votes.shape[1], votes.shape[2]
        votes = ops.reshape(votes, (-1, children, height, width, self.types, self.size))
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
