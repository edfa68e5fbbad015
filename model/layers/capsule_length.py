"""The length of a capsule: how sure the network is that the thing is there."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from model.layers.squash import EPSILON, PACKAGE
from model.tensors import Tensor


@keras.saving.register_keras_serializable(package=PACKAGE)
class CapsuleLength(keras.layers.Layer):
    """Measure each capsule's vector.

    Formula (Sabour et al. 2017, section 3: the length is the probability that the entity exists):

        l_j = sqrt(|v_j|^2 + 1e-7)

    The small term keeps the gradient finite for a vector of zeros; a length is at least 0.0003.

    Call arguments:
        capsules: float32, shape `(..., capsules, size)`.

    Output:
        float32, shape `(..., capsules)`.
    """

    def call(self, capsules: Tensor) -> Tensor:
        """Measure along the last axis."""
        return ops.sqrt(ops.sum(ops.square(capsules), axis=-1) + EPSILON)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape without its last axis."""
        return input_shape[:-1]

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is built from."""
        return dict(super().get_config())
