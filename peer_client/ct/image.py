"""Read pictures (PNG, JPEG) as grey, and lesion masks beside them: what is shown is what is read.

Colour pictures, palettes and CMYK become grey by Pillow's luminance (ITU-R 601-2); what is
transparent lies on black; the orientation that a picture gives (EXIF) is applied. 16-bit
pictures are scaled by the range of their levels without outliers (`peer_client.ct.grey_range`).
Refused: other formats, empty or truncated files, pictures below 32 or above 8192 pixels a side,
masks of another size than their picture, in colours, or with values other than classes
(`peer_client.ct.mask_values`).
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from peer_client.ct.errors import ImageError, MaskError
from peer_client.ct.grey_range import to_grey
from peer_client.ct.mask_values import mask_classes, palette_classes

SIDE_MIN_PX: Final = 32
SIDE_MAX_PX: Final = 8192
#: A 8192 x 8192 16-bit PNG without compression has 134 MB; nothing larger is read.
FILE_BYTES_MAX: Final = 192 * 1024 * 1024
_FORMATS: Final = ("PNG", "JPEG")
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_WIDE_MODES: Final = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")


@dataclass(frozen=True, slots=True, eq=False)
class Image2D:
    """One slice, not yet normalised.

    Attributes:
        pixels: float32, shape `(height, width)`. Grey in [0, 1], or HU where `is_hu`.
        is_hu: Whether `pixels` are Hounsfield units.
        spacing_mm: Distance of rows and of columns in mm, or None where unknown.
    """

    pixels: NDArray[np.float32]
    is_hu: bool = False
    spacing_mm: tuple[float, float] | None = None

    def digest(self) -> str:
        """Return the SHA-256 of the size and the pixels: equal for identical pictures."""
        head = f"{self.pixels.shape[0]}x{self.pixels.shape[1]}:".encode("ascii")
        return hashlib.sha256(head + np.ascontiguousarray(self.pixels, "<f4").tobytes()).hexdigest()


def read_image(path: Path) -> Image2D:
    """Read a PNG or JPEG file as grey levels.

    Args:
        path: The file.

    Returns:
        The picture, grey in [0, 1]; spacing unknown.

    Raises:
        ImageError: The file cannot be read as a picture of an allowed size.
    """
    return decode_image(_read(path), name=str(path))


def decode_image(raw: bytes, *, name: str) -> Image2D:
    """Decode the bytes of a PNG or JPEG file; see `read_image`.

    Args:
        raw: The bytes of the file.
        name: What error messages call it.

    Raises:
        ImageError: The bytes are not a picture of an allowed size.
    """
    levels = _shown(_decode(raw, name))
    if levels.dtype == np.uint8:
        return Image2D((levels.astype(np.float32) / np.float32(255)).astype(np.float32))
    if not np.isfinite(levels).all():
        raise ImageError(f"{name} holds values that are not numbers")
    return Image2D(to_grey(levels))


def read_mask(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Read a lesion mask and check that it fits its picture.

    Args:
        path: A PNG file.
        size: Height and width of the picture.

    Returns:
        uint8, shape `size`: 0 background, 1 ground glass, 2 consolidation, 3 lesion of a kind that
        is not told. A mask of 0 and 255 comes back as 0 and 3.

    Raises:
        MaskError: The file is no picture, of another size, or holds other values.
    """
    try:
        raw = _read(path)
    except ImageError as error:
        raise MaskError(f"mask {error}") from error
    return decode_mask(raw, size, name=str(path))


def decode_mask(raw: bytes, size: tuple[int, int], *, name: str) -> NDArray[np.uint8]:
    """Decode the bytes of a mask file; see `read_mask`.

    Raises:
        MaskError: The bytes are no picture, of another size, or hold other values.
    """
    try:
        picture = _decode(raw, name)
    except ImageError as error:
        raise MaskError(f"mask {error}") from error
    if (picture.height, picture.width) != size:
        raise MaskError(
            f"mask {name} has {picture.height} x {picture.width} pixels, "
            f"its picture {size[0]} x {size[1]}"
        )
    if picture.mode == "P":
        return palette_classes(np.asarray(picture).copy(), _palette(picture), name)
    if picture.mode not in ("1", "L", "LA", *_WIDE_MODES):
        colours = np.asarray(picture.convert("RGB"))
        if (colours != colours[:, :, :1]).any():
            raise MaskError(
                f"mask {name} is in colours", "Save it as 8-bit grey levels 0 to 3, or 0 and 255."
            )
    return mask_classes(_shown(picture), name)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ImageError(f"{path} is larger than {FILE_BYTES_MAX} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror or error}") from error


def _decode(raw: bytes, name: str) -> Image.Image:
    """Return the picture, unpacked and in the orientation that it gives."""
    if not raw:
        raise ImageError(f"{name} is empty")
    _check_declared(raw, name)
    try:
        with warnings.catch_warnings():
            # Pillow warns about oddities (a huge size, broken metadata) that we refuse or ignore
            # ourselves; a program that turns warnings into errors must not see them as crashes.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(raw), formats=_FORMATS) as opened:
                _check_sides(opened.height, opened.width, name)
                opened.load()
                return ImageOps.exif_transpose(opened)
    except ImageError:
        raise
    # Pillow's decoders meet hostile bytes with whatever comes first (OSError, SyntaxError,
    # ValueError, struct.error, zlib.error, MemoryError ...), so all of it is translated here.
    except Exception as error:
        raise ImageError(f"{name} is not a readable PNG or JPEG picture") from error


def _shown(picture: Image.Image) -> NDArray[Any]:
    """Return what a picture shows on black, as levels of shape (height, width).

    uint8, or the wide integers of 16-bit grey files.
    """
    if picture.mode in _WIDE_MODES:
        levels = np.asarray(picture).copy()
        if isinstance(clear := picture.info.get("transparency"), int):
            levels[levels == clear] = 0
        return levels
    if picture.has_transparency_data:
        parts = np.asarray(picture.convert("RGBA")).astype(np.float32)
        picture = Image.fromarray(_on_black(parts))
    # By way of RGB: Pillow takes CMYK to grey without its black.
    colours = picture.convert("RGB") if picture.mode == "CMYK" else picture
    return np.asarray(colours.convert("L")).copy()


def _on_black(parts: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the colours of red, green, blue and opacity (0 to 255, last axis) over black."""
    return np.rint(parts[..., :3] * (parts[..., 3:] / 255)).astype(np.uint8)


def _palette(picture: Image.Image) -> NDArray[np.uint8]:
    """Return the colour that each index of a palette shows on black, shape (n, 3)."""
    colours = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
    opacity = np.full(len(colours), 255, np.float32)
    clear = picture.info.get("transparency")
    if isinstance(clear, bytes):  # PNG 3rd edition, 11.3.1.1: one byte for each of the first
        given = np.frombuffer(clear, np.uint8)[: len(colours)]
        opacity[: len(given)] = given
    elif isinstance(clear, int) and clear < len(colours):
        opacity[clear] = 0
    return _on_black(np.column_stack([colours.astype(np.float32), opacity]))


def _check_sides(height: int, width: int, name: str) -> None:
    if min(width, height) < SIDE_MIN_PX or max(width, height) > SIDE_MAX_PX:
        raise ImageError(
            f"{name} has {height} x {width} pixels; allowed are sides from "
            f"{SIDE_MIN_PX} to {SIDE_MAX_PX}"
        )


def _check_declared(raw: bytes, name: str) -> None:
    """Refuse a picture by the size that it gives, before a decoder sees it.

    PNG gives it in IHDR, the first chunk (PNG 3rd edition, 11.2.1); JPEG in the frame header behind
    a marker SOF0 to SOF15 (ITU-T T.81, B.2.2). What is neither is left to the decoder to refuse.
    """
    if raw.startswith(_PNG) and len(raw) >= 24:
        width, height = struct.unpack_from(">II", raw, 16)
        _check_sides(height, width, name)
    elif raw.startswith(b"\xff\xd8"):
        place = 2
        while place + 9 <= len(raw) and raw[place] == 0xFF:
            marker = raw[place + 1]
            if marker == 0xFF:  # fill bytes
                place += 1
            elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
                height, width = struct.unpack_from(">HH", raw, place + 5)
                _check_sides(height, width, name)
                return
            elif 0xD0 <= marker <= 0xD8 or marker == 0x01:  # markers without a segment
                place += 2
            else:
                place += 2 + int(struct.unpack_from(">H", raw, place + 2)[0])
