"""The table of rules: the rows, and the changes that many of them make."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chaincode.records.canonical import Record
from tests.unit.chaincode.played import MSPS, Played, make_study

EAST, NORTH, SOUTH, WEST = MSPS
Row = Callable[[], object]
ROWS: list[tuple[str, str, Row]] = []


def row(expected: str, change: str) -> Callable[[Row], Row]:
    """Add a row to the table."""

    def add(play: Row) -> Row:
        ROWS.append((expected, change, play))
        return play

    return add


def changed(record: Record, **changes: Any) -> bytes:
    """Return a record's JSON with some fields changed."""
    return json.dumps(json.loads(record.to_bytes()) | changes).encode()


def propose(**changes: Any) -> object:
    """Propose a study with some terms changed."""
    study = replace(make_study(), **changes)
    return Played().submit(EAST, "propose_study", study.to_bytes())
