"""`study parameters` says what a threshold is safe against and what it costs."""

from __future__ import annotations

import json

from click.testing import CliRunner, Result

from chaincode.roundkey.parameters import ParameterError
from peer_client.cli.main import main


def run(*options: str) -> Result:
    base = ["study", "parameters", "--hospitals", "7", "--bits", "8", "--parameters", "278075"]
    return CliRunner().invoke(main, [*base, *options])


def test_the_sentence_is_said_for_the_choice_and_for_every_other_one() -> None:
    lines = run().stdout.splitlines()

    assert any(
        line.split("  ")[-1].strip()
        == "safe against 2 hospitals that cheat, 3 that only pool what they have; 2 may be away"
        for line in lines
        if line.strip().startswith("safety")
    )
    choices = [line for line in lines if line.strip().startswith("T = ")]
    assert [line.split()[2] for line in choices] == ["5", "6", "7"]
    assert choices[-1].endswith("none may be away")


def test_a_larger_threshold_is_a_setting() -> None:
    document = json.loads(run("--threshold", "6", "--json").stdout)

    assert (document["threshold"], document["contributors_min"]) == (6, 6)
    assert (document["cheating_max"], document["pooling_max"], document["away_max"]) == (4, 4, 1)
    assert document["safety"].endswith("1 may be away")
    assert [each["threshold"] for each in document["choices"]] == [5, 6, 7]


def test_a_threshold_below_two_thirds_is_refused() -> None:
    result = run("--threshold", "4")

    assert result.exit_code == ParameterError.exit_code
    assert "7 hospitals need one from 5 to 7" in result.stderr
