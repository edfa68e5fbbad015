"""What the machine refuses: a full disk, a file that cannot be read or written."""

from __future__ import annotations

import errno
from typing import ClassVar, Final

#: No space on the device, and the user's quota.
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

#: What to do about the commonest errors with files.
_ADVICE: Final = {
    errno.ENOENT: "check the path for a typing mistake: there is nothing of that name",
    errno.EACCES: "give this user permission, or act as the user who owns the file (`ls -l`)",
    errno.EPERM: "give this user permission, or act as the user who owns the file (`ls -l`)",
    errno.EISDIR: "name a file: this is a folder",
    errno.ENOTDIR: "name a folder: a part of this path is a file",
    errno.EROFS: "name a place on a disk that can be written",
}


class MachineError(Exception):
    """The machine cannot do what is asked of it."""

    exit_code: ClassVar[int]
    hint: str


class DiskFullError(MachineError):
    """No space is left on a disk."""

    exit_code = 95
    hint = (
        "free some space (`consortium prune` removes old logs and builds) and give the same "
        "command again; what was there before is intact"
    )


class FileAccessError(MachineError):
    """A file or folder cannot be read or written, for another reason than a full disk."""

    exit_code = 96
    hint = "check the path, and that this user may read and write there"

    def __init__(self, message: str, number: int | None = None) -> None:
        super().__init__(message)
        self.hint = _ADVICE.get(number, type(self).hint) if number else type(self).hint


def machine_error(error: OSError) -> MachineError:
    """Return what an operating system's error means for a user.

    >>> machine_error(IsADirectoryError(21, "Is a directory", "/tmp"))
    FileAccessError('/tmp: Is a directory')
    >>> machine_error(OSError(28, "No space left on device"))
    DiskFullError('No space left on device')
    """
    what = f"{error.filename}: " if error.filename else ""
    message = f"{what}{error.strerror or error}"
    if error.errno in _FULL:
        return DiskFullError(message)
    return FileAccessError(message, error.errno)
