"""A round as it happens, on stderr: the phase, how far it is, and about how long it still takes.

On a terminal a line that renews itself; in a pipe or a log one line for each new phase. Estimates
come from the round before, as the study's store remembers it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import click

from peer_client.reports.report import PHASES
from peer_client.rounds.context import Notice

#: Seconds between two lines about the same phase where lines cannot be renewed.
LINE_EVERY_S = 2.0


class LiveRound:
    """Shows notices of rounds; a context manager.

    Args:
        estimate_s: Gives the seconds each phase took in the round before, by phase.
        now_s: Monotonic clock, seconds.
    """

    def __init__(
        self,
        estimate_s: Callable[[int], Mapping[str, float]],
        *,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._estimate_s = estimate_s
        self._now_s = now_s
        self._phase = ("", 0)
        self._begin_s = 0.0
        self._line_s = 0.0
        self._status: Any = None
        self._first: tuple[int, float] | None = None

    def __call__(self, notice: Notice) -> None:
        """Show a notice."""
        now = self._now_s()
        changed = (notice.phase, notice.round_number) != self._phase
        if changed:
            self._phase = (notice.phase, notice.round_number)
            self._begin_s = now
            self._first = None
        text = self.text(notice, now - self._begin_s)
        if self._status is not None:
            self._status.update(text)
        elif changed or now - self._line_s > LINE_EVERY_S:
            self._line_s = now
            click.echo(text, err=True)

    def text(self, notice: Notice, elapsed_s: float) -> str:
        """Return the line that is shown for a notice.

        >>> live = LiveRound(lambda number: {"seal": 3.0})
        >>> live.text(Notice(2, "train", "train", 1, 24), 9.0)
        'round 2  [2/10] train 1 of 24 steps'
        >>> live.text(Notice(2, "train", "train", 6, 24), 11.5)
        'round 2  [2/10] train 6 of 24 steps, about 9 s left'
        >>> live.text(Notice(2, "seal", "seal the update"), 1.0)
        'round 2  [3/10] seal the update, about 2 s left'
        """
        names = [key for key, _ in PHASES]
        place = f"[{names.index(notice.phase) + 1}/{len(names)}] " if notice.phase in names else ""
        words = notice.text
        left_s: float | None = None
        if notice.total:
            words += f" {notice.done} of {notice.total} steps"
            left_s = self._left_s(notice, elapsed_s)
        elif notice.phase != "wait" and notice.phase in (
            before := self._estimate_s(notice.round_number)
        ):
            left_s = before[notice.phase] - elapsed_s
        left = f", about {left_s:.0f} s left" if left_s is not None and left_s >= 1 else ""
        return f"round {notice.round_number}  {place}{words}{left}"

    def _left_s(self, notice: Notice, elapsed_s: float) -> float | None:
        """Return the seconds left, from the pace since the first step told of.

        The first step is left out: before it a network is compiled.
        """
        if self._first is None or notice.done <= self._first[0]:
            self._first = (notice.done, elapsed_s)
            return None
        pace = (elapsed_s - self._first[1]) / (notice.done - self._first[0])
        return pace * (notice.total - notice.done)

    def __enter__(self) -> LiveRound:
        if sys.stderr.isatty():
            from rich.console import Console

            self._status = Console(stderr=True).status("starting")
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


class Stages:
    """Shows work in several stages, each a `Counter` of its own, on stderr."""

    def __init__(self) -> None:
        self._counters: dict[str, Counter] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show how far a stage is."""
        self._counters.setdefault(what, Counter(what))(done, total)


class Counter:
    """Shows a count that takes more than two seconds, with an estimate, on stderr.

    Args:
        what: What is counted, for people.
        now_s: Monotonic clock, seconds.
    """

    def __init__(self, what: str, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._now_s = now_s
        self._begin_s = now_s()
        self._shown_s = self._begin_s

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is, at most every two seconds."""
        now = self._now_s()
        if now - self._shown_s < 2.0:
            return
        self._shown_s = now
        left = ""
        if done and total:
            seconds = (now - self._begin_s) / done * (total - done)
            left = f" of {total}, about {seconds:.0f} s left"
        click.echo(f"{self._what}: {done}{left}", err=True)
