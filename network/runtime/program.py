"""A program of commands: how it ends, whatever ends it.

`Program` is the click group that `consortium` and `hospital-client` are. Results go to stdout; an
error goes to stderr as a sentence, what to do and its page, and ends the program with its exit
code. Where `--json` was asked for, stdout holds one JSON document and nothing else, also of a
failure.

| ended by | exit code |
| --- | --- |
| an error of ours | its own |
| a wrong command line | 2 |
| Ctrl-C, or a question that was not answered with yes | 130 |
| SIGTERM, SIGHUP | 143, 129 |
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Final, NoReturn, TypeVar

import click
from click.shell_completion import get_completion_class

from network.runtime.failures import Failure, failure_of
from network.runtime.shipped import shipped

INTERRUPTED: Final = 128 + signal.SIGINT
STOPPED: Final = "stopped; give the same command again to go on"

C = TypeVar("C", bound=Callable[..., Any])


class Program(click.Group):
    """The group of all commands of a program."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command and end the process; in no other mode than standalone."""
        arguments = list(sys.argv[1:] if args is None else args)
        as_json = "--json" in arguments
        try:
            found = super().main(arguments, prog_name, complete_var, standalone_mode=False, **extra)
        except click.ClickException as error:
            error.show()
            message = error.format_message()
            _end(Failure(error.exit_code, message, "read the command's --help"), as_json)
        except _StoppedError as stopped:
            click.echo(f"\n{stopped}: {STOPPED}", err=True)
            _end(Failure(stopped.code, f"stopped by {stopped}", STOPPED), as_json)
        except (click.Abort, KeyboardInterrupt):
            click.echo(f"\n{STOPPED}", err=True)
            _end(Failure(INTERRUPTED, "stopped", STOPPED), as_json)
        except Exception as error:
            failure = failure_of(error)
            click.echo(failure.text(), err=True)
            _end(failure, as_json)
        sys.exit(found if isinstance(found, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader of the output that has seen enough is no error."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # What is buffered still must not fail when the process ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)


def _end(failure: Failure, as_json: bool) -> NoReturn:
    if as_json:
        click.echo(json.dumps(failure.document(), indent=2, sort_keys=True))
    sys.exit(failure.code)


def stop_on_signals() -> None:
    """Let SIGTERM and SIGHUP end the program as Ctrl-C does, with all that must be cleaned up."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)


class _StoppedError(BaseException):
    """A signal asked the program to end; no handler of ordinary errors keeps it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


def _stop(number: int, _: FrameType | None) -> NoReturn:
    raise _StoppedError(number)


def json_option(command: C) -> C:
    """Give a command `--json`, as the argument `as_json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document, of a failure too."
    )(command)


def print_json(value: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=2, sort_keys=True))


@click.command()
@click.argument("code", type=int)
@json_option
def explain(code: int, as_json: bool) -> None:
    """Print the page of an exit code: what happened, what to do, an example."""
    page = shipped(f"docs/errors/{code}.md")
    if not page.exists():
        raise click.UsageError(f"{code} is no exit code of these programs with a page of its own")
    text = page.read_text()
    if as_json:
        print_json({"code": code, "page": text})
    else:
        click.echo(text)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "fish", "zsh"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete this program's commands (docs/completion.md)."""
    root = context.find_root()
    name = root.info_name or "consortium"
    kind = get_completion_class(shell)
    if kind is None:  # click knows each of the choices
        raise click.UsageError(f"no completion for {shell}")
    variable = f"_{name.replace('-', '_').upper()}_COMPLETE"
    click.echo(kind(root.command, {}, name, variable).source())
