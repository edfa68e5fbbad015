"""A slice seen from a little nearer, further off, or turned: for reading few slices more surely.

A network's answer moves a little with how a picture lies in its frame; the mean over several ways
of lying moves less (test-time augmentation). All lie well within what training has seen
(`model.augmentation`). Pure numpy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.augmentation import sample_linear, source_grid


@dataclass(frozen=True, slots=True)
class View:
    """How a slice is looked at.

    Attributes:
        scale: Distances in the picture over distances seen: below 1 looks from nearer.
        turn_rad: Turn about the centre.
    """

    scale: float = 1.0
    turn_rad: float = 0.0


#: Beside the slice as it is.
VIEWS: Final = (View(scale=0.92), View(scale=1.08), View(turn_rad=0.09), View(turn_rad=-0.09))


def viewed(images: NDArray[np.float32], view: View) -> NDArray[np.float32]:
    """Return slices as a view shows them; what lies outside repeats the border.

    Args:
        images: float32, shape `(n, height, width, 1)`, in [0, 1].
        view: How they are looked at.

    Returns:
        float32, same shape, in [0, 1].
    """
    along, across = (view.scale * turn(view.turn_rad) for turn in (math.cos, math.sin))
    matrix = np.array([[along, across, 0.0], [-across, along, 0.0]], np.float32)
    rows, columns = source_grid(matrix[np.newaxis].repeat(len(images), 0), *images.shape[1:3])
    return sample_linear(images[..., 0], rows, columns)[..., np.newaxis]
