"""Read the arrays of an npz archive that may come from others: bounded, and never as objects.

An archive of a few bytes may say that it unpacks to anything, and an array's header that it has any
shape; numpy makes room for what the header says. Both are compared here before numpy sees them.
"""

from __future__ import annotations

import math
import zipfile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray


class ArraysRefusedError(ValueError):
    """An archive unpacks to too much, or an array says more than its member holds."""


def read_arrays(file: IO[bytes], bytes_max: int) -> dict[str, NDArray[Any]]:
    """Return all arrays of an archive.

    Args:
        file: The archive, at its start.
        bytes_max: Most bytes of all its members together, unpacked.

    Raises:
        ArraysRefusedError: It is larger, or an array's header lies.
        ValueError, OSError, KeyError, zipfile.BadZipFile: It is damaged, or holds objects.
    """
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > bytes_max:
            raise ArraysRefusedError(f"it unpacks to {unpacked} bytes; allowed are {bytes_max}")
        for name in archive.namelist():
            check_array_header(archive, name)
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def check_array_header(
    archive: zipfile.ZipFile, name: str
) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """Return the shape and type that an array gives, if its member is as long as they say.

    Raises:
        ArraysRefusedError: It holds objects, or is shorter than its header says.
        ValueError: It has no header of numpy's.
    """
    with archive.open(name) as member:
        version = np.lib.format.read_magic(member)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(member)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(member)
        header_bytes = member.tell()
    if dtype.hasobject:
        raise ArraysRefusedError(f"{name} holds objects, not numbers")
    if header_bytes + math.prod(shape) * dtype.itemsize > archive.getinfo(name).file_size:
        raise ArraysRefusedError(f"{name} says that it has the shape {shape}, and is shorter")
    return shape, dtype
