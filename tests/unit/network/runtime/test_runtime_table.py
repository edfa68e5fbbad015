"""Tables and fields fit the terminal, and no word is broken."""

from __future__ import annotations

import os

import pytest

from network.runtime import table
from network.runtime.table import cell_text, field_lines, print_fields, print_table

COLUMNS = ("study", "state", "hospitals", "model in force")
ROWS = [
    (
        "lesions",
        "IN_FORCE",
        ["ucsd", "saopaulo", "moscow1", "moscow2"],
        "3f0a9c12d4e5f607 round 12",
    ),
    ("ward-pilot", "PROPOSED", ["ucsd"], None),
]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Print as for a terminal of 80 columns."""
    size = os.terminal_size((80, 24))
    monkeypatch.setattr(table.shutil, "get_terminal_size", lambda: size)
    monkeypatch.setattr(table, "terminal_columns", lambda: size.columns)


def test_a_table_that_fits_is_a_grid(terminal: None, capsys: pytest.CaptureFixture[str]) -> None:
    print_table("studies", COLUMNS[:2], [row[:2] for row in ROWS])

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "studies"
    assert any("lesions" in line and "IN_FORCE" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_a_table_that_is_too_wide_is_a_block_a_row_without_broken_words(
    terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    print_table("studies", COLUMNS, ROWS)

    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    words = set(text.split())
    assert {"lesions", "IN_FORCE", "ucsd,", "saopaulo,", "moscow2", "3f0a9c12d4e5f607"} <= words
    assert text.count("model in force") == len(ROWS)


def test_markup_in_a_value_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("a [bold]title", ("[red]name",), [("[link=x]value[/link]",)])

    assert "[link=x]value[/link]" in capsys.readouterr().out


def test_nothing_is_folded_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields("facts:", [("policy", "word " * 100)])
    print_table("wide", ("a", "b"), [("x" * 300, "y" * 300)])

    text = capsys.readouterr().out
    assert "word " * 99 in text
    assert "x" * 300 in text


def test_a_word_longer_than_the_line_is_not_broken() -> None:
    assert field_lines([("digest", "3f" * 32)], 40) == [f"  digest  {'3f' * 32}"]


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), ((), "-"), (0, "0"), (["a", "b"], "a, b"), (1.23456, "1.235")]
)
def test_cells_read_well(value: object, text: str) -> None:
    assert cell_text(value) == text
