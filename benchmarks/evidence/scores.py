"""From cells to figures with intervals: paired by patient, averaged over folds, never pooled.

One run is one fold and seed at a hospital. Scores of different folds come from different networks,
so AUCs are averaged over folds and seeds. Intervals draw patients with replacement inside each
hospital, fold and class, the same draws for every recipe and seed, so that differences are paired.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.cells import Cell, CellError, Cells
from benchmarks.evidence.plan import SHORT_FOLDER, cell_name
from model.evaluation import PatientScores, auc
from peer_client.evaluation.figures import dice_figures
from peer_client.evaluation.readings import Reading
from peer_client.evaluation.scores import by_patient, equal_mixture, mixed_scores
from peer_client.serving.choice import (
    ADAPTED,
    ALONE,
    FEDERATED,
    LESION_MIXTURE,
    MIXTURE,
    candidates_of,
    choose,
    with_lesions,
)

Floats = NDArray[np.float64]
#: Cells' tags, and what `peer_client.serving.choice` calls these models.
MODELS: Final = {"local-only": ALONE, "federated": FEDERATED, "fine-tuned": ADAPTED}
#: Models of the choice in the words of the tables.
IN_WORDS: Final = {
    **{theirs: ours for ours, theirs in MODELS.items()},
    MIXTURE: "ensemble",
    LESION_MIXTURE: "ensemble + lesion share",
}
LOCAL_ENSEMBLE: Final = "local-only x 3"
#: The short recipe's models as they are called beside those of the recommended recipe.
BESIDE: Final = {
    "baseline": "baseline",
    "local-only": "local-only, short",
    "served": "served, short",
}
#: Of the other two models of the local ensemble; the first is the short recipe's own.
ENSEMBLE_SEEDS: Final = (1, 2)
#: Draws behind an interval.
DRAWS: Final = 4000


@dataclass(frozen=True)
class Run:
    """One fold and seed at one hospital: scores of each recipe on the same test patients.

    Attributes:
        hospital: Where.
        fold: Of the cross-validation.
        seed: Of weights and draws.
        recipes: Test patients' scores by recipe.
        validation: AUC by validation patient, by recipe.
        dice: Readings with masks by recipe: of the hospital's own test masks where it has some.
        served: The candidate that the rule picks, in words; None where a candidate is missing.
        probability: Test patients' calibrated probabilities under what is served.
        facts: What else a cell says, by recipe.

    Raises:
        CellError: The recipes are of different patients.
    """

    hospital: str
    fold: int
    seed: int
    recipes: Mapping[str, PatientScores]
    validation: Mapping[str, float] = field(default_factory=dict)
    dice: Mapping[str, Reading] = field(default_factory=dict)
    served: str | None = None
    probability: PatientScores | None = None
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len({scores.patients for scores in self.recipes.values()}) > 1:
            raise CellError(
                f"cells of {self.hospital}, fold {self.fold}, seed {self.seed} are of different "
                "patients, or their names were hashed with different keys (--key)"
            )

    @property
    def name(self) -> str:
        """Return fold and seed as the folders are called."""
        return f"f{self.fold}s{self.seed}"


def fold_and_seed(place: str) -> tuple[int, int]:
    """Return what a folder's name says.

    >>> fold_and_seed("f3s1")
    (3, 1)
    """
    fold, seed = place[1:].split("s")
    return int(fold), int(seed)


def run_of(cells: Cells, folder: str, place: str, hospital: str) -> Run | None:
    """Return what one fold and seed has of a recipe's models; None where it has nothing."""
    found = {
        tag: cell
        for tag in cells.tags(folder, place, hospital)
        if (cell := cells.read(cell_name(folder, place, tag, hospital))) is not None
    }
    if not found:
        return None
    fold, seed = fold_and_seed(place)
    validations = {tag: cell.readings["validation"] for tag, cell in found.items()}
    tests = {tag: cell.readings["test"] for tag, cell in found.items()}
    recipes = {tag: by_patient(reading) for tag, reading in tests.items()}
    validation = {tag: area(by_patient(reading)) for tag, reading in validations.items()}
    dice = {tag: cell.masks for tag, cell in found.items() if cell.masks is not None}
    served, probability = None, None
    if all(tag in found for tag in MODELS):
        mine = {MODELS[tag]: validations[tag] for tag in MODELS}
        choice = choose(mine)
        candidates = candidates_of(with_lesions(mine, choice.mask_member))
        theirs = with_lesions({MODELS[tag]: tests[tag] for tag in MODELS}, choice.mask_member)
        for candidate in (MIXTURE, LESION_MIXTURE):
            recipes[IN_WORDS[candidate]] = mixed_scores(candidates[candidate], theirs)
            validation[IN_WORDS[candidate]] = choice.auc_validation[candidate]
        served = IN_WORDS[choice.name]
        validation["served"] = choice.auc_validation[choice.name]
        recipes["served"] = mixed_scores(choice.members, theirs)
        chances = choice.decision.calibration.probability(recipes["served"].scores)
        probability = replace(recipes["served"], scores=chances)
        mask_member = IN_WORDS[choice.mask_member]
        if mask_member in dice:
            dice["served"] = dice[mask_member]
    # The other members were trained by the short recipe.
    if seed == 0 and "local-only" in found and folder == SHORT_FOLDER:
        ensemble = local_ensemble(cells, fold, hospital, found["local-only"])
        if ensemble is not None:
            validation[LOCAL_ENSEMBLE] = area(ensemble[0])
            recipes[LOCAL_ENSEMBLE] = ensemble[1]
    facts = {tag: cell.known for tag, cell in found.items()}
    return Run(hospital, fold, seed, recipes, validation, dice, served, probability, facts)


def local_ensemble(
    cells: Cells, fold: int, hospital: str, first: Cell
) -> tuple[PatientScores, PatientScores] | None:
    """Return validation and test scores of as many local-only models as an ensemble has.

    Mixed as a hospital mixes: equal parts, each scaled on the validation patients.
    """
    members = {"local-only": first}
    for seed in ENSEMBLE_SEEDS:
        cell = cells.read(cell_name("ensemble", f"f{fold}s{seed}", "local-only", hospital))
        if cell is None:
            return None
        members[f"local-only, seed {seed}"] = cell
    validations = {name: cell.readings["validation"] for name, cell in members.items()}
    mixture = equal_mixture(validations, list(members))
    tests = {name: cell.readings["test"] for name, cell in members.items()}
    return mixed_scores(mixture, validations), mixed_scores(mixture, tests)


def area(scores: PatientScores) -> float:
    """Return the AUC by patient."""
    return auc(scores.labels, scores.scores)


def chances_of(runs: Sequence[Run]) -> list[PatientScores]:
    """Return the served probabilities, every patient once: of each fold's first seed."""
    first: dict[int, PatientScores] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        if run.probability is not None:
            first.setdefault(run.fold, run.probability)
    return list(first.values())


def runs_of(
    cells: Cells, hospitals: Sequence[str], folder: str = SHORT_FOLDER
) -> dict[str, list[Run]]:
    """Return what was measured by the short recipe, or by another one, at each hospital."""
    places = cells.places(folder)
    return {
        name: [run for place in places if (run := run_of(cells, folder, place, name)) is not None]
        for name in hospitals
    }


def beside_short(
    runs: Mapping[str, Sequence[Run]], short: Mapping[str, Sequence[Run]]
) -> dict[str, list[Run]]:
    """Return runs with what the short recipe has of the same fold and seed, named as `BESIDE` does.

    Args:
        runs: By hospital, by another recipe than the short one.
        short: The short recipe's, by hospital.
    """
    found = {}
    for name, mine in runs.items():
        others = {(run.fold, run.seed): run for run in short[name]}
        found[name] = [_beside(run, others.get((run.fold, run.seed))) for run in mine]
    return found


def _beside(run: Run, other: Run | None) -> Run:
    if other is None:
        return run
    recipes, dice = dict(run.recipes), dict(run.dice)
    for recipe, name in BESIDE.items():
        if recipe in other.recipes:
            recipes[name] = other.recipes[recipe]
        if recipe in other.dice:
            dice[name] = other.dice[recipe]
    return replace(run, recipes=recipes, dice=dice)


def pairs_of(
    cells: Cells, hospital: str, mine: tuple[str, str], other: tuple[str, str] | None
) -> list[Run]:
    """Return the runs of one comparison: recipes "variant" and, where it was made, "baseline".

    Args:
        cells: All cells.
        hospital: Whose test patients.
        mine: Folder and tag of the variant's cells.
        other: Folder and tag of what it is compared with, of the same fold and seed.
    """
    runs = []
    for place in cells.places(mine[0]):
        variant = cells.read(cell_name(mine[0], place, mine[1], hospital))
        if variant is None:
            continue
        found = {"variant": variant}
        if other is not None:
            baseline = cells.read(cell_name(other[0], place, other[1], hospital))
            if baseline is not None:
                found["baseline"] = baseline
        fold, seed = fold_and_seed(place)
        runs.append(
            Run(
                hospital,
                fold,
                seed,
                {name: by_patient(cell.readings["test"]) for name, cell in found.items()},
                dice={n: cell.masks for n, cell in found.items() if cell.masks is not None},
                facts={name: cell.known for name, cell in found.items()},
            )
        )
    return runs


def summary(
    runs: Sequence[Run], recipe: str, baseline: str = "local-only"
) -> dict[str, Any] | None:
    """Return mean AUC over runs, its interval, and the paired gain over a baseline.

    The keys that begin with an underscore hold the draws, for means over hospitals.
    """
    having = [run for run in runs if recipe in run.recipes]
    if not having:
        return None
    value, low, high, draws = resampled(having, recipe, None)
    row: dict[str, Any] = {
        "runs": len(having),
        "folds": len({run.fold for run in having}),
        "patients": sum(
            len(run.recipes[recipe].labels) for run in {run.fold: run for run in having}.values()
        ),
        "auc": value,
        "low": low,
        "high": high,
        "by_run": {run.name: area(run.recipes[recipe]) for run in having},
        "_auc_draws": draws,
    }
    gain = difference(having, recipe, baseline)
    if gain is not None:
        row |= {
            "gain": gain["value"],
            "gain_low": gain["low"],
            "gain_high": gain["high"],
            "paired_runs": gain["runs"],
            "_draws": gain["_draws"],
        }
    return row


def difference(runs: Sequence[Run], recipe: str, baseline: str) -> dict[str, Any] | None:
    """Return AUC(recipe) - AUC(baseline) over the runs that have both; None where none has."""
    paired = [run for run in runs if recipe in run.recipes and baseline in run.recipes]
    if not paired or recipe == baseline:
        return None
    value, low, high, draws = resampled(paired, recipe, baseline)
    return {
        "runs": len(paired),
        "folds": len({run.fold for run in paired}),
        "value": value,
        "low": low,
        "high": high,
        "_draws": draws,
    }


def mean_of(rows: Sequence[Mapping[str, Any]], value: str, draws: str) -> dict[str, Any]:
    """Return the mean over hospitals with its interval, from rows with draws.

    Args:
        rows: One for each hospital.
        value: Key of the figure.
        draws: Key of its draws.
    """
    low, high = np.percentile(np.mean([row[draws] for row in rows], axis=0), [2.5, 97.5])
    mean = float(np.mean([row[value] for row in rows]))
    return {"value": mean, "low": float(low), "high": float(high)}


def resampled(
    runs: Sequence[Run], recipe: str, baseline: str | None
) -> tuple[float, float, float, Floats]:
    """Return the mean over runs with its interval, patients drawn inside fold and class."""
    total, draws = 0.0, np.zeros(DRAWS)
    by_fold: dict[int, list[Floats]] = {}
    patients: dict[int, tuple[str, ...]] = {}
    for run in runs:
        matrix = above(run.recipes[recipe])
        if baseline is not None:
            matrix = matrix - above(run.recipes[baseline])
        patients.setdefault(run.fold, run.recipes[recipe].patients)
        if patients[run.fold] != run.recipes[recipe].patients:
            raise CellError(f"runs of {run.hospital}, fold {run.fold}, are of different patients")
        by_fold.setdefault(run.fold, []).append(matrix)
        total += float(matrix.mean()) / len(runs)
    # Hospitals draw independently of each other, recipes at one hospital alike.
    hospital = zlib.crc32(runs[0].hospital.encode())
    for fold, matrices in sorted(by_fold.items()):
        matrix = np.mean(matrices, axis=0)
        rng = np.random.default_rng([hospital, 1000 + fold])
        rows = rng.multinomial(len(matrix), np.full(len(matrix), 1 / len(matrix)), DRAWS)
        width = matrix.shape[1]
        columns = rng.multinomial(width, np.full(width, 1 / width), DRAWS)
        drawn = ((rows @ matrix) * columns).sum(1) / matrix.size
        draws += drawn * len(matrices) / len(runs)
    low, high = np.percentile(draws, [2.5, 97.5])
    return total, float(low), float(high), draws


def above(scores: PatientScores) -> Floats:
    """Say for each pair of a positive and a negative patient whether the former scores higher."""
    positive = scores.scores[scores.labels == 1][:, None]
    negative = scores.scores[scores.labels == 0][None, :]
    pairs: Floats = (positive > negative) + 0.5 * (positive == negative)
    return pairs


def dice_summary(
    runs: Sequence[Run], recipe: str, baseline: str = "local-only"
) -> dict[str, Any] | None:
    """Return Dice over the test masks of all runs, and the gain by patient over a baseline."""
    having = [run for run in runs if recipe in run.dice]
    if not having:
        return None
    areas = np.concatenate([run.dice[recipe].mask_areas for run in having])
    joined = Reading((), np.zeros(0, np.int64), np.zeros(0), np.zeros(0), ("",) * len(areas), areas)
    patients = {name for run in having for name in run.dice[recipe].mask_patients}
    figures = dice_figures(joined)
    if figures["dice_mean"] is None:
        return None
    row: dict[str, Any] = {
        "runs": len(having),
        "folds": len({run.fold for run in having}),
        "patients": len(patients),
        **figures,
    }
    gains: dict[str, list[float]] = {}
    for run in having if recipe != baseline else ():
        if baseline not in run.dice:
            continue
        one, other = run.dice[recipe], run.dice[baseline]
        if (one.mask_areas[:, 2] != other.mask_areas[:, 2]).any():
            raise CellError(f"masks of {run.hospital}, fold {run.fold}, are not the same")
        for who, mine, its in zip(one.mask_patients, one.mask_areas, other.mask_areas, strict=True):
            if mine[2]:
                pair = [2 * each[0] / (each[1] + each[2]) for each in (mine, its)]
                gains.setdefault(who, []).append(pair[0] - pair[1])
    if gains:
        each = np.array([np.mean(values) for values in gains.values()])
        drawn = np.random.default_rng(5).choice(each, (DRAWS, len(each))).mean(1)
        low, high = np.percentile(drawn, [2.5, 97.5])
        row |= {"gain": float(each.mean()), "gain_low": float(low), "gain_high": float(high)}
    return row


def public(value: Any) -> Any:
    """Return a figure without its draws."""
    if isinstance(value, dict):
        return {k: public(v) for k, v in value.items() if not str(k).startswith("_")}
    if isinstance(value, list | tuple):
        return [public(each) for each in value]
    return value
