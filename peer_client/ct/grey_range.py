"""The range of grey levels that a picture or volume uses, whatever a few of its pixels are.

Where levels are not Hounsfield units nobody says which level is black and which is white. The least
and the greatest level do not say it either: one dead pixel, a burnt-in mark or a padding value
lies far outside. The range is taken from the bulk of the levels (3rd to 97th percentile), extended
by its own width to both sides (fences as in Tukey 1977, "Exploratory Data Analysis", section 2D),
and ends at the outermost levels that are found within the fences.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: Percentiles between which the bulk lies: outliers may be 3 % of the pixels on each side.
BULK_PERCENTILES: Final = (3.0, 97.0)
#: Most levels that percentiles are taken of; of a volume every k-th.
_SAMPLE: Final = 1 << 22


def grey_range(levels: NDArray[Any]) -> tuple[float, float]:
    """Return the levels that black and white stand for.

    Args:
        levels: Any shape, finite numbers, at least one.

    Returns:
        The lower and the upper level; equal where all levels are.

    >>> levels = np.arange(1000)
    >>> grey_range(levels), grey_range(np.append(levels, 65535))
    ((0.0, 999.0), (0.0, 999.0))
    """
    flat = levels.reshape(-1)
    sample = flat[:: max(1, flat.size // _SAMPLE)]
    low, high = np.percentile(sample, BULK_PERCENTILES)
    if low == high:
        # Nearly all is one level, e.g. black around a small picture: the rest has the range.
        rest = sample[sample != low]
        if rest.size == 0:
            return float(flat.min()), float(flat.max())
        low, high = np.percentile(np.append(rest, low), BULK_PERCENTILES)
    width = float(high) - float(low)
    inside = (flat >= low - width) & (flat <= high + width)
    return (
        float(flat.min(initial=low, where=inside)),
        float(flat.max(initial=high, where=inside)),
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
