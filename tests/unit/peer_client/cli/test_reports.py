"""`report` says what a study's sums are safe against, in the sentence that stands everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hospitals import MSPS, MemoryConsortium, played_round
from tests.support.members import run_as

SENTENCE = "safe against 1 hospital that cheats, 1 that only pools what it has; 1 may be away"


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[MemoryConsortium]:
    made = MemoryConsortium(tmp_path)
    made.agree()
    played_round(made)
    yield made
    made.close()


def test_a_report_and_status_say_the_sentence(
    consortium: MemoryConsortium, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    output = tmp_path / "report"

    report = run_as(monkeypatch, consortium, MSPS[0], "report", "small", "--output", str(output))
    document = run_as(
        monkeypatch, consortium, MSPS[0], "report", "small", "--output", str(output), "--json"
    )
    status = run_as(monkeypatch, consortium, MSPS[0], "status")

    assert report.exit_code == status.exit_code == 0, report.output + status.output
    for text in (report.stdout, (output / "report.md").read_text(), status.stdout):
        assert SENTENCE in text
    assert json.loads(document.stdout)["safety"] == SENTENCE
    assert "accepted   the channel as it is" in status.stdout


def test_status_names_a_channel_that_has_changed(
    consortium: MemoryConsortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = dict(consortium.channel.facts) | {"chaincode": "other"}
    consortium.channel.facts = tuple(sorted(facts.items()))

    shown = run_as(monkeypatch, consortium, MSPS[0], "status")
    document = json.loads(run_as(monkeypatch, consortium, MSPS[0], "status", "--json").stdout)

    assert "the channel has changed (1): see `hospital-client channel show`" in shown.stdout
    assert document["channel_changes"] == ["chaincode was absent, is other"]
    assert document["studies"][0]["approved_here"] is True
