"""What becomes of memory that a process has freed: kept for the next large value.

glibc gives a buffer of megabytes a mapping of its own and returns it to the system as soon as it is
freed; the next one is made of new pages, and each page's first use is a trap into the kernel
(mallopt(3): M_MMAP_THRESHOLD, M_TRIM_THRESHOLD). Of a round with 1e6 parameters the chaincode
services had 55,000 such traps and the clients 38,000; with this, 9,000 and 1,500, and a third less
processor time in the kernel. A training step takes as long with it as without.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

#: Parameters of mallopt (glibc, malloc.h).
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
#: The most that glibc accepts.
_LARGEST_MAPPING_BYTES: Final = 32 * 2**20


def keep_freed_memory(bytes_max: int = 64 * 2**20, *, arenas: int | None = None) -> None:
    """Keep up to so many freed bytes at the end of each heap.

    Call it before threads are started. Where the C library is not glibc nothing changes: it is a
    matter of speed alone.

    Args:
        bytes_max: Freed bytes kept in each heap before they are returned.
        arenas: Most heaps, each with freed memory of its own, shared by all threads: saves memory
            and slows threads that allocate at once. glibc's own number where left out.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_MMAP_THRESHOLD, _LARGEST_MAPPING_BYTES)
    mallopt(_TRIM_THRESHOLD, bytes_max)
    if arenas is not None:
        mallopt(_ARENA_MAX, arenas)
