"""How the commands print tables for people, as wide as the terminal.

Results go to stdout and progress to stderr, so that a command can be piped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table to stdout, as wide as the terminal, or as it needs in a pipe."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(cell_text(cell) for cell in row))
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200).print(table)


def print_fields(title: str, fields: Sequence[tuple[str, Any]]) -> None:
    """Print names and values below one another."""
    click.echo(title)
    width = max((len(name) for name, _ in fields), default=0)
    for name, value in fields:
        click.echo(f"  {name:<{width}}  {cell_text(value)}")


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
