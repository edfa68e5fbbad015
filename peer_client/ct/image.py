"""Read pictures (PNG, JPEG) as grey, and lesion masks beside them.

Colour pictures become grey by Pillow's luminance (ITU-R 601-2); 16-bit pictures are scaled
by their own least and greatest value. Refused: other formats, empty or truncated files,
pictures below 32 or above 8192 pixels a side, masks of another size than their picture, and
masks with values other than 0, 1, 2, 3 (or 0 and 255).
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
from PIL import Image

from peer_client.ct.errors import ImageError, MaskError

SIDE_MIN_PX: Final = 32
SIDE_MAX_PX: Final = 8192
#: A 8192 x 8192 16-bit PNG without compression has 134 MB; nothing larger is read.
FILE_BYTES_MAX: Final = 192 * 1024 * 1024
_FORMATS: Final = ("PNG", "JPEG")
_PNG: Final = b"\x89PNG\r\n\x1a\n"

#: Values of a lesion mask.
BACKGROUND: Final = 0
GROUND_GLASS: Final = 1
CONSOLIDATION: Final = 2
LESION: Final = 3  # of a kind that is not told


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
    levels = _decode(raw, name)
    if levels.dtype == np.uint8:
        return Image2D((levels.astype(np.float32) / np.float32(255)).astype(np.float32))
    low, high = float(levels.min()), float(levels.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(f"{name} holds values that are not numbers")
    scale = high - low if high > low else 1.0
    return Image2D(((levels.astype(np.float64) - low) / scale).astype(np.float32))


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
        levels = _decode(raw, name, palette_as_is=True)
    except ImageError as error:
        raise MaskError(f"mask {error}") from error
    if levels.shape != size:
        raise MaskError(
            f"mask {name} has {levels.shape[0]} x {levels.shape[1]} pixels, "
            f"its picture {size[0]} x {size[1]}"
        )
    values = np.unique(levels)
    if np.isin(values, (BACKGROUND, GROUND_GLASS, CONSOLIDATION, LESION)).all():
        return levels.astype(np.uint8)
    if np.isin(values, (0, 255)).all():
        return np.where(levels > 0, LESION, BACKGROUND).astype(np.uint8)
    raise MaskError(
        f"mask {name} holds the value {int(values[-1])}; allowed are 0 to 3, or 0 and 255"
    )


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ImageError(f"{path} is larger than {FILE_BYTES_MAX} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror or error}") from error


def _decode(raw: bytes, name: str, *, palette_as_is: bool = False) -> NDArray[Any]:
    """Return the levels, shape (height, width): uint8, or the wide integers of 16-bit files."""
    if not raw:
        raise ImageError(f"{name} is empty")
    _check_declared(raw, name)
    try:
        with warnings.catch_warnings():
            # Pillow warns about oddities (a huge size, broken metadata) that we refuse or ignore
            # ourselves; a program that turns warnings into errors must not see them as crashes.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(raw), formats=_FORMATS) as opened:
                width, height = opened.size
                _check_sides(height, width, name)
                if opened.mode in ("I", "I;16", "I;16B", "I;16L", "I;16N", "F"):
                    return np.asarray(opened).copy()
                if palette_as_is and opened.mode == "P":
                    return np.asarray(opened).copy()
                return np.asarray(opened.convert("L")).copy()
    except ImageError:
        raise
    # Pillow's decoders meet hostile bytes with whatever comes first (OSError, SyntaxError,
    # ValueError, struct.error, zlib.error, MemoryError ...), so all of it is translated here.
    except Exception as error:
        raise ImageError(f"{name} is not a readable PNG or JPEG picture") from error


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
