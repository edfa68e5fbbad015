"""The stored values of a DICOM file's frames, as the standard says where they lie in the bytes.

Values take `BitsStored` bits below `HighBit`, as two's complement where `PixelRepresentation` is 1
(PS3.5, 8.1.1); what else is in the allocated bits (overlays of old scanners) is cut off. Padding is
one value or a range of values (PS3.3, C.7.5.1.1.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, RLELossless

from peer_client.ct.codestreams import (
    UNPACKED,
    CodestreamError,
    unpacked,
    unpacked_run_lengths,
)
from peer_client.ct.dicom_files import DicomFile, reading
from peer_client.ct.errors import VolumeError

_UNDO: Final = "Export the series uncompressed, or undo it with `dcmdjpeg` or `gdcmconv --raw`."
_BITS_MAX: Final = 32


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """Where the values of a file's pixels lie in its bytes.

    Attributes:
        rows: Pixels of a column.
        columns: Pixels of a row.
        frames: Frames in the file.
        allocated: Bits of a pixel in the file.
        stored: Bits of them that are its value.
        high: The highest of these, from 0.
        signed: Whether values are two's complement.
        inverted: Whether the least value is said to be shown white (MONOCHROME1).
        padding: The least and the greatest value that are padding, or None.
    """

    rows: int
    columns: int
    frames: int
    allocated: int
    stored: int
    high: int
    signed: bool
    inverted: bool
    padding: tuple[int, int] | None

    @property
    def inverse(self) -> int:
        """What a value and its inverse add up to."""
        return -1 if self.signed else (1 << self.stored) - 1


def pixel_format(file: DicomFile, *, frames: int) -> PixelFormat:
    """Read and check what a file says of its pixels.

    Raises:
        VolumeError: It is not grey, or says what cannot be.
    """
    with reading(file.path):
        kind = str(file.elements.get("PhotometricInterpretation", ""))
        samples = int(file.elements.get("SamplesPerPixel", 1) or 1)
    if samples != 1 or kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise VolumeError(f"{file.path} is not a grey CT slice ({kind})")
    allocated, stored = file.whole("BitsAllocated"), file.whole("BitsStored")
    high, sign = file.whole("HighBit"), file.whole("PixelRepresentation")
    if not 1 <= stored <= allocated <= _BITS_MAX or allocated % 8:
        raise VolumeError(f"{file.path} has {allocated} bits a pixel, {stored} of them stored")
    if not stored - 1 <= high < allocated or sign not in (0, 1):
        raise VolumeError(f"{file.path}: HighBit is {high}, PixelRepresentation {sign}")
    with reading(file.path):
        padding = _padding(file, allocated, bool(sign))
    return PixelFormat(
        rows=file.whole("Rows"),
        columns=file.whole("Columns"),
        frames=frames,
        allocated=allocated,
        stored=stored,
        high=high,
        signed=bool(sign),
        inverted=kind == "MONOCHROME1",
        padding=padding,
    )


def stored_frames(
    file: DicomFile, form: PixelFormat
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_] | None]]:
    """Yield the values of each frame and which of them are padding.

    Raises:
        VolumeError: The pixels are missing, damaged, or compressed in a way that is not read.
    """
    number = 0
    with reading(file.path):
        elements = file.with_pixels()
        try:
            for raw, bits in _raw_frames(elements, file, form):
                if raw.shape != (form.rows, form.columns):
                    raise VolumeError(f"{file.path}: its pixels have the shape {raw.shape}")
                number += 1
                yield _values(raw, form, bits)
        except CodestreamError as error:
            raise VolumeError(
                f"{file.path} is compressed ({UID(file.syntax).name}), and {error}", _UNDO
            ) from error
        # Read from the file, and not needed again.
        del elements.PixelData
    if number != form.frames:
        raise VolumeError(f"{file.path} has {number} frames, and says that it has {form.frames}")


def _raw_frames(
    elements: pydicom.Dataset, file: DicomFile, form: PixelFormat
) -> Iterator[tuple[NDArray[Any], int]]:
    """Yield the frames as integers, and how many bits of them are values."""
    shape = (form.rows, form.columns)
    if file.syntax in UNPACKED:
        for frame in generate_frames(elements.PixelData, number_of_frames=form.frames):
            values, bits = unpacked(frame, file.syntax, shape)
            yield values, min(bits, form.stored)
        return
    if file.syntax == RLELossless:
        for frame in generate_frames(elements.PixelData, number_of_frames=form.frames):
            yield unpacked_run_lengths(frame, shape, form.allocated), 0
        return
    try:
        decoder = get_decoder(UID(file.syntax))
    except NotImplementedError as error:
        name = UID(file.syntax).name
        raise VolumeError(
            f"{file.path} is compressed in a way not read here: {name}", _UNDO
        ) from error
    if not elements.file_meta.get("TransferSyntaxUID"):
        elements.file_meta.TransferSyntaxUID = UID(file.syntax)
    for raw, _ in decoder.iter_array(elements, raw=True, correct_unused_bits=False):
        yield raw, 0


def _values(
    raw: NDArray[Any], form: PixelFormat, bits: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
    """Cut the values out of what is allocated.

    Args:
        raw: Integers as unpacked.
        form: Where the values lie in an uncompressed pixel.
        bits: Bits of a value in a codestream, which lie lowest; 0 for uncompressed pixels.
    """
    whole = raw.astype(np.int64)
    shift, stored = (0, bits) if bits else (form.high + 1 - form.stored, form.stored)
    values = _two_complement((whole >> shift) & ((1 << stored) - 1), stored, form.signed)
    if form.padding is None:
        return values, None
    low, high = form.padding
    padding = (values >= low) & (values <= high)
    if not bits:
        # Scanners also write padding that needs more bits than values have.
        allocated = _two_complement(
            whole & ((1 << form.allocated) - 1), form.allocated, form.signed
        )
        padding |= (allocated >= low) & (allocated <= high)
    return values, padding


def _two_complement(values: NDArray[np.int64], bits: int, signed: bool) -> NDArray[np.int64]:
    if not signed:
        return values
    return np.where(values >= 1 << (bits - 1), values - (1 << bits), values)


def _padding(file: DicomFile, allocated: int, signed: bool) -> tuple[int, int] | None:
    """Return the least and greatest value of padding, in the values' own sign."""
    value = _whole_of(file, "PixelPaddingValue")
    if value is None:
        return None
    limit = _whole_of(file, "PixelPaddingRangeLimit")
    ends = [value] if limit is None else [value, limit]
    wrapped = [
        int(_two_complement(np.array([end & ((1 << allocated) - 1)]), allocated, signed)[0])
        for end in ends
    ]
    return min(wrapped), max(wrapped)


def _whole_of(file: DicomFile, name: str) -> int | None:
    """Return a value of kind "US or SS", which pydicom leaves as bytes in implicit files."""
    value = file.elements.get(name)
    if isinstance(value, bytes):
        _, little_endian = file.elements.original_encoding
        return int.from_bytes(value[:2], "little" if little_endian else "big") if value else None
    return None if value is None or value == "" else int(value)
