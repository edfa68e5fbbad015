"""Cells of the evidence made by hand: what a table says of them can be worked out on paper."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: Two patients without the finding, two with: an AUC is a number of quarters.
LABELS = (0, 0, 1, 1)
PERFECT, CHANCE, REVERSED = (-2.0, -1.0, 1.0, 2.0), (-1.0, 1.0, -1.0, 1.0), (2.0, 1.0, -1.0, -2.0)
THREE_QUARTERS = (-2.0, 1.0, 0.0, 2.0)


def write_cell(
    cache: Path,
    where: str,
    tag: str,
    hospital: str,
    logits: Sequence[float],
    *,
    masks: Mapping[str, Sequence[Sequence[int]]] | None = None,
    code: str = "one",
    **facts: Any,
) -> Path:
    """Write a cell of four patients, one slice each, the same on validation and test.

    Args:
        cache: The cache folder.
        where: Folder and rotation, e.g. "main/r0s0".
        tag: Of the cell.
        hospital: Of the cell.
        logits: Of the four patients.
        masks: By part, areas of (both, called, true).
        code: Digest of the program.
        facts: What else the cell says.
    """
    masks = masks or {}
    readings = {}
    for part in ("validation", "test", *(each for each in masks if each.startswith("masks of"))):
        areas = [list(each) for each in masks.get(part, ())]
        labelled = not part.startswith("masks of")
        readings[part] = {
            "patients": [f"{hospital}-{part}-{n}" for n in range(4)] if labelled else [],
            "labels": list(LABELS) if labelled else [],
            "logits": list(logits) if labelled else [],
            "lesion_share": [0.01] * 4 if labelled else [],
            "mask_patients": [f"m{n}" for n in range(len(areas))],
            "mask_areas": areas,
        }
    path = cache / where / f"{tag}-{hospital}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"cell": tag, "hospital": hospital, "code": code, "readings": readings, **facts}
    path.write_text(json.dumps(document))
    return path
