"""One way to say how far a work is, and one display of it.

Work that may take more than two seconds takes a `Progress` and calls it with what is done, how much
there is in all (0 where nobody knows) and a few words. `TerminalProgress` shows it on stderr: a
bar with an estimate on a terminal, a line now and then in a pipe or a log.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from network.runtime.pace import every, remaining

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


def estimate(done: int, total: int, elapsed_s: float) -> str:
    """Return the seconds left in words, by the pace so far; empty where nothing is known.

    >>> estimate(25, 100, 10.0), estimate(0, 100, 10.0), estimate(100, 100, 10.0)
    ('about 30 s left', '', '')
    """
    if not 0 < done < total:
        return ""
    return f"about {elapsed_s / done * (total - done):.0f} s left"


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
        show = self._step_bar if self._console.is_terminal else self._step_lines
        with show(text, expected_s):
            yield
        self._console.print(f"{text}: {self._monotonic() - begun_s:.1f} s", highlight=False)

    @contextmanager
    def _step_bar(self, text: str, expected_s: float) -> Iterator[None]:
        with _bars(self._console, TextColumn(f"of about {max(expected_s, 1):.0f} s")) as bars:
            task = bars.add_task(text, total=expected_s)

            def tell(elapsed_s: float) -> None:
                bars.update(task, completed=min(elapsed_s, expected_s))

            with every(0.1, tell):
                yield

    @contextmanager
    def _step_lines(self, text: str, expected_s: float) -> Iterator[None]:
        def tell(elapsed_s: float) -> None:
            line = f"{text}: {elapsed_s:.0f} s, {remaining(expected_s, elapsed_s)}"
            self._console.print(line, highlight=False)

        with every(SHOWN_AFTER_S if expected_s < LINE_EVERY_S else LINE_EVERY_S, tell):
            yield

    def _bar(self, done: int, total: int, left: str) -> None:
        if self._bars is None:
            self._bars = _bars(self._console, TextColumn("{task.fields[left]}"))
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


def _bars(console: Console, last: TextColumn) -> Bars:
    """Return a display of bars that disappears when the work ends."""
    return Bars(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        last,
        console=console,
        transient=True,
    )
