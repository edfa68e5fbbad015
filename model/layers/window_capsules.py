"""What routed layers over windows of capsules share: windows, parents, routing steps, biases.

Holds no vote: how children vote is all that such layers differ in.
"""

from __future__ import annotations

from typing import Any

import keras

#: Where the biases start: a little above zero, as in the code of LaLonde & Bagci, so that the first
#: parents are not exactly zero where the picture is.
BIAS_START = 0.02


class WindowCapsules(keras.layers.Layer):
    """Parents at the centre of each window over the child capsules; a subclass votes.

    Args:
        types: Parent capsules at each place.
        size: Length of each parent's vector.
        kernel_size: Side of the window in places, an odd multiple of `strides`, so that a window
            reaches as far on every side of the places that its parent stands for.
        strides: Places between two windows.
        iterations: Routing steps, at least 1.

    Call arguments:
        capsules: float32, shape `(batch, height, width, child_types, child_size)`.

    Output:
        float32, shape `(batch, ceil(height / strides), ceil(width / strides), types, size)`;
        lengths lie in [0, 1).

    Raises:
        ValueError: An argument is below 1, or the window is not an odd multiple of the strides.
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
        self.types = types
        self.size = size
        self.kernel_size = kernel_size
        self.strides = strides
        self.iterations = iterations
        for name, value in self._arguments().items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1. Received: {name}={value}")
        if kernel_size % strides or kernel_size // strides % 2 == 0:
            raise ValueError(
                "kernel_size must be an odd multiple of strides. "
                f"Received: kernel_size={kernel_size}, strides={strides}"
            )

    def add_biases(self) -> None:
        """Make one bias for each parent; called by `build` after the layer's kernel."""
        self.bias = self.add_weight(
            name="bias",
            shape=(self.types, self.size),
            initializer=keras.initializers.Constant(BIAS_START),
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return `(batch, height', width', types, size)`."""
        return (input_shape[0], *places(input_shape, self.strides), self.types, self.size)

    def get_config(self) -> dict[str, Any]:
        """Return what the layer is built from."""
        return {**super().get_config(), **self._arguments()}

    def _arguments(self) -> dict[str, int]:
        return {
            "types": self.types,
            "size": self.size,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "iterations": self.iterations,
        }


def places(input_shape: tuple[int | None, ...], strides: int) -> tuple[int | None, ...]:
    """Return height and width of the grid that padded windows read, `strides` pixels apart.

    >>> places((None, 7, 6, 64), 2)
    (4, 3)
    """
    return tuple(None if side is None else -(-side // strides) for side in input_shape[1:3])
