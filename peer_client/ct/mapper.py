"""Do independent pieces of work in this process or in several.

The processes are spawned, not forked: the caller may hold threads (gRPC, TensorFlow), which a
forked child would not have, and a lock held by one of them would never be released. Results come
back in the order of the work; the first error ends it. Ctrl-C reaches this process alone, which
ends the others: otherwise each of them would print a traceback of its own.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Protocol, TypeVar

Work = TypeVar("Work")
Result = TypeVar("Result")


class Mapped(Protocol):
    """What `mapper` yields: like the built-in `map` over one sequence."""

    def __call__(
        self, function: Callable[[Work], Result], works: Sequence[Work], /
    ) -> Iterable[Result]:
        """Return the results in the order of the works."""


@contextmanager
def mapper(processes: int) -> Iterator[Mapped]:
    """Give a `map` that works in this process (1) or in several.

    Args:
        processes: How many; functions, works and results must be picklable where it is above 1.

    >>> with mapper(1) as mapped:
    ...     list(mapped(len, ["a", "bc"]))
    [1, 2]
    """
    if processes <= 1:
        yield map
        return
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))

    def mapped(function: Callable[[Work], Result], works: Sequence[Work], /) -> Iterable[Result]:
        with _interrupts_ignored():  # the processes begin here
            return pool.map(function, works)

    try:
        yield mapped
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Let processes that begin meanwhile ignore Ctrl-C from their first instruction on.

    A process inherits what is ignored, but not a handler. Only the main thread may change it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
