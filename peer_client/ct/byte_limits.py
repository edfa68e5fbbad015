"""How many bytes a file from outside may have, packed and unpacked.

Every limit is checked against what a file says of itself before anything of it is unpacked, and
where something is unpacked in a stream, against what comes out. docs/data.md has the table.
"""

from __future__ import annotations

import zlib
from typing import IO, Final

MIB: Final = 1024 * 1024
#: A volume's voxels at the widest number type that they have while they are worked on.
VOLUME_BYTES_MAX: Final = 2048 * MIB
#: What is inside one deflated DICOM file; 8192 x 8192 16-bit pixels have 128 MiB.
INFLATED_BYTES_MAX: Final = 192 * MIB
#: From the start of a NIfTI file to its voxels: header and extensions.
NIFTI_OFFSET_MAX: Final = MIB
_STEP: Final = MIB


class TooManyBytesError(ValueError):
    """More comes out of a packed stream than is allowed; readers give it the file's name."""


def inflate(stream: IO[bytes], bytes_max: int) -> bytes:
    """Unpack a raw deflate stream, no further than a limit.

    Args:
        stream: Read to the stream's end.
        bytes_max: Most bytes that may come out.

    Returns:
        What came out.

    Raises:
        TooManyBytesError: More would come out.
        zlib.error: The stream is damaged.
    """
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    parts: list[bytes] = []
    size = 0
    while packed := stream.read(_STEP):
        while packed and not unpacker.eof:
            part = unpacker.decompress(packed, min(_STEP, bytes_max + 1 - size))
            packed = unpacker.unconsumed_tail
            size += len(part)
            if size > bytes_max:
                raise TooManyBytesError(f"it unpacks to more than {bytes_max} bytes")
            parts.append(part)
    if not unpacker.eof:
        raise zlib.error("the stream ends early")
    return b"".join(parts)
