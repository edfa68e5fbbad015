"""Pooled capsules: whole-picture features as capsules beside those of the last grid."""

from __future__ import annotations

from typing import Any, Final

import keras
from keras import ops

from model.layers.squash import PACKAGE
from model.tensors import Tensor

#: Entries of a normalised feature vector have mean square 1; halved, a capsule of 16 has length 2.
SCALE: Final = 0.5


@keras.saving.register_keras_serializable(package=PACKAGE)
class PooledCapsules(keras.layers.Layer):
    """Normalise pooled features and cut them into capsules.

    Formula, for the pooled features g of one picture (ours; no equation of the papers):

        h = (g - mean(g)) / sqrt(mean((g - mean(g))^2) + 1e-5)
        capsules = h / 2, cut into vectors of `size`

    They give the class capsules a short way to the features: through two routed layers alone the
    signal is so weak that the class capsules hardly learn (docs/model.md).

    Args:
        size: Length of each capsule's vector.

    Call arguments:
        features: float32, shape `(batch, channels)`; `channels` is a multiple of `size`.

    Output:
        float32, shape `(batch, channels / size, size)`.

    Raises:
        ValueError: `size` is below 1, or the channels are not a multiple of it.
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if size < 1:
            raise ValueError(f"size must be at least 1. Received: size={size}")
        self.size = size

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check that the channels can be cut."""
        channels = input_shape[-1]
        if channels is None or channels % self.size:
            raise ValueError(
                f"channels must be a multiple of size={self.size}. Received: channels={channels}"
            )

    def call(self, features: Tensor) -> Tensor:
        """Normalise over the channels and cut."""
        centred = features - ops.mean(features, axis=-1, keepdims=True)
        spread = ops.mean(ops.square(centred), axis=-1, keepdims=True)
        scaled = centred * (SCALE * ops.rsqrt(spread + 1e-5))
        return ops.reshape(scaled, (-1, features.shape[-1] // self.size, self.size))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return `(batch, channels / size, size)`."""
        channels = input_shape[-1]
        return (input_shape[0], None if channels is None else channels // self.size, self.size)

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is built from."""
        return {**super().get_config(), "size": self.size}
