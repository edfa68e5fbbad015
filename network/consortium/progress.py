"""Show steps on stderr: a bar with an estimate in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

#: Pace of the lines of a short step, seconds.
SHOWN_AFTER_S = 2.0


class TerminalReporter:
    """Reports steps to a console; quiet where `quiet` is set."""

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self._console = console or Console(file=sys.stderr)
        self._quiet = quiet

    @contextmanager
    def step(self, text: str, expected_s: float) -> Iterator[None]:
        """Show a step while it lasts.

        Args:
            text: What is being done.
            expected_s: Seconds it usually takes; the estimate counts down from them.
        """
        if self._quiet:
            yield
            return
        started = time.monotonic()
        if self._console.is_terminal:
            with self._bar(text, expected_s):
                yield
        else:
            with self._lines(text, expected_s):
                yield
        self._console.print(f"{text}: {time.monotonic() - started:.1f} s", highlight=False)

    @contextmanager
    def _bar(self, text: str, expected_s: float) -> Iterator[None]:
        bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn(f"of about {max(expected_s, 1):.0f} s"),
            console=self._console,
            transient=True,
        )
        with bar:
            task = bar.add_task(text, total=expected_s)
            with _every(0.1, lambda elapsed: bar.update(task, completed=min(elapsed, expected_s))):
                yield

    @contextmanager
    def _lines(self, text: str, expected_s: float) -> Iterator[None]:
        def tell(elapsed: float) -> None:
            left = expected_s - elapsed
            guess = f"about {left:.0f} s left" if left > 1 else "longer than usual"
            self._console.print(f"{text}: {elapsed:.0f} s, {guess}", highlight=False)

        with _every(SHOWN_AFTER_S if expected_s < 10 else 10.0, tell):
            yield


@contextmanager
def _every(pause_s: float, tell: Callable[[float], object]) -> Iterator[None]:
    """Call `tell(elapsed seconds)` at this pace until the block ends."""
    ended = threading.Event()
    started = time.monotonic()

    def run() -> None:
        while not ended.wait(pause_s):
            tell(time.monotonic() - started)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
