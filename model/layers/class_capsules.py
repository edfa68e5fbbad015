"""Class capsules: one vector for each class of the slice."""

from __future__ import annotations

from typing import Any, Final

import keras
from keras import ops

from model.layers.routing import route_by_agreement
from model.layers.squash import PACKAGE
from model.tensors import Tensor

#: Standard deviation of a vote's weight at the start; drawn uniformly in +-0.15 sqrt(3).
VOTE_SPREAD: Final = 0.15


@keras.saving.register_keras_serializable(package=PACKAGE)
class ClassCapsules(keras.layers.Layer):
    """Route the last grid of capsules and the pooled capsules to one capsule for each class.

    Formula, for class j (Sabour et al. 2017, equations 1 to 3, DigitCaps; the matrices of the grid
    are shared over its places, LaLonde & Bagci 2018):

        n_i   = (v_i - m) / sqrt(mean((v - m)^2) + 1e-5)     all capsules of one place together
        u_j|i = W_type(i),j n_i / sqrt(children of the grid)   for a child i of the grid
        u_j|g = G_g,j p_g                                      for a pooled capsule g
        v_j   = routing by agreement of all u, with a bias for each class

    The children are normalised because squashed vectors of an untrained network are short, and
    squashing once more would leave the class capsules in the flat part of the squash.

    Args:
        classes: Number of classes.
        size: Length of each class capsule's vector.
        iterations: Routing steps, at least 1.

    Call arguments:
        inputs: A pair: the grid, float32, shape `(batch, height, width, types, child_size)`, and
            the pooled capsules, float32, shape `(batch, pooled, pooled_size)`.

    Output:
        float32, shape `(batch, classes, size)`; each vector's length lies in [0, 1).

    Raises:
        ValueError: An argument is below 1.
    """

    def __init__(self, classes: int, size: int, *, iterations: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, value in (("classes", classes), ("size", size), ("iterations", iterations)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1. Received: {name}={value}")
        self.classes = classes
        self.size = size
        self.iterations = iterations

    def build(self, input_shape: tuple[tuple[int | None, ...], tuple[int | None, ...]]) -> None:
        """Make the grid's shared matrices, the pooled capsules' own and the biases."""
        grid, pooled = input_shape
        width = self.classes * self.size
        limit = VOTE_SPREAD * 3**0.5
        draw = keras.initializers.RandomUniform(-limit, limit)
        self.grid_kernel = self.add_weight(
            name="grid_kernel", shape=(grid[-2], grid[-1], width), initializer=draw
        )
        self.pooled_kernel = self.add_weight(
            name="pooled_kernel", shape=(pooled[-2], pooled[-1], width), initializer=draw.clone()
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.classes, self.size), initializer="zeros"
        )

    def call(self, inputs: tuple[Tensor, Tensor]) -> Tensor:
        """Normalise, vote and route."""
        grid, pooled = inputs
        _, height, width, types, _ = grid.shape
        children = height * width * types
        mean = ops.mean(grid, axis=(3, 4), keepdims=True)
        spread = ops.mean(ops.square(grid - mean), axis=(3, 4), keepdims=True)
        normalised = (grid - mean) * (ops.rsqrt(spread + 1e-5) * (1.0 / children**0.5))
        grid_votes = ops.einsum("bhwid,idk->bhwik", normalised, self.grid_kernel)
        pooled_votes = ops.einsum("bje,jek->bjk", pooled, self.pooled_kernel)
        votes = ops.concatenate(
            [
                ops.reshape(grid_votes, (-1, children, self.classes, self.size)),
                ops.reshape(pooled_votes, (-1, pooled.shape[1], self.classes, self.size)),
            ],
            axis=1,
        )
        return route_by_agreement(votes, self.bias, iterations=self.iterations)

    def compute_output_shape(
        self, input_shape: tuple[tuple[int | None, ...], tuple[int | None, ...]]
    ) -> tuple[int | None, ...]:
        """Return `(batch, classes, size)`."""
        return (input_shape[0][0], self.classes, self.size)

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is built from."""
        return {
            **super().get_config(),
            "classes": self.classes,
            "size": self.size,
            "iterations": self.iterations,
        }
