"""Errors of the client have their page and code; tables read well."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from peer_client.cli.main import main


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
