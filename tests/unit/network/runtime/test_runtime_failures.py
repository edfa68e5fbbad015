import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from network.runtime.failures import CommandGroup, json_option


class PlugError(Exception):
    exit_code = 99
    hint = "plug it in"


@click.group(cls=CommandGroup, name="program")
def program() -> None: ...


@program.group(cls=CommandGroup)
def within() -> None: ...


@program.command()
@json_option
@click.argument("what")
def fail(as_json: bool, what: str) -> None:
    match what:
        case "ours":
            raise PlugError("the plug is out")
        case "folder":
            Path("/").read_bytes()
        case "full":
            raise OSError(28, "No space left on device", "/data")
        case _:
            raise ZeroDivisionError


within.add_command(fail)


@pytest.mark.parametrize("path", [["fail"], ["within", "fail"]])
def test_a_failure_is_one_document_on_stdout_and_words_on_stderr(path: list[str]) -> None:
    found = CliRunner().invoke(program, [*path, "--json", "ours"])
    assert found.exit_code == 99
    assert json.loads(found.stdout) == {
        "error": 99,
        "hint": "plug it in",
        "message": "the plug is out",
        "page": "docs/errors/99.md",
    }
    assert found.stderr.splitlines() == [
        "error 99: the plug is out",
        "What to do: plug it in",
        "More: `program explain 99`",
    ]


def test_without_json_nothing_is_on_stdout() -> None:
    assert CliRunner().invoke(program, ["fail", "ours"]).stdout == ""


def test_only_a_full_disk_is_called_a_full_disk() -> None:
    assert CliRunner().invoke(program, ["fail", "full"]).exit_code == 10
    found = CliRunner().invoke(program, ["fail", "folder"])
    assert found.exit_code == 114
    assert "Is a directory" in found.stderr
    assert "free some space" not in found.stderr


def test_a_fault_of_ours_is_not_dressed_up_as_a_users() -> None:
    assert isinstance(CliRunner().invoke(program, ["fail", "?"]).exception, ZeroDivisionError)
