"""A report says what the ledger says, and never without what it is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from peer_client.reports.report import (
    MaskPicture,
    RoundRow,
    served_cells,
    table_cells,
    write_report,
)
from peer_client.studies.wording import RESEARCH_USE

ROWS = [
    RoundRow(
        number,
        "PUBLISHED",
        ("AMSP", "BMSP"),
        (1, 2),
        {"train": 2.0},
        2048,
        4096,
        {"AMSP": {"auc_after": 0.5 + number / 10, "dice_after": 0.25}, "BMSP": {"auc_after": 0.6}},
    )
    for number in (1, 2)
]


def test_a_report_has_a_table_pictures_and_its_warning(tmp_path: Path) -> None:
    picture = MaskPicture(
        "p", np.zeros((8, 8), np.float32), np.eye(8, dtype=np.float32), np.eye(8, dtype=np.uint8)
    )

    page = write_report(tmp_path, "A study", ROWS, masks=[picture], closing=["Next: sleep."])

    text = page.read_text()
    assert RESEARCH_USE in text
    assert "| 1 | PUBLISHED | all 2 | 1, 2 | 2.0 | 2 | 4 | 0.60 / Dice 0.25 | 0.60 |" in text
    assert text.rstrip().endswith("Next: sleep.")
    for name in ("learning_curves.png", "masks.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert len(json.loads((tmp_path / "report.json").read_text())["rounds"]) == 2


def test_a_phase_nobody_did_has_no_column() -> None:
    head, _ = table_cells(ROWS)

    assert "train s" in head
    assert "seal s" not in head


def test_a_hospital_with_too_few_patients_shows_its_vote_and_no_figure() -> None:
    silent = RoundRow(1, "PUBLISHED", ("AMSP",), (1, 2), metrics={"AMSP": {}}, votes={"AMSP": 1})

    assert table_cells([silent])[1][0][-1] == "voted for"
    assert served_cells([silent])[1][0][2].startswith("not told: fewer than 10")
