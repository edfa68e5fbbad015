"""How the commands print: results to stdout, all else to stderr, errors as one sentence.

With `--json` a command prints one JSON document and nothing else to stdout; without it, tables for
people. Progress never goes to stdout, so that a command can be piped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click


class CommandGroup(click.Group):
    """A group whose commands end with the exit code of the error that stopped them."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn an error of ours into its sentence and code."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise  # click's own, also from a group within this one
        except KeyboardInterrupt:
            click.echo("\nstopped; run the same command again to go on", err=True)
            ctx.exit(130)
        except BrokenPipeError:
            ctx.exit(0)  # the reader of our output has seen enough
        except Exception as error:
            code = getattr(error, "exit_code", None)
            if not isinstance(code, int):
                raise
            click.echo(error_text(error, code), err=True)
            ctx.exit(code)


def error_text(error: Exception, code: int) -> str:
    """Return what a person is told of an error.

    >>> class PlugError(Exception):
    ...     hint = "Plug it in."
    >>> print(error_text(PlugError("the plug is out"), 99))
    error 99: the plug is out
    Plug it in. See docs/errors/99.md.
    """
    hint = str(getattr(error, "hint", "")).strip()
    if hint and hint[-1] not in ".!?":
        hint += "."
    hint = hint[:1].upper() + hint[1:]
    rule = getattr(error, "rule", "")  # a refusal by the chaincode is told with its rule's name
    sentence = f"{rule}: {error}" if rule and not str(error).startswith(rule) else str(error)
    return f"error {code}: {sentence}\n{hint} See docs/errors/{code}.md.".replace("\n ", "\n")


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document for programs."
    )(command)


def print_json(value: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=2, sort_keys=True))


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
