"""Failures end a command with a sentence, what to do, and a code; results can be piped."""

from __future__ import annotations

import json
from typing import ClassVar

import click
import pytest
from click.testing import CliRunner

from peer_client.cli.main import main
from peer_client.cli.output import CommandGroup, cell_text


class LeakError(Exception):
    """An error with a code of its own."""

    exit_code: ClassVar[int] = 77
    hint = "close the tap"


@click.group(cls=CommandGroup)
def program() -> None:
    """A program."""


@program.command()
@click.argument("kind")
def fail(kind: str) -> None:
    """Fail in some way."""
    raise {"own": LeakError("water everywhere"), "stop": KeyboardInterrupt()}[kind]


def test_an_error_of_ours_is_a_sentence_a_hint_and_a_code() -> None:
    done = CliRunner().invoke(program, ["fail", "own"])

    assert done.exit_code == 77
    assert done.stdout == ""
    assert done.stderr == ("error 77: water everywhere\nClose the tap. See docs/errors/77.md.\n")


def test_an_error_in_a_group_within_a_group_is_told_once() -> None:
    outer = CommandGroup("outer")
    outer.add_command(program, "inner")

    done = CliRunner().invoke(outer, ["inner", "fail", "own"])

    assert done.exit_code == 77
    assert done.stderr.count("error 77") == 1


def test_ctrl_c_ends_with_130_and_says_that_it_goes_on_later() -> None:
    done = CliRunner().invoke(program, ["fail", "stop"])

    assert done.exit_code == 130
    assert "run the same command again to go on" in done.stderr


def test_no_member_named_is_an_error_with_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOSPITAL_MEMBER", raising=False)

    done = CliRunner().invoke(main, ["status"])

    assert done.exit_code == 60
    assert "--member" in done.stderr


def test_parameters_prints_what_scripts_read() -> None:
    arguments = ["study", "parameters", "--hospitals", "4", "--bits", "8"]

    done = CliRunner().invoke(main, [*arguments, "--parameters", "1000000", "--json"])

    found = json.loads(done.stdout)
    assert found["threshold"] == 3
    assert found["fields"] == 5
    assert found["polynomials"] == 49
    assert found["failure_probability"] == 0
    assert found["bytes_per_parameter"] <= 1.75
    assert {"pooling_max", "contributors_min", "plaintext_modulus", "upload_bytes"} <= set(found)


def test_unsafe_parameters_are_refused_with_the_reason() -> None:
    arguments = ["study", "parameters", "--hospitals", "2", "--bits", "8", "--parameters", "10"]

    done = CliRunner().invoke(main, arguments)

    assert done.exit_code == 50
    assert "2 hospitals" in done.stderr


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), ((), "-"), (0, "0"), (["a", "b"], "a, b"), (1.23456, "1.235")]
)
def test_cells_read_well(value: object, text: str) -> None:
    assert cell_text(value) == text
