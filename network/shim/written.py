"""Private values that this process has written in endorsements, found again by their SHA-256.

A peer hands a private value to its chaincode over a socket, megabytes at a time, and each endorser
of a later transaction asks for values that it has itself endorsed shortly before. The value's hash
on the ledger is 32 bytes, the same at every peer, and records the same read; bytes with that hash
are that value, wherever they come from. So a stub may ask for the hash alone and take the bytes
from here.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import Final

#: Smaller values come from the peer as quickly as their hash does.
SMALLEST_BYTES: Final = 64 * 1024


class WrittenValues:
    """The newest private values written, up to a number of bytes; for any number of threads.

    What never got committed is never asked for, and leaves as newer values come.

    Args:
        bytes_max: How much is kept.

    >>> written = WrittenValues(bytes_max=150_000)
    >>> first, second = bytes(100_000), b"x" * 100_000
    >>> written.keep(first)
    >>> written.find(hashlib.sha256(first).digest()) is first
    True
    >>> written.keep(second)
    >>> written.find(hashlib.sha256(first).digest()) is None
    True
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._lock = threading.Lock()
        self._values: OrderedDict[bytes, bytes] = OrderedDict()

    def keep(self, value: bytes) -> None:
        """Keep a value, unless it is small; the oldest go where it would be too much."""
        if not SMALLEST_BYTES <= len(value) <= self._bytes_max:
            return
        sha256 = hashlib.sha256(value).digest()
        with self._lock:
            self._forget(sha256)
            self._values[sha256] = value
            self._bytes += len(value)
            while self._bytes > self._bytes_max:
                self._forget(next(iter(self._values)))

    def find(self, sha256: bytes) -> bytes | None:
        """Return the value with this SHA-256 (32 bytes), if it is here."""
        with self._lock:
            return self._values.get(sha256)

    def _forget(self, sha256: bytes) -> None:
        value = self._values.pop(sha256, None)
        if value is not None:
            self._bytes -= len(value)
