"""What the contract has written once it never writes again, whatever is played."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from chaincode.contract import writing
from chaincode.memory_ledger import MemoryView, Simulation
from chaincode.records import keys
from chaincode.records.errors import RecordExistsError, RoundStateError
from chaincode.records.round import Use
from tests.unit.chaincode.contract.played import MSPS, START_S, Played
from tests.unit.chaincode.contract.test_contract_determinism import all_transactions

CONTRACT = Path(writing.__file__).parent
WRITES = {"put_state", "delete_state", "put_private", "purge_private"}


def test_every_record_of_a_whole_study_is_written_once_but_for_the_rounds_own() -> None:
    history = all_transactions().ledger._history

    kinds = {keys.split(key)[0]: changes for key, changes in history.items()}
    assert {keys.STUDY, keys.JOIN, keys.UPDATE, keys.AGGREGATE, keys.SHARE_SUM} <= set(kinds)
    again = {keys.split(key)[0] for key, changes in history.items() if len(changes) > 1}
    assert again == {keys.ROUND}
    assert not [key for key, changes in history.items() if any(c.is_delete for c in changes)]


def test_one_file_of_the_contract_writes() -> None:
    writers = {
        path.name
        for path in CONTRACT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in WRITES
    }

    assert writers == {"writing.py"}


def view_of(played: Played) -> tuple[MemoryView, Simulation]:
    simulation = Simulation("0" * 64, played.creators[MSPS[0]], START_S, "test")
    return MemoryView(played.ledger, simulation, {}), simulation


def test_one_record_that_exists_keeps_all_from_being_written() -> None:
    played = Played().to_open().join(MSPS[0])
    view, simulation = view_of(played)
    use = Use("lungs", 1, MSPS[0])

    with pytest.raises(RecordExistsError, match="the join of lungs 000001 EastMSP is written"):
        writing.put_new(
            view, {keys.spent("lungs", "ab" * 32): use, keys.join("lungs", 1, MSPS[0]): use}
        )

    assert not simulation.writes


def test_a_round_is_not_opened_over_another() -> None:
    played = Played().to_open()
    view, _ = view_of(played)

    with pytest.raises(RecordExistsError):
        writing.put_round(view, None, played.round())


@pytest.mark.parametrize("state", ["OPEN", "SUMMED", "OPENED", "PUBLISHED", "REJECTED"])
def test_a_round_moves_along_its_table_alone(state: str) -> None:
    played = Played().to_submitting()
    view, simulation = view_of(played)
    record = replace(played.round(), state="SUBMITTING")
    after = replace(record, state=state)

    if state == "SUMMED":
        writing.put_round(view, record, after)
        assert list(simulation.writes) == [keys.round_("lungs", 1)]
        return
    with pytest.raises(RoundStateError, match=f"cannot go from SUBMITTING to {state}"):
        writing.put_round(view, record, after)


def test_a_round_does_not_become_another() -> None:
    played = Played().to_open()
    view, _ = view_of(played)
    record = played.round()

    with pytest.raises(RoundStateError):
        writing.put_round(view, record, replace(record, round=2, state="SUBMITTING"))
