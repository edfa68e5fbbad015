"""Write files whole and durably, and read them within a limit: the one way to do either.

A file is written beside its place, flushed to the disk, renamed over the old one, and the folder is
flushed too (fsync(2), rename(2)): after a power cut there is the old content or the new one, never
half of it. OSError passes to the caller, who knows which of its own errors it means.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

#: For its owner alone: the default, because most of what is kept here concerns patients or keys.
PRIVATE: Final = 0o600
#: For everybody on the machine: certificates, configuration, reports.
PUBLIC: Final = 0o644


class FileTooLargeError(Exception):
    """A file has more bytes than its reader allows; nothing of it was read."""

    def __init__(self, path: Path, size: int, limit: int) -> None:
        super().__init__(f"{path} has {size} bytes, at most {limit} are read")
        self.path = path
        self.size = size
        self.limit = limit


@contextmanager
def durable_file(path: Path, *, mode: int = PRIVATE) -> Iterator[IO[bytes]]:
    """Give a file to write to, which takes its place when the block ends without an error.

    Args:
        path: Where the content belongs; its folder is made where it is missing, with mode 0700
            for private files.
        mode: Permissions of the file.

    Yields:
        A binary file in the same folder.

    Raises:
        OSError: It cannot be written; the old file is untouched and nothing is left beside it.
    """
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700 if mode == PRIVATE else 0o755)
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=f".{path.name}.", suffix=".new")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    flush_folder(folder)


def write_durably(path: Path, content: bytes, *, mode: int = PRIVATE) -> None:
    """Replace a file's content, whole and durably.

    Args:
        path: The file; its folder is made where it is missing.
        content: All of its bytes.
        mode: Permissions of the file.

    Raises:
        OSError: It cannot be written; the old file is untouched.
    """
    with durable_file(path, mode=mode) as file:
        file.write(content)


def append_durably(descriptor: int, content: bytes) -> None:
    """Append to an open file, flushed to the disk, all or nothing.

    Args:
        descriptor: A file opened with O_APPEND.
        content: What follows.

    Raises:
        OSError: It cannot be written; the file is as long as before.
    """
    length = os.fstat(descriptor).st_size
    try:
        if os.write(descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, "the disk took only a part")
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, length)
        raise


def flush_folder(folder: Path) -> None:
    """Make the names in a folder durable (fsync(2) of a file does not do so)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_bounded(path: Path, limit: int) -> bytes:
    """Return a file's bytes, of which there may be at most `limit`.

    Raises:
        FileTooLargeError: There are more.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise FileTooLargeError(path, size, limit)
        content = file.read(limit + 1)  # devices and pipes have no size
    if len(content) > limit:
        raise FileTooLargeError(path, len(content), limit)
    return content
