"""Pictures of the evidence: ROC, gains, calibration, learning curves; no picture of any patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from evidence_runs import ENSEMBLE, Run, chances_of
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from model.evaluation import roc_curve

GRID = np.linspace(0, 1, 101)
#: A recipe keeps its colour in every picture.
COLOURS = {
    "floor": "#8c8c8c",
    "alone": "#b5651d",
    ENSEMBLE: "#d9a441",
    "federated": "#3b7dd8",
    "adapted": "#1b4f8f",
    "served": "#1a7f5a",
    "central": "#8a3f8f",
}
#: Patients behind one point of the calibration curve, at least.
PATIENTS_OF_A_POINT, POINTS = 15, 6


def write_pictures(
    runs: Mapping[str, Sequence[Run]], result: Mapping[str, Any], folder: Path
) -> set[str]:
    """Draw what the cells allow.

    Args:
        runs: Of the headline, by hospital.
        result: As `evidence_tables.measure` returned it.
        folder: Where pictures go.

    Returns:
        Names of the pictures drawn.
    """
    drawn = {
        "evidence_roc.png": roc_picture(runs),
        "evidence_gain.png": gain_picture(result),
        "evidence_calibration.png": calibration_picture(runs),
        "evidence_curves.png": curves_picture(runs),
    }
    made = set()
    for name, figure in drawn.items():
        if figure is not None:
            figure.savefig(folder / name, dpi=110)
            made.add(name)
    return made


def panels(count: int) -> tuple[Figure, Any]:
    """Return a figure with one panel a hospital, side by side."""
    figure = Figure(figsize=(3.4 * count, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, count, squeeze=False)[0]


def roc_picture(runs: Mapping[str, Sequence[Run]]) -> Figure | None:
    """Draw each hospital's ROC curves, averaged over runs at equal false positive rates."""
    if not any(runs.values()):
        return None
    figure, axes = panels(len(runs))
    for axis, (name, mine) in zip(axes, runs.items(), strict=True):
        for recipe, colour in COLOURS.items():
            curves = [
                np.interp(GRID, *roc_curve(run.recipes[recipe].labels, run.recipes[recipe].scores))
                for run in mine
                if recipe in run.recipes
            ]
            if curves:
                label = f"{recipe} ({len(curves)})"
                axis.plot(GRID, np.mean(curves, axis=0), color=colour, label=label, linewidth=1.3)
        axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
        axis.set_title(name)
        axis.set_xlabel("1 - specificity")
        axis.legend(frameon=False, fontsize=7)
    axes[0].set_ylabel("sensitivity, mean over runs")
    return figure


def gain_picture(result: Mapping[str, Any]) -> Figure | None:
    """Draw the gain over alone of each recipe at each hospital with its interval."""
    rows = [
        (name, recipe, row)
        for name, found in result["hospitals"].items()
        for recipe, row in found["auc"].items()
        if "gain" in row and recipe in COLOURS
    ]
    if not rows:
        return None
    figure = Figure(figsize=(7, 0.9 + 0.24 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for place, (_, recipe, row) in enumerate(reversed(rows)):
        ends = [[row["gain"] - row["gain_low"]], [row["gain_high"] - row["gain"]]]
        axis.errorbar([row["gain"]], [place], xerr=np.maximum(ends, 0), fmt="o", markersize=4,
                      capsize=2, color=COLOURS[recipe])  # fmt: skip
    axis.axvline(0, color="grey", linewidth=0.8)
    labels = [f"{name}: {recipe} ({row['paired_runs']})" for name, recipe, row in reversed(rows)]
    axis.set_yticks(range(len(rows)), labels, fontsize=7)
    axis.set_xlabel("AUC by patient, gain over the model trained alone, 95 %; runs in brackets")
    return figure


def calibration_picture(runs: Mapping[str, Sequence[Run]]) -> Figure | None:
    """Draw said against seen on test patients: what is served, calibrated on validation patients.

    Probabilities of different rotations mean the same, so they are pooled; every patient once.
    """
    if not any(run.probability is not None for mine in runs.values() for run in mine):
        return None
    figure, axes = panels(len(runs))
    for axis, (name, mine) in zip(axes, runs.items(), strict=True):
        found = chances_of(mine)
        axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
        axis.set_title(name)
        axis.set_xlabel("said: mean probability")
        if not found:
            continue
        points = calibration_points(
            np.concatenate([each.labels for each in found]),
            np.concatenate([each.scores for each in found]),
        )
        said, seen, low, high = np.array(points).T
        axis.errorbar(said, seen, yerr=np.maximum([seen - low, high - seen], 0), fmt="o-",
                      markersize=4, capsize=2, color=COLOURS["served"])  # fmt: skip
        axis.text(0.03, 0.94, f"{len(found)} rotations", transform=axis.transAxes, fontsize=7)
    axes[0].set_ylabel("seen: share with the finding, 95 %")
    return figure


def calibration_points(
    labels: np.ndarray, chances: np.ndarray
) -> list[tuple[float, float, float, float]]:
    """Return (mean said, share seen, low, high) of groups of patients alike in number.

    The interval is Wilson's (1927), 95 %.

    Args:
        labels: Shape `(n,)`, 0 or 1.
        chances: Shape `(n,)`, probabilities.
    """
    order = np.argsort(chances, kind="stable")
    groups = np.array_split(order, max(1, min(POINTS, len(order) // PATIENTS_OF_A_POINT)))
    points = []
    for group in groups:
        seen, count, z = float(labels[group].mean()), len(group), 1.96
        middle = (seen + z**2 / (2 * count)) / (1 + z**2 / count)
        half = z * np.sqrt(seen * (1 - seen) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
        points.append((float(chances[group].mean()), seen, middle - half, middle + half))
    return points


def curves_picture(runs: Mapping[str, Sequence[Run]]) -> Figure | None:
    """Draw the shared model's AUC on a few validation slices by round: thin each run, thick all."""
    curves = {
        name: [run.facts["federated"]["curve"] for run in mine
               if "curve" in run.facts.get("federated", {})]
        for name, mine in runs.items()
    }  # fmt: skip
    if not any(curves.values()):
        return None
    figure, axes = panels(len(runs))
    lowest = min(value for mine in curves.values() for curve in mine for _, value in curve)
    for axis, (name, mine) in zip(axes, curves.items(), strict=True):
        for curve in mine:
            axis.plot(*np.array(curve).T, color=COLOURS["federated"], linewidth=0.7, alpha=0.5)
        rounds = [{at for at, _ in curve} for curve in mine]
        common = sorted(set.intersection(*rounds)) if rounds else []
        means = [np.mean([dict(map(tuple, curve))[at] for curve in mine]) for at in common]
        axis.plot(common, means, "o-", color=COLOURS["federated"], markersize=3)
        axis.axhline(0.5, color="grey", linewidth=0.8, linestyle="--")
        axis.set_ylim(min(0.45, lowest - 0.02), 1.0)
        axis.set_title(f"{name} ({len(mine)})")
        axis.set_xlabel("rounds")
    axes[0].set_ylabel("AUC by validation patient")
    return figure
