"""Cells made by hand: what a table says of them can be worked out on paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.evidence.cells import Cells, by_patients, key_name
from peer_client.evaluation.readings import Reading

#: Two patients without the finding, two with: an AUC is a number of quarters.
LABELS = (0, 0, 1, 1)
PERFECT, CHANCE, REVERSED = (-2.0, -1.0, 1.0, 2.0), (-1.0, 1.0, -1.0, 1.0), (2.0, 1.0, -1.0, -2.0)
THREE_QUARTERS = (-2.0, 1.0, 0.0, 2.0)
KEY = bytes(range(32))


def write_cell(
    cells: Cells,
    name: str,
    hospital: str,
    logits: Sequence[float],
    *,
    labels: Sequence[int] = LABELS,
    masks: Mapping[str, Sequence[Sequence[int]]] | None = None,
    key: bytes = KEY,
    code: str = "one",
    **facts: Any,
) -> None:
    """Write a cell of a few patients, one slice each, the same on validation and test.

    Args:
        cells: Where cells are kept.
        name: Folder, place and tag, e.g. "short/f0s0/federated".
        hospital: Of the cell.
        logits: Of the patients.
        labels: Of the patients.
        masks: By part, areas of (both, called, true).
        key: Of the patients' names.
        code: Digest of the program.
        facts: What else the cell says.
    """
    masks = masks or {}
    readings = {}
    for part in ("validation", "test", *(each for each in masks if each.startswith("masks of"))):
        areas = np.array(masks.get(part, ()), np.int64).reshape(-1, 3)
        mine = [] if part.startswith("masks of") else list(logits)
        reading = Reading(
            tuple(f"{part}-{number}" for number in range(len(mine))),
            np.array(labels[: len(mine)], np.int64),
            np.array(mine, float),
            np.full(len(mine), 0.01),
            tuple(f"m{number}" for number in range(len(areas))),
            areas,
        )
        readings[part] = by_patients(reading, key, hospital)
    tag = name.rsplit("/", 1)[1]
    known = {"cell": tag, "hospital": hospital, "code": code, "key": key_name(key)}
    cells.write(f"{name}-{hospital}", readings, {**known, **facts})
