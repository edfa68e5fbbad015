"""Pictures: ROC, gains, calibration, learning curves; masks of phantoms, never of a patient.

    python -m benchmarks.evidence.pictures OUTPUT/models/ucsd.keras

draws a model's best and worst lesion masks on phantoms. They are drawn from seeds of their own, so
a model trained on the project's phantoms has not seen them. A slice without lesion in the phantom
is left out; empty masks say nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.evidence.scores import LOCAL_ENSEMBLE, Run, chances_of
from model.evaluation import roc_curve
from peer_client.ct.cohort import SliceSet, load_part
from peer_client.ct.hospitals import HospitalData, read_hospitals
from peer_client.ct.phantoms import write_phantoms
from peer_client.evaluation.readings import LESION_THRESHOLD

ROOT = Path(__file__).resolve().parents[2]

GRID = np.linspace(0, 1, 101)
#: A recipe keeps its colour in every picture.
COLOURS = {
    "baseline": "#8c8c8c",
    "local-only": "#b5651d",
    LOCAL_ENSEMBLE: "#d9a441",
    "federated": "#3b7dd8",
    "fine-tuned": "#1b4f8f",
    "served": "#1a7f5a",
    "pooled": "#8a3f8f",
}
#: Patients behind one point of the calibration curve, at least.
PATIENTS_OF_A_POINT, POINTS = 15, 6
#: Added to the seeds of the file: other phantoms than those that models are trained on.
OTHER_SEED = 7_000
PATIENTS, SHOWN = 16, 4


def write_pictures(
    runs: Mapping[str, Sequence[Run]], result: Mapping[str, Any], folder: Path
) -> set[str]:
    """Draw what the cells allow.

    Args:
        runs: Of one recipe, by hospital.
        result: As `benchmarks.evidence.tables.measure` returned it.
        folder: Where pictures go.

    Returns:
        Names of the pictures drawn.
    """
    drawn = {
        "roc.png": roc_picture(runs),
        "gain.png": gain_picture(result),
        "calibration.png": calibration_picture(runs),
        "curves.png": curves_picture(runs),
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
    """Draw the gain over local-only of each recipe at each hospital with its interval."""
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
    axis.set_xlabel("AUC by patient, gain over the local-only model, 95 %; runs in brackets")
    return figure


def calibration_picture(runs: Mapping[str, Sequence[Run]]) -> Figure | None:
    """Draw said against seen on test patients: what is served, calibrated on validation patients.

    Probabilities of different folds mean the same, so they are pooled; every patient once.
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
        axis.text(0.03, 0.94, f"{len(found)} folds", transform=axis.transAxes, fontsize=7)
    axes[0].set_ylabel("seen: share with the finding, 95 %")
    return figure


def calibration_points(
    labels: NDArray[np.int64], chances: NDArray[np.float64]
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
    """Draw the shared model's AUC on validation patients by round: thin each run, thick all."""
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


def others(hospitals: tuple[HospitalData, ...], patients: int) -> list[HospitalData]:
    """Return hospitals with as many phantoms of other seeds, one slice a patient."""
    return [
        replace(
            each,
            phantoms=replace(
                each.phantoms, seed=each.phantoms.seed + OTHER_SEED, patients=patients, slices=1
            ),
        )
        for each in hospitals
        if each.phantoms is not None and each.has_masks
    ]


def dice_of_each(lesions: NDArray[np.float32], slices: SliceSet) -> NDArray[np.float64]:
    """Return Dice of every mask, float64, shape `(m,)`; NaN where the mask shows no lesion.

    Args:
        lesions: Probabilities, float32, shape `(n, size, size)`.
        slices: The n slices.
    """
    called = lesions[slices.mask_index] >= LESION_THRESHOLD
    true = slices.masks > 0
    both, sizes = (called & true).sum((1, 2)), called.sum((1, 2)) + true.sum((1, 2))
    dice: NDArray[np.float64] = np.where(true.any((1, 2)), 2 * both / np.maximum(sizes, 1), np.nan)
    return dice


def masks_picture(
    lesions: NDArray[np.float32], slices: SliceSet, name: str, shown: int = SHOWN
) -> Figure | None:
    """Draw the best masks above the worst; None where no phantom has a lesion.

    Args:
        lesions: Probabilities, float32, shape `(n, size, size)`.
        slices: The n slices, of phantoms.
        name: For the title.
        shown: How many of each.
    """
    scores = dice_of_each(lesions, slices)
    known = np.flatnonzero(~np.isnan(scores))
    if not len(known):
        return None
    order = known[np.argsort(scores[known], kind="stable")]
    shown = min(shown, max(1, len(order) // 2))  # none is both best and worst
    figure = Figure(figsize=(2.1 * shown, 4.9), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, shown, squeeze=False)
    for row, places in enumerate((order[::-1][:shown], order[:shown])):
        for axis, place in zip(axes[row], places.tolist(), strict=True):
            image = slices.mask_index[place]
            axis.imshow(slices.images[image, :, :, 0], cmap="gray", vmin=0, vmax=1)
            contour(axis, slices.masks[place] > 0, "#2ecc40")
            contour(axis, lesions[image] >= LESION_THRESHOLD, "#ff4136")
            axis.set_title(f"{('best', 'worst')[row]}: Dice {scores[place]:.2f}", fontsize=8)
            axis.set_axis_off()
    title = f"{name}, {len(known)} phantoms: green as drawn, red as found; mean Dice "
    figure.suptitle(title + f"{np.nanmean(scores):.2f}", fontsize=9)
    return figure


def contour(axis: Any, mask: NDArray[np.bool_], colour: str) -> None:
    """Draw a mask's outline, where it has one."""
    if mask.any() and not mask.all():
        axis.contour(mask.astype(float), levels=[0.5], colors=[colour], linewidths=0.9)


def main() -> None:
    """Draw phantoms, let the model read them, draw its masks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="a .keras file")
    parser.add_argument("--hospitals", type=Path, default=ROOT / "examples" / "phantoms.yaml")
    parser.add_argument("--patients", type=int, default=PATIENTS, help="of each hospital")
    target = ROOT / "docs" / "pictures" / "evidence_phantoms.png"
    parser.add_argument("--output", type=Path, default=target)
    options = parser.parse_args()
    from model.threads import set_threads

    set_threads(1)
    from peer_client.serving.predictor import open_predictor

    predictor = open_predictor(options.model)
    hospitals = others(read_hospitals(options.hospitals), options.patients)
    with tempfile.TemporaryDirectory() as folder:
        data = write_phantoms(hospitals, Path(folder))
        parts = load_part(data, size_px=predictor.net.config.size_px)
    lesions, slices = [], []
    for part in parts.values():
        masked = part.rows(np.unique(part.mask_index))
        if len(masked):
            slices.append(masked)
            lesions.append(predictor.read_images(masked.images)[1])
    joined = slices[0]
    for more in slices[1:]:
        joined = replace(
            joined,
            images=np.concatenate([joined.images, more.images]),
            masks=np.concatenate([joined.masks, more.masks]),
            mask_index=np.concatenate([joined.mask_index, more.mask_index + len(joined.images)]),
        )
    figure = masks_picture(np.concatenate(lesions), joined, predictor.name)
    if figure is None:
        raise SystemExit("no phantom has a lesion")
    figure.savefig(options.output, dpi=110)


if __name__ == "__main__":
    main()
