"""A pool of training threads: hospitals at work at the same time, a network for each thread.

TensorFlow computes outside Python's lock, so threads are enough to use a machine's processors, and
all stays in one process. What a hospital computes depends on nothing but its own weights, slices
and draws, and each operation runs on one thread: the models are the same for any number of threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from peer_client.simulation.rounds import Told

if TYPE_CHECKING:
    from model.network import SliceNetwork

Item = TypeVar("Item")
Found = TypeVar("Found")


class StoppedError(Exception):
    """Another hospital's work failed or the simulation was interrupted: no use in going on."""


class TrainingThreads:
    """A pool of threads that train and read for hospitals; a context manager.

    Leaving it, also by an error or an interrupt, ends what is under way at the next step told.

    Args:
        build: Builds a network; called once in each thread that asks for one.
        threads: How many.
        told: Told how far each hospital is, by one thread at a time.
    """

    def __init__(self, build: Callable[[], SliceNetwork], threads: int, told: Told) -> None:
        self._build = build
        self._told = told
        self._own = threading.local()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="hospital")

    def network(self) -> SliceNetwork:
        """Return this thread's network, built at the first call; weights are put in as needed."""
        if not hasattr(self._own, "network"):
            with self._lock:
                self._own.network = self._build()
        network: SliceNetwork = self._own.network
        return network

    def each(self, act: Callable[[Item], Found], items: Sequence[Item]) -> list[Found]:
        """Do the same for all items, as many at the same time as there are threads.

        Returns:
            What was found for each item, in their order. A failure is raised as soon as it
            happens, whatever the others are at.
        """
        futures = [self._pool.submit(act, item) for item in items]
        ended, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in ended:
            future.result()
        return [future.result() for future in futures]

    def told(self, hospital: str, what: str, done: int, total: int) -> None:
        """Tell how far a hospital is.

        Raises:
            StoppedError: The pool is being left.
        """
        if self._stopping.is_set():
            raise StoppedError
        with self._lock:
            self._told(hospital, what, done, total)

    def __enter__(self) -> TrainingThreads:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
