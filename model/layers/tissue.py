"""A pixel's tissue from its lesion capsule: length says whether, direction says which."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from model.layers.squash import EPSILON, PACKAGE, shrinkage, squared_length
from model.tensors import Tensor


@keras.saving.register_keras_serializable(package=PACKAGE)
class TissueProbabilities(keras.layers.Layer):
    """Read background, ground glass and consolidation off each pixel's lesion capsule.

    Formula, for the capsule v of one pixel (Sabour et al. 2017, section 2: length is the
    probability that the entity exists, direction its properties; the second line is ours):

        P(lesion)        = l = sqrt(|v|^2 + 1e-7)
        P(consolidation | lesion) = k = sigmoid(w . v / l + b)
        output = (1 - l, l (1 - k), l k)

    A hospital whose masks say only "lesion" trains l and leaves k alone.

    Call arguments:
        totals: float32, shape `(batch, height, width, size)`: s, the lesion capsules before their
            squash. At full resolution v itself is never written down: its length and its product
            with w follow from those of s.

    Output:
        float32, shape `(batch, height, width, 3)`: probabilities that sum to 1.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the direction that means consolidation."""
        self.kernel = self.add_weight(
            name="kernel", shape=(input_shape[-1], 1), initializer="glorot_uniform"
        )
        self.bias = self.add_weight(name="bias", shape=(1,), initializer="zeros")

    def call(self, totals: Tensor) -> Tensor:
        """Measure, project and split."""
        squared = squared_length(totals)
        shrunk = shrinkage(squared)
        lesion = ops.sqrt(squared * ops.square(shrunk) + EPSILON)
        kind = ops.sigmoid(ops.matmul(totals, self.kernel) * (shrunk / lesion) + self.bias)
        dense = lesion * kind
        return ops.concatenate([1.0 - lesion, lesion - dense, dense], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return `(batch, height, width, 3)`."""
        return (*input_shape[:3], 3)

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is built from."""
        return dict(super().get_config())
