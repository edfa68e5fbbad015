"""Unpack one compressed frame of a DICOM file, after its own header has been looked at.

A compressed frame says its size itself, and a decoder makes room for what it says. The size is read
first and compared with the size that the file gives. Which bytes: JPEG (ITU-T T.81, B.2.2)
and JPEG-LS (T.87, C.1) have a frame header behind a marker SOF; JPEG 2000 (T.800, A.5.1) and its
high-throughput form have the segment SIZ. Run lengths (DICOM PS3.5, annex G) say no size, so they
are unpacked into as much room as the file's size needs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

_JPEG: Final = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
_JPEG_LS: Final = (JPEGLSLossless, JPEGLSNearLossless)
_JPEG_2000: Final = (JPEG2000, JPEG2000Lossless, HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL)
#: Transfer syntaxes (DICOM PS3.5, A.4) whose frames are unpacked here.
UNPACKED: Final = frozenset((*_JPEG, *_JPEG_LS, *_JPEG_2000))
#: Frame headers of JPEG: all but DHT, JPG and DAC; and that of JPEG-LS.
_FRAME_MARKERS: Final = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}
_J2K_BEGIN: Final = b"\xff\x4f\xff\x51"
#: Where a codestream may begin in a frame: some programs write the boxes of a .jp2 file before it.
_J2K_BOXES_MAX: Final = 1024
_TILES_MAX: Final = 4096


class CodestreamError(ValueError):
    """A compressed frame is damaged, or is not what the file says that it is."""


def unpacked(frame: bytes, syntax: str, shape: tuple[int, int]) -> tuple[NDArray[Any], int]:
    """Unpack one frame.

    Args:
        frame: Its bytes.
        syntax: The transfer syntax, one of `UNPACKED`.
        shape: Rows and columns, as the file says.

    Returns:
        The stored values, integers of `shape`, and how many bits of them the frame has.

    Raises:
        CodestreamError: It is damaged, or of another size.
    """
    import imagecodecs

    decode: Callable[[bytes], NDArray[Any]]
    if syntax in _JPEG_2000:
        begin = frame.find(_J2K_BEGIN, 0, _J2K_BOXES_MAX)
        if begin < 0:
            raise CodestreamError("it is no JPEG 2000 codestream")
        frame = frame[begin:]
        size, bits = _j2k_size(frame)
        decode = imagecodecs.jpeg2k_decode
    else:
        size, bits = _jpeg_size(frame)
        decode = imagecodecs.jpegls_decode if syntax in _JPEG_LS else imagecodecs.jpeg8_decode
    if size != shape:
        raise CodestreamError(
            f"it has {size[0]} x {size[1]} pixels, the file {shape[0]} x {shape[1]}"
        )
    if syntax in _JPEG_2000:
        _check_tiles(frame, shape)
    try:
        values = np.asarray(decode(frame))
    # The decoders have an error class each, and hostile bytes also reach numpy and malloc.
    except Exception as error:
        raise CodestreamError(f"it cannot be unpacked ({type(error).__name__})") from error
    if values.shape != shape or values.dtype.kind not in "iu":
        raise CodestreamError(f"it unpacks to {values.dtype} of shape {values.shape}")
    return values, bits


def unpacked_run_lengths(
    frame: bytes, shape: tuple[int, int], allocated: int
) -> NDArray[np.unsignedinteger[Any]]:
    """Unpack one frame of the transfer syntax RLE Lossless.

    Args:
        frame: Its bytes.
        shape: Rows and columns.
        allocated: Bits of a pixel: 8, 16 or 32.

    Raises:
        CodestreamError: It is damaged, or of another size.
    """
    import imagecodecs

    if allocated not in (8, 16, 32):
        raise CodestreamError(f"it has {allocated} bits a pixel")
    dtype = np.dtype(f"<u{allocated // 8}")
    size = shape[0] * shape[1] * dtype.itemsize
    try:
        values = imagecodecs.dicomrle_decode(frame, dtype, out=size)
    # As above.
    except Exception as error:
        raise CodestreamError(f"it cannot be unpacked ({type(error).__name__})") from error
    if len(values) != size:
        raise CodestreamError(f"it unpacks to {len(values)} bytes, its size needs {size}")
    return np.frombuffer(values, dtype).reshape(shape)


def _jpeg_size(frame: bytes) -> tuple[tuple[int, int], int]:
    """Return rows and columns and the bits of a sample that a JPEG frame header gives."""
    if not frame.startswith(b"\xff\xd8"):
        raise CodestreamError("it is no JPEG stream")
    place = 2
    while place + 10 <= len(frame) and frame[place] == 0xFF:
        marker = frame[place + 1]
        if marker == 0xFF:  # fill bytes
            place += 1
        elif marker in _FRAME_MARKERS:
            bits, rows, columns, components = struct.unpack_from(">BHHB", frame, place + 4)
            if components != 1:
                raise CodestreamError(f"it has {components} components, grey has 1")
            return (int(rows), int(columns)), int(bits)
        elif 0xD0 <= marker <= 0xD8 or marker == 0x01:  # markers without a segment
            place += 2
        else:
            place += 2 + int(struct.unpack_from(">H", frame, place + 2)[0])
    raise CodestreamError("it has no frame header")


def _j2k_size(frame: bytes) -> tuple[tuple[int, int], int]:
    """Return rows and columns and the bits of a sample that the segment SIZ gives."""
    if len(frame) < 43:
        raise CodestreamError("its header ends early")
    right, bottom, left, top = struct.unpack_from(">4I", frame, 8)
    components, depth = struct.unpack_from(">HB", frame, 40)
    if components != 1:
        raise CodestreamError(f"it has {components} components, grey has 1")
    return (int(bottom - top), int(right - left)), (int(depth) & 0x7F) + 1


def _check_tiles(frame: bytes, shape: tuple[int, int]) -> None:
    """Refuse more tiles of JPEG 2000 than any encoder makes; a decoder makes room for each."""
    tile_x, tile_y = struct.unpack_from(">2I", frame, 24)
    tiles = -(-shape[0] // max(tile_y, 1)) * -(-shape[1] // max(tile_x, 1))
    if tiles > _TILES_MAX:
        raise CodestreamError(f"it has {tiles} tiles; allowed are {_TILES_MAX}")
