"""A program ends with a sentence, what to do and a code, whatever ends it; `--json` is JSON."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import click
import pytest
from click.testing import CliRunner, Result

from network.runtime.failures import failure_of
from network.runtime.program import Program, json_option, print_json

ROOT = Path(__file__).parents[4]


class LeakError(Exception):
    """An error with a code of its own."""

    exit_code: ClassVar[int] = 77
    hint = "close the tap"


class RefusedError(Exception):
    """A refusal by a rule."""

    exit_code: ClassVar[int] = 39
    hint = "Ask again."
    rule = "DeadlineError"


class FaultError(Exception):
    """A fault of the program."""


@click.group(cls=Program)
def program() -> None:
    """A program."""


@program.group()
def inner() -> None:
    """A group within it."""


ERRORS: dict[str, BaseException] = {
    "own": LeakError("water everywhere"),
    "rule": RefusedError("too late"),
    "full": OSError(errno.ENOSPC, "No space left on device", "/data/model"),
    "folder": IsADirectoryError(errno.EISDIR, "Is a directory", "/data"),
    "stop": KeyboardInterrupt(),
    "fault": FaultError("a mistake"),
}


@inner.command()
@click.argument("kind", type=click.Choice(sorted(ERRORS)))
@json_option
def fail(kind: str, as_json: bool) -> None:
    """Fail in some way."""
    click.echo("on the way", err=True)
    raise ERRORS[kind]


@inner.command()
@json_option
def ask(as_json: bool) -> None:
    """Ask before it does anything."""
    click.confirm("Really?", abort=True, err=True)
    print_json({"done": True})


def run(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(program, ["inner", *arguments], input=typed)


def test_an_error_of_ours_is_a_sentence_what_to_do_and_a_code() -> None:
    done = run("fail", "own")

    assert done.exit_code == 77
    assert done.stdout == ""
    assert done.stderr == (
        "on the way\n"
        "error 77: water everywhere\nWhat to do: close the tap.\n"
        "More: `consortium explain 77` (docs/errors/77.md)\n"
    )


def test_a_refusal_by_a_rule_begins_with_the_rules_name() -> None:
    assert "error 39: DeadlineError: too late\n" in run("fail", "rule").stderr


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("own", 77, "water everywhere"),
        ("rule", 39, "DeadlineError: too late"),
        ("full", 95, "/data/model: No space left on device"),
        ("folder", 96, "/data: Is a directory"),
        ("stop", 130, "stopped"),
    ],
)
def test_every_failure_is_one_json_document_on_stdout(kind: str, code: int, words: str) -> None:
    done = run("fail", kind, "--json")

    assert done.exit_code == code
    found = json.loads(done.stdout)
    assert sorted(found) == ["error", "hint", "message", "page"]
    assert (found["error"], found["message"]) == (code, words)
    page = f"docs/errors/{code}.md"
    assert found["page"] == (page if (ROOT / page).exists() else "docs/errors/index.md")
    assert found["hint"]


def test_a_wrong_command_line_is_json_too() -> None:
    done = run("fail", "nothing-of-the-kind", "--json")

    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"] == 2
    assert "Usage:" in done.stderr


def test_a_question_that_is_not_answered_with_yes_does_nothing_and_has_a_code() -> None:
    for typed in ("n\n", ""):
        done = run("ask", "--json", typed=typed)
        assert done.exit_code == 130
        assert json.loads(done.stdout)["error"] == 130
    assert json.loads(run("ask", "--json", typed="y\n").stdout) == {"done": True}


def test_a_fault_of_the_program_is_not_dressed_as_an_error_of_the_user() -> None:
    assert isinstance(run("fail", "fault").exception, FaultError)


SLEEPER = """
import time, click
from network.runtime.program import Program, stop_on_signals
@click.group(cls=Program)
def program(): stop_on_signals()
@program.command()
@click.option("--json", is_flag=True)
def wait(json):
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaned up", flush=True)
@program.command()
def many():
    for number in range(100_000): print(number)
program()
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_clean_up_and_have_a_sentence_and_a_code(number: int, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER, "wait", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
        # Started in the background, a shell lets its programs ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        stdout, stderr = child.communicate(timeout=20)

    assert child.returncode == code
    cleaned, document = stdout.split("\n", 1)
    assert cleaned == "cleaned up"
    assert json.loads(document)["error"] == code
    assert "give the same command again" in stderr
    assert "Traceback" not in stderr


def test_a_reader_that_has_seen_enough_leaves_no_traceback() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER, "many"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == b"0\n"
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(timeout=20) == 0


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a"), "typing mistake"),
        (PermissionError(errno.EACCES, "Permission denied", "a"), "permission"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "a"), "name a file"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "a"), "name a folder"),
        (OSError(errno.EIO, "Input/output error", "a"), "check the path"),
        (OSError(errno.ENOSPC, "No space left on device", "a"), "free some space"),
    ],
)
def test_each_error_with_a_file_has_its_own_advice(error: OSError, advice: str) -> None:
    assert advice in failure_of(error).hint
