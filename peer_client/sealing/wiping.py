"""Overwrite secrets in memory: buffers, bytes objects, and what libraries left in freed memory.

A secret is overwritten where it lies. Two kinds of copies have no buffer that can be named:
temporaries of numpy and copies inside SEAL and the C++ library. They lie in freed memory until it
is used again, so freed pages are returned to the kernel, which clears a page before anyone gets
it.
"""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: Where the content of a bytes object begins in CPython: after the header, before a final zero.
_BYTES_HEADER: Final = bytes.__basicsize__ - 1


def wipe(buffer: bytearray | bytes | NDArray[np.generic]) -> None:
    """Overwrite a buffer with zeros.

    A bytes object is overwritten too, although Python calls it constant: hashes, ciphers and SEAL
    give and take secrets in no other type. The caller must be the only one that holds it.

    Args:
        buffer: A byte array, a bytes object of at least two bytes (shorter ones are shared by the
            whole interpreter and are left alone), or a writable numpy array.
    """
    if isinstance(buffer, bytearray):
        buffer[:] = bytes(len(buffer))
    elif isinstance(buffer, bytes):
        if len(buffer) > 1:
            ctypes.memset(id(buffer) + _BYTES_HEADER, 0, len(buffer))
    else:
        buffer.fill(0)


def release_freed_memory() -> None:
    """Return freed pages to the kernel, with whatever libraries left in them.

    `malloc_trim` (glibc) gives back whole pages anywhere in the heap. Where the C library has none
    nothing happens: musl returns large buffers by itself.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@lru_cache(maxsize=1)
def _malloc_trim() -> Any:
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
