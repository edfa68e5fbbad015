"""One program at a time changes what runs for a member.

A lock of the kernel (flock(2)) on a file in the member's directory: it ends with the program that
holds it, however that ends, and nodes do not inherit it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from network.consortium.errors import MemberBusyError
from network.consortium.member import MemberDirectory


@contextmanager
def held(directories: Sequence[MemberDirectory]) -> Iterator[None]:
    """Hold these members for this program until the block ends.

    Raises:
        MemberBusyError: Another program holds one of them; none is held then.
    """
    with ExitStack() as stack:
        for directory in directories:
            stack.enter_context(_held(directory))
        yield


@contextmanager
def _held(directory: MemberDirectory) -> Iterator[None]:
    path = directory.lock_file
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
            raise MemberBusyError(directory.name, holder) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)  # which releases it
