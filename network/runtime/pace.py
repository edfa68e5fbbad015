"""Tell at a steady pace how long a work has lasted, and how long it may still last.

Uses the standard library alone: the setup needs it before anything is installed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def remaining(expected_s: float, elapsed_s: float) -> str:
    """Return the seconds left in words, by what the work usually takes.

    >>> remaining(60.0, 20.0), remaining(60.0, 70.0)
    ('about 40 s left', 'longer than usual')
    """
    left_s = expected_s - elapsed_s
    return f"about {left_s:.0f} s left" if left_s > 1 else "longer than usual"


@contextmanager
def every(pause_s: float, tell: Callable[[float], object]) -> Iterator[None]:
    """Call `tell` with the seconds elapsed, from a thread of its own, until the block ends.

    Args:
        pause_s: Seconds between two calls, and before the first.
        tell: What is called.
    """
    ended = threading.Event()
    begun_s = time.monotonic()

    def run() -> None:
        while not ended.wait(pause_s):
            tell(time.monotonic() - begun_s)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
