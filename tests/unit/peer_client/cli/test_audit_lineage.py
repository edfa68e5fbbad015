"""`audit lineage` reads records out of blocks; an answer of the chaincode that differs is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from chaincode.memory_ledger import Simulation
from chaincode.records import keys
from peer_client.audit import recomputation
from peer_client.ledgers.memory import MemoryHospitalLedger
from tests.support.hospitals import MSPS, MemoryConsortium, played_round
from tests.support.members import run_as

Lineage = Callable[..., Result]


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[MemoryConsortium]:
    made = MemoryConsortium(tmp_path)
    made.agree()
    played_round(made)
    yield made
    made.close()


@pytest.fixture
def lineage(monkeypatch: pytest.MonkeyPatch, consortium: MemoryConsortium) -> Lineage:
    def run(*arguments: str) -> Result:
        return run_as(monkeypatch, consortium, MSPS[0], "audit", "lineage", *arguments)

    return run


def test_the_lineage_is_shown_with_what_was_proved_of_the_blocks(lineage: Lineage) -> None:
    shown = lineage("small", "--blocks")
    document = json.loads(lineage("small", "--blocks", "--json").stdout)

    assert shown.exit_code == 0, shown.output
    assert "PUBLISHED" in shown.stdout
    assert "signatures not checked: this ledger has no signatures" in shown.stdout
    assert "NOT COMPLETE" not in shown.stdout
    assert document["complete"] is True
    assert document["chain"]["signed"] is None
    assert [each["state"] for each in document["rounds"]] == ["PUBLISHED"]


def lying(change: Callable[[dict[str, Any]], None]) -> Callable[..., bytes]:
    honest = MemoryHospitalLedger.evaluate

    def evaluate(self: MemoryHospitalLedger, function: str, *args: str) -> bytes:
        answer = honest(self, function, *args)
        if function != "lineage":
            return answer
        found = json.loads(answer)
        change(found)
        return json.dumps(found).encode()

    return evaluate


LIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "model_sha256 of round 1 of small 'f00'": lambda found: found["rounds"][0].update(
        model_sha256="f00"
    ),
    "study_sha256 of small 'f00'": lambda found: found.update(study_sha256="f00"),
    "the rounds of small 0, and the blocks say 1": lambda found: found["rounds"].clear(),
}


@pytest.mark.parametrize("words", LIES)
def test_an_answer_that_contradicts_the_blocks_is_named_and_what_was_proved_is_shown(
    lineage: Lineage, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryHospitalLedger, "evaluate", lying(LIES[words]))
    monkeypatch.setattr(recomputation, "_PAUSE_S", 0.0)

    result = lineage("small")

    assert result.exit_code == 65
    assert f"the own peer's chaincode answers for {words}" in result.stderr
    assert "NOT COMPLETE: this was proved before the error below" in result.stdout
    assert "PUBLISHED" in result.stdout


def test_without_the_comparison_the_lie_changes_nothing_that_is_shown(
    lineage: Lineage, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = json.loads(lineage("small", "--json").stdout)
    monkeypatch.setattr(
        MemoryHospitalLedger, "evaluate", lying(lambda found: found["rounds"].clear())
    )
    monkeypatch.setattr(recomputation, "compare_answer", lambda walked, name: None)

    assert json.loads(lineage("small", "--json").stdout) == honest


def test_a_record_written_over_ends_the_audit_and_what_came_before_is_shown(
    lineage: Lineage, consortium: MemoryConsortium
) -> None:
    rogue = Simulation("c0" * 32, consortium.members[MSPS[0]], int(consortium.clock()), "rogue")
    rogue.writes[keys.aggregate("small", 1)] = b"{}"
    consortium.channel.commit(rogue)
    height = consortium.channel.height

    result = lineage("small", "--json")

    assert result.exit_code == 98
    assert "the aggregate of small 000001 is written over" in result.stderr
    failure = json.loads(result.stdout)
    assert failure["error"] == 98
    document = failure["partial_result"]
    assert document["complete"] is False
    assert document["chain"]["blocks"] == height - 1
    assert document["rounds"][0]["state"] == "PUBLISHED"


def test_a_study_that_nobody_proposed_is_unknown(lineage: Lineage) -> None:
    result = lineage("nowhere")

    assert result.exit_code != 0
    assert result.stdout == ""
    assert "nowhere" in result.stderr
