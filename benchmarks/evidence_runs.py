"""From cells to scores by patient: one run is one rotation and seed at a hospital."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from evidence_parts import HEADLINE_FOLDER

from model.evaluation import PatientScores, auc
from peer_client.evaluation.readings import Reading
from peer_client.evaluation.scores import by_patient, equal_mixture, mixed_scores
from peer_client.serving.choice import LESION_MIXTURE, MIXTURE, candidates_of, choose, with_lesions

MODELS = ("alone", "federated", "adapted")
ENSEMBLE = "alone x 3"
WITH_LESION = "mixture + lesion share"
#: The headline's recipes as they are called beside those of the recommended recipe.
SHORT = {"floor": "floor", "alone": "alone, headline", "served": "served, headline"}
#: Of the other two models of the ensemble; the first is the headline's own.
ENSEMBLE_SEEDS = (1, 2)


@dataclass(frozen=True)
class Run:
    """One rotation and seed at one hospital: scores of each recipe on the same test patients.

    Attributes:
        hospital: Where.
        rotation: Of the patient folds.
        seed: Of weights and draws.
        recipes: Test patients' scores by recipe.
        validation: AUC by validation patient, by recipe.
        dice: Readings with masks by recipe: of the hospital's own test masks where it has some.
        served: The candidate that the rule picks; None where a candidate is missing.
        probability: Test patients' calibrated probabilities under what is served.
        facts: What else a cell says, by recipe.
    """

    hospital: str
    rotation: int
    seed: int
    recipes: Mapping[str, PatientScores]
    validation: Mapping[str, float] = field(default_factory=dict)
    dice: Mapping[str, Reading] = field(default_factory=dict)
    served: str | None = None
    probability: PatientScores | None = None
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One cell as it was kept.

    Attributes:
        readings: By part.
        facts: The rest of the file.
    """

    readings: Mapping[str, Reading]
    facts: Mapping[str, Any]

    @property
    def masks(self) -> Reading | None:
        """Return the reading with masks: the hospital's own, or of the masks of another."""
        return self.readings[self.masks_name] if self.masks_name else None

    @property
    def masks_name(self) -> str | None:
        """Return the part with masks: "test", or "masks of" another hospital; None without."""
        for name, reading in sorted(self.readings.items(), key=lambda item: item[0] != "test"):
            if name != "validation" and len(reading.mask_areas):
                return name
        return None

    @property
    def told(self) -> dict[str, Any]:
        """Return the facts, and whose masks the lesion map is held against."""
        name = self.masks_name
        return {**self.facts, "masks": "own" if name == "test" else name}


def read_cell(path: Path) -> Cell:
    """Return a cell."""
    document = json.loads(path.read_text())
    readings = {name: from_json(value) for name, value in document.pop("readings").items()}
    return Cell(readings, document)


def read_cells(folder: Path, hospital: str) -> dict[str, Cell]:
    """Return the cells of one rotation and seed at a hospital, by tag."""
    end = f"-{hospital}"
    return {
        path.stem.removesuffix(end): read_cell(path) for path in sorted(folder.glob(f"*{end}.json"))
    }


def from_json(value: Mapping[str, Any]) -> Reading:
    """Return a reading as `evidence_cells.as_json` wrote it."""
    return Reading(
        tuple(value["patients"]),
        np.array(value["labels"], np.int64),
        np.array(value["logits"], float),
        np.array(value["lesion_share"], float),
        tuple(value["mask_patients"]),
        np.array(value["mask_areas"], np.int64).reshape(-1, 3),
    )


def rotation_and_seed(folder: Path) -> tuple[int, int]:
    """Return what a folder's name says.

    >>> rotation_and_seed(Path("main/r3s1"))
    (3, 1)
    """
    rotation, seed = folder.name[1:].split("s")
    return int(rotation), int(seed)


def run_of(folder: Path, hospital: str) -> Run | None:
    """Return what was measured of the headline in one rotation and seed; None where nothing was."""
    cells = read_cells(folder, hospital)
    if not cells:
        return None
    rotation, seed = rotation_and_seed(folder)
    validations = {name: cell.readings["validation"] for name, cell in cells.items()}
    tests = {name: cell.readings["test"] for name, cell in cells.items()}
    recipes = {name: by_patient(reading) for name, reading in tests.items()}
    validation = {name: area(by_patient(reading)) for name, reading in validations.items()}
    dice = {name: cell.masks for name, cell in cells.items() if cell.masks is not None}
    served, probability = None, None
    if all(name in cells for name in MODELS):
        mine = {name: validations[name] for name in MODELS}
        choice = choose(mine)
        candidates = candidates_of(with_lesions(mine, choice.mask_member))
        tests = with_lesions(tests, choice.mask_member)
        for name, candidate in (("mixture", MIXTURE), (WITH_LESION, LESION_MIXTURE)):
            recipes[name] = mixed_scores(candidates[candidate], tests)
            validation[name] = choice.auc_validation[candidate]
        served = choice.name
        validation["served"] = choice.auc_validation[served]
        recipes["served"] = mixed_scores(choice.members, tests)
        chances = choice.decision.calibration.probability(recipes["served"].scores)
        probability = replace(recipes["served"], scores=chances)
        if choice.mask_member in dice:
            dice["served"] = dice[choice.mask_member]
    # The other members were trained by the headline's recipe.
    if seed == 0 and "alone" in cells and folder.parent.name == HEADLINE_FOLDER:
        found = ensemble_of(folder.parent.parent, rotation, hospital, cells["alone"])
        if found is not None:
            validation[ENSEMBLE], recipes[ENSEMBLE] = area(found[0]), found[1]
    facts = {name: cell.told for name, cell in cells.items()}
    return Run(hospital, rotation, seed, recipes, validation, dice, served, probability, facts)


def ensemble_of(
    cache: Path, rotation: int, hospital: str, first: Cell
) -> tuple[PatientScores, PatientScores] | None:
    """Return validation and test scores of as many models trained alone as a mixture has.

    Mixed as a hospital mixes: equal parts, each scaled on the validation patients.
    """
    cells = {"alone": first}
    for seed in ENSEMBLE_SEEDS:
        path = cache / "ensemble" / f"r{rotation}s{seed}" / f"alone-{hospital}.json"
        if not path.exists():
            return None
        cells[f"alone, seed {seed}"] = read_cell(path)
    validations = {name: cell.readings["validation"] for name, cell in cells.items()}
    members = equal_mixture(validations, list(cells))
    tests = {name: cell.readings["test"] for name, cell in cells.items()}
    return mixed_scores(members, validations), mixed_scores(members, tests)


def area(scores: PatientScores) -> float:
    """Return the AUC by patient."""
    return auc(scores.labels, scores.scores)


def chances_of(runs: Sequence[Run]) -> list[PatientScores]:
    """Return the served probabilities, every patient once: of each rotation's first seed."""
    first: dict[int, PatientScores] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        if run.probability is not None:
            first.setdefault(run.rotation, run.probability)
    return list(first.values())


def runs_of(
    cache: Path, hospitals: Sequence[str], part: str = HEADLINE_FOLDER
) -> dict[str, list[Run]]:
    """Return what was measured for the headline, or by another recipe, at each hospital."""
    folders = sorted((cache / part).glob("r*s*"))
    return {
        name: [run for folder in folders if (run := run_of(folder, name)) is not None]
        for name in hospitals
    }


def beside_headline(
    runs: Mapping[str, Sequence[Run]], headline: Mapping[str, Sequence[Run]]
) -> dict[str, list[Run]]:
    """Return runs with what the headline has of the same rotation and seed: `SHORT` recipes.

    Args:
        runs: By hospital, by another recipe than the headline's.
        headline: The headline's, by hospital.
    """
    found = {}
    for name, mine in runs.items():
        others = {(run.rotation, run.seed): run for run in headline[name]}
        found[name] = [_with_short(run, others.get((run.rotation, run.seed))) for run in mine]
    return found


def _with_short(run: Run, other: Run | None) -> Run:
    if other is None:
        return run
    recipes, dice = dict(run.recipes), dict(run.dice)
    for recipe in SHORT:
        if recipe in other.recipes:
            recipes[SHORT[recipe]] = other.recipes[recipe]
        if recipe in other.dice:
            dice[SHORT[recipe]] = other.dice[recipe]
    return replace(run, recipes=recipes, dice=dice)


def pairs_of(
    cache: Path, hospital: str, mine: tuple[str, str], other: tuple[str, str] | None
) -> list[Run]:
    """Return the runs of one comparison: recipes "variant" and, where it was made, "baseline".

    Args:
        cache: Where cells lie.
        hospital: Whose test patients.
        mine: Folder and tag of the variant's cells.
        other: Folder and tag of what it is compared with, on the same rotation and seed.
    """
    runs = []
    for folder in sorted((cache / mine[0]).glob("r*s*")):
        path = folder / f"{mine[1]}-{hospital}.json"
        if not path.exists():
            continue
        cells = {"variant": read_cell(path)}
        if other is not None:
            path = cache / other[0] / folder.name / f"{other[1]}-{hospital}.json"
            if path.exists():
                cells["baseline"] = read_cell(path)
        rotation, seed = rotation_and_seed(folder)
        runs.append(
            Run(
                hospital,
                rotation,
                seed,
                {name: by_patient(cell.readings["test"]) for name, cell in cells.items()},
                dice={n: cell.masks for n, cell in cells.items() if cell.masks is not None},
                facts={name: cell.told for name, cell in cells.items()},
            )
        )
    return runs
