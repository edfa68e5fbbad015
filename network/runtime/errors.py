"""What the machine refuses: a full disk, a file that cannot be read or written."""

from __future__ import annotations

import errno
from typing import ClassVar, Final

#: No space on the device, and the user's quota.
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class MachineError(Exception):
    """The machine cannot do what is asked of it."""

    exit_code: ClassVar[int]
    hint: ClassVar[str]


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


def machine_error(error: OSError) -> MachineError:
    """Return what an operating system's error means for a user.

    >>> machine_error(IsADirectoryError(21, "Is a directory", "/tmp"))
    FileAccessError('/tmp: Is a directory')
    >>> machine_error(OSError(28, "No space left on device"))
    DiskFullError('No space left on device')
    """
    what = f"{error.filename}: " if error.filename else ""
    kind = DiskFullError if error.errno in _FULL else FileAccessError
    return kind(f"{what}{error.strerror or error}")
