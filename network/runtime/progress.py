"""One way to say how far a work is, and one display of it.

Work that may take more than two seconds takes a `Progress` and calls it with what is done, how much
there is in all (0 where nobody knows) and a few words. `TerminalProgress` shows it on stderr: a
bar with an estimate on a terminal, a line now and then in a pipe or a log.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

#: Nothing is shown of what is over sooner.
SHOWN_AFTER_S: Final = 2.0
#: Pace of lines where they cannot be renewed.
LINE_EVERY_S: Final = 10.0


class Progress(Protocol):
    """Whoever wants to know how far a work is."""

    def __call__(self, done: int, total: int, text: str) -> None:
        """Take note.

        Args:
            done: Units done so far.
            total: Units in all; 0 where that is not known.
            text: What is being done, for people.
        """


def no_progress(done: int, total: int, text: str) -> None:
    """Show nothing."""


def estimate(done: int, total: int, elapsed_s: float) -> str:
    """Return the seconds left in words, by the pace so far; empty where nothing is known.

    >>> estimate(25, 100, 10.0), estimate(0, 100, 10.0), estimate(100, 100, 10.0)
    ('about 30 s left', '', '')
    """
    if not 0 < done < total:
        return ""
    return f"about {elapsed_s / done * (total - done):.0f} s left"


def remaining(expected_s: float, elapsed_s: float) -> str:
    """Return the seconds left in words, by what the work usually takes.

    >>> remaining(60.0, 20.0), remaining(60.0, 70.0)
    ('about 40 s left', 'longer than usual')
    """
    left_s = expected_s - elapsed_s
    return f"about {left_s:.0f} s left" if left_s > 1 else "longer than usual"


class TerminalProgress:
    """Shows work on a console; a context manager, and a `Progress` within it.

    Args:
        console: Where to; stderr where left out.
        quiet: Show nothing.
        monotonic: Clock, seconds.
    """

    def __init__(
        self,
        console: Console | None = None,
        *,
        quiet: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or Console(file=sys.stderr)
        self._quiet = quiet
        self._monotonic = monotonic
        self._text = ""
        self._begun_s = monotonic()
        self._line_s = self._begun_s
        self._bars: Bars | None = None

    def __call__(self, done: int, total: int, text: str) -> None:
        """Show how far a work is, once it has taken two seconds."""
        if self._quiet:
            return
        now_s = self._monotonic()
        if text != self._text:
            self._stop()
            self._text, self._begun_s = text, now_s
            self._line_s = now_s + SHOWN_AFTER_S - LINE_EVERY_S  # the first line comes early
        elapsed_s = now_s - self._begun_s
        if elapsed_s < SHOWN_AFTER_S:
            return
        left = estimate(done, total, elapsed_s)
        if self._console.is_terminal:
            self._bar(done, total, left)
        elif now_s - self._line_s >= LINE_EVERY_S:
            self._line_s = now_s
            of = f" of {total}" if total else ""
            line = f"{text}: {done}{of}{', ' if left else ''}{left}"
            self._console.print(line, highlight=False)

    @contextmanager
    def step(self, text: str, expected_s: float) -> Iterator[None]:
        """Show a step of which only the usual duration is known, while it lasts.

        Args:
            text: What is being done.
            expected_s: Seconds it usually takes; the estimate counts down from them.
        """
        if self._quiet:
            yield
            return
        begun_s = self._monotonic()
        pace_s = 0.5 if self._console.is_terminal else min(LINE_EVERY_S, max(2.0, expected_s / 3))
        ended = threading.Event()

        def show() -> None:
            while not ended.wait(pace_s):
                elapsed_s = self._monotonic() - begun_s
                left = remaining(expected_s, elapsed_s)
                if self._console.is_terminal:
                    self._text = text
                    self._bar(int(10 * elapsed_s), int(10 * expected_s), left)
                else:
                    line = f"{text}: {elapsed_s:.0f} s, {left}"
                    self._console.print(line, highlight=False)

        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self._stop()
        self._console.print(f"{text}: {self._monotonic() - begun_s:.1f} s", highlight=False)

    def _bar(self, done: int, total: int, left: str) -> None:
        if self._bars is None:
            self._bars = Bars(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}"),
                console=self._console,
                transient=True,
            )
            self._bars.start()
            self._bars.add_task(self._text, total=None, left="")
        task = self._bars.tasks[0].id
        self._bars.update(
            task, description=self._text, completed=done, total=total or None, left=left
        )

    def _stop(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def __enter__(self) -> TerminalProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()
