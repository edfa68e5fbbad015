"""Judge a model on any folder with an index.csv: one function, part by part, by patient.

It refuses a folder that shares a patient, a picture or a near-identical picture with what the model
was trained or chosen on, and names them; on request it leaves them out instead and counts them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from peer_client.ct.cohort import SliceSet, load_part
from peer_client.ct.fingerprint import NEAR_BITS, nearest
from peer_client.evaluation.figures import PartFigures, part_figures
from peer_client.studies.wording import RESEARCH_USE

if TYPE_CHECKING:
    from peer_client.serving.manifest import TrainingManifest
    from peer_client.serving.predictor import Predictor

#: Told (what is being done, how much of it is done, how much there is).
Told = Callable[[str, int, int], None]
NO_MANIFEST = "the model carries no training manifest: nothing is known about shared patients"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model is worth on a folder.

    Attributes:
        model: Whose model.
        parts: One row a part, in the order of the index.
        left_out: Slices left out because the model has seen them, by part; usually empty.
        notes: What a reader must know.
    """

    model: str
    parts: tuple[PartFigures, ...]
    left_out: dict[str, int]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "model": self.model,
            "parts": [part.to_json() for part in self.parts],
            "left_out": self.left_out,
            "notes": list(self.notes),
            "use": RESEARCH_USE,
        }


def evaluate(
    predictor: Predictor,
    folder: Path,
    part: str | None = None,
    *,
    cache: Path | None = None,
    processes: int = 1,
    leave_out_seen: bool = False,
    seed: int = 0,
    told: Told | None = None,
) -> Evaluation:
    """Judge a model on one part of a data folder, or on each of them.

    Args:
        predictor: The model.
        folder: With an index.csv.
        part: One part, or None for all.
        cache: Folder for normalised slices, or None.
        processes: How many processes read pictures.
        leave_out_seen: Leave out what the model has seen instead of refusing the folder.
        seed: Of the resampling.
        told: Told how far the work is.

    Returns:
        The figures.

    Raises:
        IntakeError: The folder or the part cannot be read.
        SplitLeakError: The folder shares patients or pictures with the model's training.
        EvaluationError: A patient has slices of both labels.
    """

    def progress(what: str) -> Callable[[int, int], None] | None:
        if told is None:
            return None
        return lambda done, total: told(what, done, total)

    parts = load_part(
        folder,
        part,
        size_px=predictor.net.size_px,
        cache=cache,
        processes=processes,
        progress=progress("pictures normalised"),
    )
    left_out: dict[str, int] = {}
    notes = []
    manifest = predictor.manifest
    if manifest is None:
        notes.append(NO_MANIFEST)
    else:
        if leave_out_seen:
            parts, left_out = without_seen(dict(parts), manifest)
        for slices in parts.values():
            manifest.check_apart(slices)
    figures = []
    for name, slices in parts.items():
        reading = predictor.read(slices, progress(f"slices of {name} read"))
        figures.append(part_figures(name, reading, decision=predictor.decision, seed=seed))
    notes += [
        f"{name}: no lungs were found in {missing} of {len(slices)} slices; they count as they are"
        for name, slices in parts.items()
        if (missing := int((~slices.lung_found).sum()))
    ]
    return Evaluation(predictor.name, tuple(figures), left_out, tuple(notes))


def without_seen(
    parts: dict[str, SliceSet], manifest: TrainingManifest
) -> tuple[dict[str, SliceSet], dict[str, int]]:
    """Leave out slices of patients or pictures that the model has seen.

    A patient with one such picture is left out whole.

    Args:
        parts: Slices by part.
        manifest: What the model has seen.

    Returns:
        What is left (parts with nothing left are dropped), and how many slices each part lost.
    """
    kept, lost = {}, {}
    for name, slices in parts.items():
        _, distance = nearest(slices.fingerprints, manifest.fingerprints)
        near = distance <= NEAR_BITS
        seen = {slices.patients[row] for row in np.flatnonzero(near).tolist()}
        seen |= {patient for patient in set(slices.patients) if manifest.knows(patient)}
        rows = np.array([row for row, who in enumerate(slices.patients) if who not in seen], int)
        if len(rows) < len(slices):
            lost[name] = len(slices) - len(rows)
        if len(rows):
            kept[name] = slices.rows(rows)
    return kept, lost
