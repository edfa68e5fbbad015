"""From the evidence's cells to figures with intervals, and to the tables of docs/evidence.md.

Per hospital, per rotation of the patient folds, per recipe. Scores of different rotations come from
different networks and are never pooled; AUCs are averaged over rotations and seeds, and intervals
draw patients with replacement inside each rotation and class, the same draws for every recipe and
seed, so that differences are paired.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from model.evaluation import PatientScores, auc, constant_brier
from peer_client.evaluation.figures import dice_figures
from peer_client.evaluation.readings import LEAST_SHARE, Reading
from peer_client.personal.choice import candidates_of, decided
from peer_client.personal.scores import by_patient, equal_mixture, mixed_scores

MODELS = ("alone", "federated", "adapted")
DRAWS = 4000


@dataclass(frozen=True)
class Run:
    """One rotation and seed at one hospital: scores of each recipe on the same test patients."""

    rotation: int
    seed: int
    recipes: Mapping[str, PatientScores]
    validation: Mapping[str, float]
    dice: Mapping[str, Reading]
    served: str | None


def read_cells(folder: Path, hospital: str) -> dict[str, dict[str, Reading]]:
    """Return the readings of one rotation and seed: by model, then by part."""
    found = {}
    for path in sorted(folder.glob(f"*-{hospital}.json")):
        document = json.loads(path.read_text())
        found[path.stem.removesuffix(f"-{hospital}")] = {
            name: from_json(value) for name, value in document["readings"].items()
        }
    return found


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


def run_of(folder: Path, hospital: str) -> Run | None:
    """Return what was measured in one rotation and seed; None where nothing was."""
    cells = read_cells(folder, hospital)
    if not cells:
        return None
    rotation, seed = (int(part) for part in folder.name[1:].split("s"))
    recipes = {name: by_patient(parts["test"]) for name, parts in cells.items()}
    validation = {
        name: auc(scores.labels, scores.scores)
        for name, parts in cells.items()
        for scores in [by_patient(parts["validation"])]
    }
    served = None
    present = [name for name in MODELS if name in cells]
    if "alone" in present and len(present) > 1:
        mine = {name: cells[name]["validation"] for name in present}
        tests = {name: cells[name]["test"] for name in present}
        candidates = candidates_of(mine)
        found = {
            name: auc(scores.labels, scores.scores)
            for name, members in candidates.items()
            for scores in [mixed_scores(members, mine)]
        }
        validation["mixture"] = found["mixture"]
        recipes["mixture"] = mixed_scores(candidates["mixture"], tests)
        lesion = {**mine, "lesion": by_lesion(mine[present[-1]])}
        with_lesion = equal_mixture(lesion, [*present, "lesion"])
        recipes["mixture + lesion share"] = mixed_scores(
            with_lesion, {**tests, "lesion": by_lesion(tests[present[-1]])}
        )
        scores = mixed_scores(with_lesion, lesion)
        validation["mixture + lesion share"] = auc(scores.labels, scores.scores)
        if len(present) == len(MODELS):
            served = decided(found)
            recipes["served"] = mixed_scores(candidates[served], tests)
    dice = {
        name: part
        for name, parts in cells.items()
        for key, part in parts.items()
        if len(part.mask_areas) and (key == "test" or key.startswith("masks of"))
    }
    return Run(rotation, seed, recipes, validation, dice, served)


def by_lesion(reading: Reading) -> Reading:
    """Return a reading that scores slices by the logarithm of their lesion share."""
    return replace(reading, logits=np.log(reading.lesion_share + LEAST_SHARE))


def summary(runs: Sequence[Run], recipe: str, baseline: str = "alone") -> dict[str, Any] | None:
    """Return mean AUC over runs, its interval, and the paired gain over a baseline."""
    having = [run for run in runs if recipe in run.recipes]
    if not having:
        return None
    value, low, high, _ = resampled(having, recipe, None)
    row: dict[str, Any] = {
        "runs": len(having),
        "patients": sum(
            len(run.recipes[recipe].labels) for run in {r.rotation: r for r in having}.values()
        ),
        "auc": value,
        "low": low,
        "high": high,
        "by_run": {
            f"r{run.rotation}s{run.seed}": auc(
                run.recipes[recipe].labels, run.recipes[recipe].scores
            )
            for run in having
        },
    }
    paired = [run for run in having if baseline in run.recipes]
    if paired and recipe != baseline:
        gain, low, high, draws = resampled(paired, recipe, baseline)
        row |= {"gain": gain, "gain_low": low, "gain_high": high, "paired_runs": len(paired)}
        row["_draws"] = draws
    return row


def resampled(
    runs: Sequence[Run], recipe: str, baseline: str | None
) -> tuple[float, float, float, np.ndarray]:
    """Return the mean over runs with its interval, patients drawn inside rotation and class."""
    total, draws = 0.0, np.zeros(DRAWS)
    by_rotation: dict[int, list[np.ndarray]] = {}
    for run in runs:
        matrix = above(run.recipes[recipe])
        if baseline is not None:
            matrix = matrix - above(run.recipes[baseline])
        by_rotation.setdefault(run.rotation, []).append(matrix)
        total += float(matrix.mean()) / len(runs)
    for rotation, matrices in sorted(by_rotation.items()):
        matrix = np.mean(matrices, axis=0)
        rng = np.random.default_rng(1000 + rotation)
        rows = rng.multinomial(len(matrix), np.full(len(matrix), 1 / len(matrix)), DRAWS)
        width = matrix.shape[1]
        columns = rng.multinomial(width, np.full(width, 1 / width), DRAWS)
        drawn = ((rows @ matrix) * columns).sum(1) / matrix.size
        draws += drawn * len(matrices) / len(runs)
    low, high = np.percentile(draws, [2.5, 97.5])
    return total, float(low), float(high), draws


def above(scores: PatientScores) -> np.ndarray:
    """Say for each pair of a positive and a negative patient whether the former scores higher."""
    positive = scores.scores[scores.labels == 1][:, None]
    negative = scores.scores[scores.labels == 0][None, :]
    return (positive > negative) + 0.5 * (positive == negative)


def dice_summary(
    runs: Sequence[Run], recipe: str, baseline: str = "alone"
) -> dict[str, Any] | None:
    """Return Dice over the test masks of all runs, and the gain by patient over a baseline."""
    having = [run for run in runs if recipe in run.dice]
    if not having:
        return None
    areas = np.concatenate([run.dice[recipe].mask_areas for run in having])
    joined = Reading((), np.zeros(0, np.int64), np.zeros(0), np.zeros(0), ("",) * len(areas), areas)
    patients = {name for run in having for name in run.dice[recipe].mask_patients}
    row: dict[str, Any] = {"runs": len(having), "patients": len(patients), **dice_figures(joined)}
    if recipe != baseline:
        gains: dict[str, list[float]] = {}
        for run in having:
            if baseline not in run.dice:
                continue
            one, other = run.dice[recipe], run.dice[baseline]
            for who, mine, its in zip(
                one.mask_patients, one.mask_areas, other.mask_areas, strict=True
            ):
                if mine[2]:
                    pair = [2 * each[0] / (each[1] + each[2]) for each in (mine, its)]
                    gains.setdefault(who, []).append(pair[0] - pair[1])
        if gains:
            each = np.array([np.mean(values) for values in gains.values()])
            drawn = np.random.default_rng(5).choice(each, (DRAWS, len(each))).mean(1)
            low, high = np.percentile(drawn, [2.5, 97.5])
            row |= {"gain": float(each.mean()), "gain_low": float(low), "gain_high": float(high)}
    return row


def runs_of(cache: Path, hospitals: Sequence[str]) -> dict[str, list[Run]]:
    """Return what was measured for the headline at each hospital."""
    folders = sorted((cache / "main").glob("r*s*"))
    return {
        name: [run for folder in folders if (run := run_of(folder, name)) is not None]
        for name in hospitals
    }


def measure(runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Return everything that the cells of the headline say."""
    hospitals = list(runs)
    recipes = (
        "floor",
        "alone",
        "federated",
        "adapted",
        "mixture",
        "mixture + lesion share",
        "served",
        "central",
    )
    result: dict[str, Any] = {"hospitals": {}, "mean_gain": {}}
    draws: dict[str, list[np.ndarray]] = {}
    for name, mine in runs.items():
        rows: dict[str, Any] = {}
        for recipe in recipes:
            row = summary(mine, recipe)
            if row is None:
                continue
            if "_draws" in row:
                draws.setdefault(recipe, []).append(row.pop("_draws"))
            rows[recipe] = row
        labels = next(iter(mine[0].recipes.values())).labels if mine else [0, 1]
        result["hospitals"][name] = {
            "auc": rows,
            "dice": {
                recipe: row for recipe in recipes if (row := dice_summary(mine, recipe)) is not None
            },
            "constant": {"auc": 0.5, "brier": constant_brier(labels)},
            "served": {f"r{run.rotation}s{run.seed}": run.served for run in mine if run.served},
            "validation": {f"r{run.rotation}s{run.seed}": run.validation for run in mine},
        }
    for recipe, parts in draws.items():
        if len(parts) == len(hospitals):
            mean = np.mean(parts, axis=0)
            low, high = np.percentile(mean, [2.5, 97.5])
            gains = [result["hospitals"][name]["auc"][recipe]["gain"] for name in hospitals]
            result["mean_gain"][recipe] = {
                "gain": float(np.mean(gains)), "low": float(low), "high": float(high)
            }  # fmt: skip
    return result


def tables(result: Mapping[str, Any]) -> list[str]:
    """Return the tables as Markdown lines."""
    lines = [
        "| hospital | recipe | runs | patients | AUC by patient [95 %] | over alone [95 %] |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, found in result["hospitals"].items():
        lines.append(f"| {name} | constant | | | 0.500 | |")
        for recipe, row in found["auc"].items():
            gain = (
                f"{row['gain']:+.3f} [{row['gain_low']:+.3f}, {row['gain_high']:+.3f}] "
                f"({row['paired_runs']} runs)"
                if "gain" in row
                else ""
            )
            lines.append(
                f"| {name} | {recipe} | {row['runs']} | {row['patients']} | "
                f"{row['auc']:.3f} [{row['low']:.2f}, {row['high']:.2f}] | {gain} |"
            )
    lines += [
        "",
        "| hospital | recipe | patients | Dice mean | Dice pooled | over alone [95 %] |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, found in result["hospitals"].items():
        for recipe, row in found["dice"].items():
            if row["dice_mean"] is None:
                continue
            gain = (
                f"{row['gain']:+.3f} [{row['gain_low']:+.3f}, {row['gain_high']:+.3f}]"
                if "gain" in row
                else ""
            )
            lines.append(
                f"| {name} | {recipe} | {row['patients']} | {row['dice_mean']:.3f} | "
                f"{row['dice_pooled']:.3f} | {gain} |"
            )
    if result["mean_gain"]:
        lines += ["", "| mean gain over hospitals | AUC [95 %] |", "| --- | --- |"]
        lines += [
            f"| {recipe} | {row['gain']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}] |"
            for recipe, row in result["mean_gain"].items()
        ]
    return lines
