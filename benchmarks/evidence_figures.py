"""Figures of runs with intervals: scores of different rotations are never pooled.

They come from different networks. AUCs are averaged over rotations and seeds, and intervals draw
patients with replacement inside each hospital, rotation and class, the same draws for every recipe
and seed, so that differences are paired.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from evidence_runs import Run, area

from model.evaluation import PatientScores
from peer_client.evaluation.figures import dice_figures
from peer_client.evaluation.readings import Reading

DRAWS = 4000


def summary(runs: Sequence[Run], recipe: str, baseline: str = "alone") -> dict[str, Any] | None:
    """Return mean AUC over runs, its interval, and the paired gain over a baseline.

    The keys that begin with an underscore hold the draws, for means over hospitals.
    """
    having = [run for run in runs if recipe in run.recipes]
    if not having:
        return None
    value, low, high, draws = resampled(having, recipe, None)
    row: dict[str, Any] = {
        "runs": len(having),
        "rotations": len({run.rotation for run in having}),
        "patients": sum(
            len(run.recipes[recipe].labels) for run in {r.rotation: r for r in having}.values()
        ),
        "auc": value,
        "low": low,
        "high": high,
        "by_run": {f"r{run.rotation}s{run.seed}": area(run.recipes[recipe]) for run in having},
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
        "rotations": len({run.rotation for run in paired}),
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
    # Hospitals draw independently of each other, recipes at one hospital alike.
    hospital = zlib.crc32(runs[0].hospital.encode())
    for rotation, matrices in sorted(by_rotation.items()):
        matrix = np.mean(matrices, axis=0)
        rng = np.random.default_rng([hospital, 1000 + rotation])
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
    figures = dice_figures(joined)
    if figures["dice_mean"] is None:
        return None
    row: dict[str, Any] = {
        "runs": len(having),
        "rotations": len({run.rotation for run in having}),
        "patients": len(patients),
        **figures,
    }
    gains: dict[str, list[float]] = {}
    for run in having if recipe != baseline else ():
        if baseline not in run.dice:
            continue
        one, other = run.dice[recipe], run.dice[baseline]
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
