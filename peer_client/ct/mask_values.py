"""What the values of a lesion mask mean, in a picture's mask as in a volume's.

0 background, 1 ground glass, 2 consolidation, 3 a lesion of a kind that is not told. A mask of 0
and 255 (white, as drawing programs have it; 65535 in 16 bits) reads as 0 and 3. A palette says what
a mask shows: where it shows grey levels these are the values, and where it shows colours they tell
classes apart and the indices are the values, if background is black.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from peer_client.ct.errors import MaskError

BACKGROUND: Final = 0
GROUND_GLASS: Final = 1
CONSOLIDATION: Final = 2
LESION: Final = 3  # of a kind that is not told
_CLASSES: Final = (BACKGROUND, GROUND_GLASS, CONSOLIDATION, LESION)
_WHITE: Final = (255, 65535)
#: Values of scaled and float masks are rounded where they lie as near to a whole number.
_ROUNDED: Final = 0.01


def mask_classes(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Return the classes of a mask, checked.

    Args:
        values: Any shape and number type.
        name: What error messages call it.

    Returns:
        uint8, same shape, 0 to 3.

    Raises:
        MaskError: It holds another value; the message names one.
    """
    found = np.unique(values)
    if not np.isfinite(found).all():
        raise MaskError(f"mask {name} holds values that are not numbers")
    whole = np.rint(found)
    broken = np.abs(found - whole) > _ROUNDED * np.maximum(1.0, np.abs(whole) / 255)
    if broken.any():
        raise MaskError(
            f"mask {name} holds the value {found[broken][0]:g}; allowed are 0 to 3, or 0 and 255",
            "Store the classes themselves; of a map of probabilities, store where it is above 0.5.",
        )
    if np.isin(whole, _CLASSES).all():
        return np.asarray(np.rint(values), np.uint8)
    for white in _WHITE:
        if np.isin(whole, (BACKGROUND, white)).all():
            return np.where(np.rint(values) == white, LESION, BACKGROUND).astype(np.uint8)
    other = whole[~np.isin(whole, (*_CLASSES, 255))]
    value = other[0] if other.size else whole[-1]
    raise MaskError(f"mask {name} holds the value {value:g}; allowed are 0 to 3, or 0 and 255")


def palette_classes(
    indices: NDArray[np.uint8], colours: NDArray[np.uint8], name: str
) -> NDArray[np.uint8]:
    """Return the classes of a mask that is stored with a palette.

    Args:
        indices: uint8, shape `(height, width)`.
        colours: uint8, shape `(n, 3)`: the colour that each index shows on black.
        name: What error messages call it.

    Returns:
        uint8, shape `(height, width)`, 0 to 3.

    Raises:
        MaskError: What the palette shows cannot be classes.
    """
    used = np.unique(indices)
    if int(used[-1]) >= len(colours):
        raise MaskError(f"mask {name}: its palette has {len(colours)} colours, not {used[-1] + 1}")
    shown = colours[used]
    if (shown == shown[:, :1]).all():
        for values in (_CLASSES, (BACKGROUND, *_WHITE)):
            if np.isin(shown[:, 0], values).all():
                return mask_classes(colours[indices, 0], name)
    classes = np.union1d(used, [BACKGROUND])
    distinct = len(np.unique(colours[classes], axis=0)) == len(classes)
    if not np.isin(used, _CLASSES).all() or not distinct or colours[BACKGROUND].any():
        raise MaskError(
            f"mask {name} has a palette, and what it shows is neither 0 to 3, nor black and "
            "white, nor one colour for each class on black",
            "Save the mask without a palette, as 8-bit grey levels 0 to 3, or 0 and 255.",
        )
    return indices
