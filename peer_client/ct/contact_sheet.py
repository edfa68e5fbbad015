"""A sheet of small pictures of what the network is given, to be looked at by a person.

Each tile is a normalised slice with its mask as a contour; slices without lungs come first and have
a red frame. The sheet shows patients: it is written readable by its owner alone and carries the
mark of this program's output, so it is never taken for input.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo
from scipy import ndimage

from peer_client.ct.folder_input import OWN_MARK
from peer_client.ct.index import Item
from peer_client.ct.slices import Slices

TILES_MAX: Final = 60
_ACROSS: Final = 10
_TILE_PX: Final = 128
_TEXT_PX: Final = 26
_EDGE_PX: Final = 4
#: Colours that are told apart with any colour vision (Okabe and Ito 2008).
_CONTOUR: Final = (230, 159, 0)
_NO_LUNGS: Final = (213, 94, 0)
_LABELS: Final = {1: "label 1", 0: "label 0", None: "no label"}


def contact_sheet(items: Sequence[Item], slices: Slices, sides: Sequence[str]) -> bytes:
    """Draw the sheet.

    Args:
        items: The items.
        slices: Their slices, n rows, at least one.
        sides: The split of each slice.

    Returns:
        A PNG file.
    """
    shown = _shown_rows(slices)
    down = -(-len(shown) // _ACROSS)
    step_x, step_y = _TILE_PX + _EDGE_PX, _TILE_PX + _TEXT_PX
    sheet = Image.new("RGB", (_ACROSS * step_x + _EDGE_PX, down * step_y + _TEXT_PX), "black")
    draw = ImageDraw.Draw(sheet)
    title = f"{len(shown)} of {len(slices.item)} slices, as the network is given them. {OWN_MARK}"
    draw.text((_EDGE_PX, _EDGE_PX), title, "white")
    for place, row in enumerate(shown):
        item = items[slices.item[row]]
        left = _EDGE_PX + place % _ACROSS * step_x
        top = _TEXT_PX + place // _ACROSS * step_y
        sheet.paste(_tile(slices.pixels[row], slices.masks[row]), (left, top))
        if not slices.lung_found[row]:
            draw.rectangle((left, top, left + _TILE_PX - 1, top + _TILE_PX - 1), None, _NO_LUNGS, 2)
        draw.text((left, top + _TILE_PX), _short(item.name), "white")
        said = f"{sides[row]}, {_LABELS[item.label]}"
        draw.text((left, top + _TILE_PX + 11), said, "silver")
    info = PngInfo()
    info.add_text("Description", OWN_MARK)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def _shown_rows(slices: Slices) -> list[int]:
    """Return the slices without lungs (at most half of the sheet), then others, evenly spaced."""
    missing = np.flatnonzero(~slices.lung_found)[: TILES_MAX // 2].tolist()
    others = np.flatnonzero(slices.lung_found)
    room = min(len(others), TILES_MAX - len(missing))
    spaced: list[int] = (
        np.linspace(0, len(others) - 1, room).round().astype(int).tolist() if room else []
    )
    return [*missing, *(int(others[at]) for at in spaced)]


def _tile(pixels: NDArray[np.uint8], mask: NDArray[np.uint8]) -> Image.Image:
    size = (_TILE_PX, _TILE_PX)
    grey = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
    colours = np.dstack([grey] * 3)
    lesion = np.asarray(Image.fromarray((mask > 0).astype(np.uint8)).resize(size)) > 0
    colours[lesion & ~ndimage.binary_erosion(lesion)] = _CONTOUR
    return Image.fromarray(colours)


def _short(name: str) -> str:
    """Return the end of a name that fits under a tile, in letters that the font has."""
    plain = name.encode("ascii", "replace").decode("ascii")
    return plain if len(plain) <= 21 else f"...{plain[-18:]}"
