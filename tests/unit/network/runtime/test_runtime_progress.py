import io

import pytest
from rich.console import Console

from network.runtime.progress import TerminalProgress


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def shown(clock: Clock, *steps: tuple[float, int, int, str], terminal: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=80)
    with TerminalProgress(console, monotonic=clock) as progress:
        for now_s, done, total, text in steps:
            clock.now_s = now_s
            progress(done, total, text)
    return stream.getvalue()


def test_what_is_over_within_two_seconds_is_not_shown(clock: Clock) -> None:
    assert shown(clock, (0.0, 0, 10, "reading"), (1.9, 10, 10, "reading")) == ""


def test_a_pipe_gets_a_line_with_an_estimate_now_and_then(clock: Clock) -> None:
    steps = [(float(second), second, 100, "reading") for second in range(25)]
    assert shown(clock, *steps).splitlines() == [
        "reading: 2 of 100, about 98 s left",
        "reading: 12 of 100, about 88 s left",
        "reading: 22 of 100, about 78 s left",
    ]


def test_a_total_that_nobody_knows_is_not_made_up(clock: Clock) -> None:
    assert shown(clock, (0.0, 0, 0, "blocks"), (3.0, 70, 0, "blocks")) == "blocks: 70\n"


def test_a_terminal_gets_a_bar(clock: Clock) -> None:
    found = shown(clock, (0.0, 0, 10, "reading"), (4.0, 5, 10, "reading"), terminal=True)
    assert "reading" in found
    assert "about 4 s left" in found
