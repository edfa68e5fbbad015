"""Primary capsules: a convolution whose channels are read as vectors."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from model.layers.group_normalization import over_groups
from model.layers.squash import PACKAGE, squash
from model.layers.window_capsules import places
from model.tensors import Tensor


@keras.saving.register_keras_serializable(package=PACKAGE)
class PrimaryCapsules(keras.layers.Layer):
    """Turn feature maps into a grid of capsules.

    Formula (Sabour et al. 2017, section 4, PrimaryCapsules; equation 1 for the squash; Wu & He
    2018, equations 1 to 3, for the normalisation, one group a type):

        s = normalised(kernel * x)       (a convolution with types x size channels)
        v = squash(s cut into `types` vectors of `size`)

    The paper does not normalise. Without it the vectors of an untrained network are so short that
    three squashes in a row pass hardly any signal (docs/model.md).

    Args:
        types: Capsules at each place.
        size: Length of each capsule's vector.
        kernel_size: Side of the convolution's window in pixels.
        strides: Pixels between two windows.

    Call arguments:
        features: float32, shape `(batch, height, width, channels)`.

    Output:
        float32, shape `(batch, ceil(height / strides), ceil(width / strides), types, size)`;
        lengths lie in [0, 1).

    Raises:
        ValueError: `types`, `size`, `kernel_size` or `strides` is below 1.
    """

    def __init__(
        self,
        types: int,
        size: int,
        *,
        kernel_size: int = 3,
        strides: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        counts = {"types": types, "size": size, "kernel_size": kernel_size, "strides": strides}
        for name, value in counts.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1. Received: {name}={value}")
        self.types = types
        self.size = size
        self.kernel_size = kernel_size
        self.strides = strides

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the kernel, and scale and offset of the normalisation."""
        channels = self.types * self.size
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, input_shape[-1], channels),
            initializer="he_uniform",
        )
        self.scale = self.add_weight(name="scale", shape=(channels,), initializer="ones")
        self.offset = self.add_weight(name="offset", shape=(channels,), initializer="zeros")

    def call(self, features: Tensor) -> Tensor:
        """Convolve, normalise, cut into vectors and squash."""
        mapped = ops.conv(features, self.kernel, strides=self.strides, padding="same")
        centred = mapped - over_groups(mapped, self.types)
        spread = over_groups(ops.square(centred), self.types)
        mapped = centred * (self.scale * ops.rsqrt(spread + 1e-3)) + self.offset
        height, width = mapped.shape[1], mapped.shape[2]
        vectors = ops.reshape(mapped, (-1, height, width, self.types, self.size))
        return squash(vectors)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return `(batch, height', width', types, size)`."""
        return (input_shape[0], *places(input_shape, self.strides), self.types, self.size)

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is built from."""
        return {
            **super().get_config(),
            "types": self.types,
            "size": self.size,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
        }
