"""Do independent pieces of work in this process or in several.

The processes are spawned, not forked: the caller may hold threads (gRPC, TensorFlow), which a
forked child would not have, and a lock held by one of them would never be released. Results come
back in the order of the work; the first error ends it.
"""

from __future__ import annotations

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
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)
