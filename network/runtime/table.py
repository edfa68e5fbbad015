"""How both programs print tables and fields for people, as wide as the terminal.

A table that is wider than the terminal is printed as one block for each row, so that no word is
broken. Results go to stdout and progress to stderr; in a pipe nothing is folded.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click

#: Width of a pipe, columns: nothing is folded.
PIPE_COLUMNS: Final = 10_000


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table to stdout, or one block a row where it is wider than the terminal."""
    width = terminal_columns()
    cells = [[cell_text(cell) for cell in row] for row in rows]
    # A border, and one space on both sides of each cell.
    widest = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    needed = 1 + sum(3 + length for length in widest)
    if needed <= width:
        _print_grid(title, columns, cells, width)
        return
    click.echo(title)
    for row in cells:
        click.echo()
        for line in field_lines(list(zip(columns, row, strict=True)), width):
            click.echo(line)


def _print_grid(
    title: str, columns: Sequence[str], cells: Sequence[Sequence[str]], width: int
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(Text(column), no_wrap=True)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    Console(file=sys.stdout, width=width).print(table)


def print_fields(title: str, fields: Sequence[tuple[str, Any]]) -> None:
    """Print names and values below one another."""
    click.echo(title)
    for line in field_lines([(name, cell_text(value)) for name, value in fields]):
        click.echo(line)


def field_lines(fields: Sequence[tuple[str, str]], width: int | None = None) -> list[str]:
    """Return names and values as lines no wider than the terminal; no word is broken.

    >>> field_lines([("a", "1"), ("name", "two words")], 16)
    ['  a     1', '  name  two', '        words']
    """
    width = terminal_columns() if width is None else width
    names = max((len(name) for name, _ in fields), default=0)
    room = max(width - names - 4, 8)
    lines = []
    for name, value in fields:
        parts = textwrap.wrap(value, room, break_long_words=False, break_on_hyphens=False) or [""]
        lines.append(f"  {name:<{names}}  {parts[0]}".rstrip())
        lines += [f"  {'':<{names}}  {part}" for part in parts[1:]]
    return lines


def terminal_columns() -> int:
    """Return the width to print for: the terminal's, or a pipe's."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else PIPE_COLUMNS


def cell_text(value: Any) -> str:
    """Return a value as it stands in a table.

    >>> cell_text(None), cell_text(("a", "b")), cell_text(0.12345)
    ('-', 'a, b', '0.123')
    """
    if value is None or value == ():
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list | tuple):
        return ", ".join(cell_text(each) for each in value)
    return str(value)
