"""How both programs end: one sentence, what to do, an exit code; with `--json`, one document.

An error of ours has `exit_code` and `hint`. `CommandGroup` turns it into words on stderr and, where
the command was asked for JSON, into one object on stdout with nothing else there:
``{"error": 12, "hint": "...", "message": "...", "page": "docs/errors/12.md"}``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click

from network.runtime.errors import machine_error

_JSON: Final = "network.runtime.json"
INTERRUPTED: Final = 130

C = TypeVar("C", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Failure:
    """What a user is told of an error.

    Attributes:
        code: Exit code of the program.
        message: What happened, one sentence; a refusal by the contract begins with its rule's name.
        hint: What to do.
    """

    code: int
    message: str
    hint: str

    @property
    def page(self) -> str:
        """The page of the exit code."""
        return f"docs/errors/{self.code}.md"

    def text(self, program: str) -> str:
        """Return the words for people.

        >>> print(Failure(12, "the plug is out", "plug it in").text("consortium"))
        error 12: the plug is out
        What to do: plug it in
        More: `consortium explain 12`
        """
        return (
            f"error {self.code}: {self.message}\nWhat to do: {self.hint}\n"
            f"More: `{program} explain {self.code}`"
        )

    def document(self) -> dict[str, Any]:
        """Return the one JSON object for programs."""
        return {
            "error": self.code,
            "message": self.message,
            "hint": self.hint,
            "page": self.page,
        }


def failure_of(error: Exception) -> Failure | None:
    """Return what to tell of an error; None for one that is not ours, which is a fault of ours."""
    if isinstance(error, OSError) and not isinstance(getattr(error, "exit_code", None), int):
        error = machine_error(error)
    code = getattr(error, "exit_code", None)
    if not isinstance(code, int):
        return None
    rule = str(getattr(error, "rule", ""))
    message = str(error)
    if rule and not message.startswith(rule):
        message = f"{rule}: {message}"
    return Failure(code, message, str(getattr(error, "hint", "")).strip())


class CommandGroup(click.Group):
    """A group whose commands end with the exit code of the error that stopped them."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn an error of ours into its sentence, its document and its code."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise  # click's own, also from a group within this one
        except KeyboardInterrupt:
            click.echo("\nstopped; run the same command again to go on", err=True)
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            # The reader of our output has seen enough; what is buffered must not fail at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except Exception as error:
            failure = failure_of(error)
            if failure is None:
                raise
            root = ctx.find_root()
            if root.meta.get(_JSON):
                click.echo(json.dumps(failure.document(), sort_keys=True))
            click.echo(failure.text(root.info_name or "consortium"), err=True)
            ctx.exit(failure.code)


def json_option(command: C) -> C:
    """Give a command `--json`, as the argument `as_json`."""

    def remember(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
        ctx.find_root().meta[_JSON] = ctx.find_root().meta.get(_JSON) or value
        return value

    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        is_eager=True,
        callback=remember,
        help="Print one JSON document for programs, of a failure too.",
    )(command)
