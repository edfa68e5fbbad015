"""`study resume` shows what was opened in vain, asks, and keeps the decision for one parent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result

from peer_client.errors import NotOfStudyError
from tests.support.hospitals import MSPS, MemoryConsortium, played_round, small_study
from tests.support.members import run_as
from tests.support.spoiled_round import spoiled


def run(
    consortium: MemoryConsortium, monkeypatch: pytest.MonkeyPatch, *arguments: str,
    msp: str = MSPS[0], answer: str = "",
) -> Result:  # fmt: skip
    words = ("study", "resume", "small", *arguments)
    return run_as(monkeypatch, consortium, msp, *words, answer=answer)


def test_where_no_sum_was_opened_in_vain_there_is_nothing_to_decide(
    consortium: MemoryConsortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "nothing to decide" in run(consortium, monkeypatch).stdout
    played_round(consortium, 1)

    assert "nothing to decide" in run(consortium, monkeypatch).stdout
    found = json.loads(run(consortium, monkeypatch, "--json").stdout)
    assert found == {"study": "small", "accepted": False}


def test_a_decision_is_asked_for_and_kept(
    consortium: MemoryConsortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        spoiled(consortium, number)
    parent = consortium.study.initial_model_sha256

    refused = run(consortium, monkeypatch, answer="n\n")
    assert refused.exit_code == 130
    assert consortium.store(MSPS[0]).accepted() == {}
    accepted = run(consortium, monkeypatch, answer="y\n")

    assert accepted.exit_code == 0
    assert "takes part in one more sum" in accepted.stdout
    assert consortium.store(MSPS[0]).accepted() == {parent: 2}
    assert consortium.store(MSPS[1]).accepted() == {}
    again = json.loads(run(consortium, monkeypatch, "--yes", "--json", msp=MSPS[1]).stdout)
    assert (again["opened"], again["contributors"], again["accepted"]) == (2, 4, True)


def test_a_member_outside_the_study_decides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = MemoryConsortium(tmp_path, small_study(MSPS[:3]))
    made.agree()

    result = run(made, monkeypatch, msp=MSPS[3])

    assert result.exit_code == NotOfStudyError.exit_code
    made.close()
