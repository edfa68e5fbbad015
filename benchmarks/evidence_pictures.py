"""Pictures of the evidence: ROC curves, calibration and gains; no picture of any patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from evidence_tables import Run
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from model.evaluation import roc_curve

GRID = np.linspace(0, 1, 101)
SHOWN = ("floor", "alone", "federated", "adapted", "mixture")


def roc_picture(runs: Mapping[str, Sequence[Run]], path: Path) -> None:
    """Draw each hospital's ROC curves, averaged over runs at equal false positive rates."""
    figure = Figure(figsize=(3.4 * len(runs), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(runs), squeeze=False)[0]
    for axis, (name, mine) in zip(axes, runs.items(), strict=True):
        for recipe in SHOWN:
            curves = [
                np.interp(GRID, *roc_curve(run.recipes[recipe].labels, run.recipes[recipe].scores))
                for run in mine
                if recipe in run.recipes
            ]
            if curves:
                axis.plot(GRID, np.mean(curves, axis=0), label=f"{recipe} ({len(curves)})")
        axis.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
        axis.set_title(name)
        axis.set_xlabel("1 - specificity")
        axis.legend(frameon=False, fontsize=7)
    axes[0].set_ylabel("sensitivity")
    figure.text(0.01, 0.005, "test patients; runs in brackets", fontsize=6, color="grey")
    figure.savefig(path, dpi=110)


def gain_picture(result: Mapping[str, Any], path: Path) -> None:
    """Draw the gain over alone of each recipe at each hospital with its interval."""
    rows = [
        (f"{name}: {recipe}", row["gain"], row["gain_low"], row["gain_high"])
        for name, found in result["hospitals"].items()
        for recipe, row in found["auc"].items()
        if "gain" in row
    ]
    if not rows:
        return
    figure = Figure(figsize=(7, 0.6 + 0.24 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    places = np.arange(len(rows))[::-1]
    values = np.array([row[1] for row in rows])
    errors = np.array([[row[1] - row[2], row[3] - row[1]] for row in rows]).T
    axis.errorbar(values, places, xerr=np.maximum(errors, 0), fmt="o", markersize=4, capsize=2)
    axis.axvline(0, color="grey", linewidth=0.8)
    axis.set_yticks(places, [row[0] for row in rows], fontsize=7)
    axis.set_xlabel("AUC by patient, gain over the model trained alone, 95 %")
    figure.savefig(path, dpi=110)
