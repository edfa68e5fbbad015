"""The range of grey levels that a picture or volume uses, whatever a few of its pixels are.

Where levels are not Hounsfield units nobody says which level is black and which is white. The least
and the greatest level do not say it either: one dead pixel, a burnt-in mark or a padding value
lies far outside. The range is that of the bulk of the levels (3rd to 97th percentile) with a margin
in proportion to it: a small one on the dark side, where air or black already is, and a larger one
on the bright side for bone. It ends earlier where there are no levels.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: Percentiles between which the bulk lies: outliers may be 3 % of the pixels on each side.
BULK_PERCENTILES: Final = (3.0, 97.0)
#: What is added below and above, as shares of the bulk's range. In a chest that range is
#: air to soft tissue, about 1060 HU; the network's window ends 220 HU above soft tissue.
MARGIN_BELOW: Final = 0.05
MARGIN_ABOVE: Final = 0.25
#: Most levels that percentiles are taken of; of a volume every k-th.
_SAMPLE: Final = 1 << 22


def grey_range(levels: NDArray[Any]) -> tuple[float, float]:
    """Return the levels that black and white stand for.

    Args:
        levels: Any shape, finite numbers, at least one.

    Returns:
        The lower and the upper level; equal where all levels are.

    >>> grey_range(np.arange(1000))
    (0.0, 999.0)
    >>> low, high = grey_range(np.append(np.arange(1000), 65535))
    >>> round(low), round(high)
    (0, 1205)
    """
    flat = levels.reshape(-1)
    sample = flat[:: max(1, flat.size // _SAMPLE)]
    low, high = np.percentile(sample, BULK_PERCENTILES)
    if low == high:
        # Nearly all is one level, e.g. black around a small picture: the rest has the range.
        rest = sample[sample != low]
        if rest.size:
            low, high = np.percentile(np.append(rest, low), BULK_PERCENTILES)
    width = float(high) - float(low)
    return (
        max(float(flat.min()), float(low) - MARGIN_BELOW * width),
        min(float(flat.max()), float(high) + MARGIN_ABOVE * width),
    )


def to_grey(levels: NDArray[Any]) -> NDArray[np.float32]:
    """Bring levels of unknown scale to [0, 1]; what lies outside their range is cut off.

    Args:
        levels: Any shape, finite numbers.

    Returns:
        float32, same shape.
    """
    low, high = grey_range(levels)
    scale = high - low if high > low else 1.0
    grey = (levels.astype(np.float32) - np.float32(low)) / np.float32(scale)
    return np.asarray(np.clip(grey, 0, 1), np.float32)
