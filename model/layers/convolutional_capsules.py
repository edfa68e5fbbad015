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
    there are as many children to route as types. That is what makes it fast: the textbook's one
    vote for each capsule in the window has kernel_size^2 times as many votes (`TextbookCapsules`).

    Arguments, call arguments, output and errors are those of `WindowCapsules`.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the shared kernel and one bias for each parent."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, input_shape[-1], self.types * self.size),
            initializer="he_uniform",
        )
        self.add_biases()

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
