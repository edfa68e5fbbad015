"""The squash: a vector keeps its direction, and its length becomes a probability."""

from __future__ import annotations

from typing import Any, Final

import keras
from keras import ops

from model.tensors import Tensor

PACKAGE: Final = "capsule_consortium"
EPSILON: Final = 1e-7


def squared_length(vectors: Tensor) -> Tensor:
    """Return |s|^2 along the last axis, which is kept with length 1."""
    return ops.sum(ops.square(vectors), axis=-1, keepdims=True)


def shrinkage(squared: Tensor) -> Tensor:
    """Return what the squash multiplies a vector of this squared length with (see `Squash`)."""
    return squared / (1.0 + squared) / ops.sqrt(squared + EPSILON)


def squash(vectors: Tensor) -> Tensor:
    """Shrink each vector to a length below 1 (see `Squash`)."""
    return vectors * shrinkage(squared_length(vectors))


@keras.saving.register_keras_serializable(package=PACKAGE)
class Squash(keras.layers.Layer):
    """Shrink each vector to a length below 1, keeping its direction.

    Formula (Sabour et al. 2017, equation 1):

        v = |s|^2 / (1 + |s|^2) * s / |s|

    `|s|` in the last quotient is taken as sqrt(|s|^2 + 1e-7): background of a CT picture is exactly
    zero, and both the quotient and its gradient are undefined there.

    Call arguments:
        vectors: float32, shape `(..., size)`.

    Output:
        float32, shape `(..., size)`; each vector's length lies in [0, 1).
    """

    def call(self, vectors: Tensor) -> Tensor:
        """Squash along the last axis."""
        return squash(vectors)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is built from."""
        return dict(super().get_config())
