"""Convolutional capsules: votes by one shared transformation, routed at each place."""

from __future__ import annotations

import keras
from keras import ops

from model.layers.routing import route_by_agreement
from model.layers.squash import PACKAGE
from model.layers.window_capsules import WindowCapsules
from model.tensors import Tensor


@keras.saving.register_keras_serializable(package=PACKAGE)
class ConvolutionalCapsules(WindowCapsules):
    """Route the capsules in a window to parent capsules at its centre.

    Formula, for the child type i and the parent j at one place (LaLonde & Bagci 2018, section 2:
    routing held to a window, transformations shared over places and child types; Sabour et al.
    2017, equations 1 to 3 for the routing):

        u_j|i = sum over the window of W_j,xy v_i,xy      (one convolution)
        v_j   = routing by agreement of the u_j|i

    So a child type casts one vote for each parent, made of its capsules in the whole window, and
    there are as many children to route as types. That is what makes it fast: one vote for each
    capsule in the window, as the textbook has it, is kernel_size^2 times as many votes.

    Arguments, call arguments, output and errors are those of `WindowCapsules`; the grid's sides are
    multiples of `strides`.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the shared kernel and one bias for each parent.

        Raises:
            ValueError: Height or width of the grid is not a multiple of `strides`.
        """
        if any(side is None or side % self.strides for side in input_shape[1:3]):
            raise ValueError(
                f"the grid's sides must be multiples of strides={self.strides}. "
                f"Received: {input_shape[1:3]}"
            )
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, input_shape[-1], self.types * self.size),
            initializer="he_uniform",
        )
        self.add_biases()

    def call(self, capsules: Tensor) -> Tensor:
        """Vote by one convolution over all child types, then route."""
        _, height, width, children, child_size = capsules.shape
        step, cells = self.strides, self.kernel_size // self.strides
        height, width = height // step, width // step
        # The step x step places that a parent stands for become one cell with all their values: a
        # convolution of few channels and large steps, which processors are slow at, becomes one of
        # more channels and steps of one. The sums are the same.
        # Child types are folded into the batch, types inside pictures, so that the votes come out
        # in the order that routing wants and the largest array is never transposed.
        folded = ops.reshape(capsules, (-1, height, step, width, step, children, child_size))
        folded = ops.transpose(folded, (0, 5, 1, 3, 2, 4, 6))
        folded = ops.reshape(folded, (-1, height, width, step * step * child_size))
        kernel = ops.reshape(self.kernel, (cells, step, cells, step, child_size, -1))
        kernel = ops.transpose(kernel, (0, 2, 1, 3, 4, 5))
        kernel = ops.reshape(kernel, (cells, cells, step * step * child_size, -1))
        votes = ops.conv(folded, kernel, padding="same")
        votes = ops.reshape(votes, (-1, children, height, width, self.types, self.size))
        return route_by_agreement(votes, self.bias, iterations=self.iterations)
