"""The headline's tables: every recipe at every hospital, and the differences that the issue asks.

What is not in the cells is not in a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from evidence_figures import dice_summary, difference, mean_of, public, summary
from evidence_runs import ENSEMBLE, SHORT, WITH_LESION, Run, chances_of

from model.evaluation import brier, constant_brier
from peer_client.rounds.ledger_figures import in_words

RECIPES = (
    "floor",
    "alone",
    ENSEMBLE,
    "federated",
    "adapted",
    "mixture",
    WITH_LESION,
    "served",
    "central",
    SHORT["alone"],
    SHORT["served"],
)
#: Which recipe is held against which, by patient.
PAIRS = (
    ("alone", "floor"),
    ("federated", "alone"),
    ("adapted", "alone"),
    ("mixture", "alone"),
    ("served", "alone"),
    (ENSEMBLE, "alone"),
    ("mixture", ENSEMBLE),
    ("served", ENSEMBLE),
    ("central", "adapted"),
    ("central", "served"),
    ("alone", SHORT["alone"]),
    ("served", SHORT["served"]),
)


def measure(runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Return everything that the cells of the headline say, as JSON can hold it.

    Args:
        runs: By hospital, also those without any.
    """
    result: dict[str, Any] = {"hospitals": {}}
    for name, mine in runs.items():
        auc = {recipe: row for recipe in RECIPES if (row := summary(mine, recipe)) is not None}
        dice = {
            recipe: row for recipe in RECIPES if (row := dice_summary(mine, recipe)) is not None
        }
        labels = next(iter(mine[0].recipes.values())).labels if mine else [0, 1]
        result["hospitals"][name] = {
            "auc": auc,
            "dice": dice,
            "masks": masks_of(mine),
            "constant": {"auc": 0.5, "brier": constant_brier(labels)},
            "calibration": calibration(mine),
            "served": {f"r{run.rotation}s{run.seed}": run.served for run in mine if run.served},
            "validation": {f"r{run.rotation}s{run.seed}": run.validation for run in mine},
        }
    result["differences"] = {
        f"{recipe} minus {baseline}": found
        for recipe, baseline in PAIRS
        if (found := pair(runs, recipe, baseline))
    }
    cleaned: dict[str, Any] = public(result)
    return cleaned


def masks_of(runs: Sequence[Run]) -> str | None:
    """Return whose test masks a hospital's lesion maps are held against; None without any."""
    told = [each["masks"] for run in runs for each in run.facts.values() if each.get("masks")]
    return str(told[0]) if told else None


def calibration(runs: Sequence[Run]) -> dict[str, float] | None:
    """Return the Brier score of the served probability over all rotations, and the constant's."""
    found = chances_of(runs)
    if not found:
        return None
    labels = np.concatenate([each.labels for each in found])
    chances = np.concatenate([each.scores for each in found])
    return {"brier": brier(labels, chances), "constant_brier": constant_brier(labels)}


def pair(runs: Mapping[str, Sequence[Run]], recipe: str, baseline: str) -> dict[str, Any]:
    """Return a difference at each hospital that has it, and the mean where every one has."""
    found = {
        name: row
        for name, mine in runs.items()
        if (row := difference(mine, recipe, baseline)) is not None
    }
    if not found:
        return {}
    result: dict[str, Any] = {"hospitals": found}
    if len(found) == len(runs):
        result["mean"] = mean_of(list(found.values()), "value", "_draws")
    return result


def signed(
    row: Mapping[str, Any], value: str = "value", low: str = "low", high: str = "high"
) -> str:
    """Return a difference with its interval, as tables show it."""
    return f"{row[value]:+.3f} [{row[low]:+.3f}, {row[high]:+.3f}]"


def tables(result: Mapping[str, Any]) -> list[str]:
    """Return the headline's tables as Markdown lines."""
    return [
        *auc_table(result),
        *difference_table(result),
        *dice_table(result),
        *served_table(result),
    ]


def auc_table(result: Mapping[str, Any]) -> list[str]:
    """Return each recipe's AUC at each hospital."""
    lines = [
        "| hospital | recipe | runs | patients | AUC by patient [95 %] | over alone [95 %] |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, found in result["hospitals"].items():
        lines.append(f"| {name} | constant | | | 0.500 | |")
        for recipe, row in found["auc"].items():
            gain = ""
            if "gain" in row:
                gain = signed(row, "gain", "gain_low", "gain_high")
                gain += f" ({row['paired_runs']} runs)"
            lines.append(
                f"| {name} | {recipe} | {row['runs']} | {row['patients']} | "
                f"{row['auc']:.3f} [{row['low']:.2f}, {row['high']:.2f}] | {gain} |"
            )
    return lines


def difference_table(result: Mapping[str, Any]) -> list[str]:
    """Return the paired differences, with the mean over hospitals; nothing where there is none."""
    if not result["differences"]:
        return []
    names = list(result["hospitals"])
    lines = [
        "",
        "Differences in AUC, paired by patient [95 %]; in brackets the runs.",
        "",
        "| difference | mean over hospitals | " + " | ".join(names) + " |",
        "| --- | --- |" + " --- |" * len(names),
    ]
    for title, found in result["differences"].items():
        mean = signed(found["mean"]) if "mean" in found else ""
        cells = [
            f"{signed(found['hospitals'][name])} ({found['hospitals'][name]['runs']})"
            if name in found["hospitals"]
            else ""
            for name in names
        ]
        lines.append(f"| {title} | {mean} | " + " | ".join(cells) + " |")
    return lines


def dice_table(result: Mapping[str, Any]) -> list[str]:
    """Return Dice on test masks."""
    lines = []
    for name, found in result["hospitals"].items():
        for recipe, row in found["dice"].items():
            gain = signed(row, "gain", "gain_low", "gain_high") if "gain" in row else ""
            masks = "" if found["masks"] in (None, "own") else f" ({found['masks']})"
            lines.append(
                f"| {name}{masks} | {recipe} | {row['runs']} | {row['patients']} | "
                f"{row['dice_mean']:.3f} | {row['dice_pooled']:.3f} | {gain} |"
            )
    if not lines:
        return []
    return [
        "",
        "| hospital | recipe | runs | patients | Dice mean | Dice pooled | over alone [95 %] |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *lines,
    ]


def served_table(result: Mapping[str, Any]) -> list[str]:
    """Return what each hospital serves, and how good its probability is."""
    lines = []
    for name, found in result["hospitals"].items():
        if not found["served"]:
            continue
        chosen = [in_words(each) for each in found["served"].values()]
        counts = ", ".join(
            f"{each} {chosen.count(each)}x"
            for each in sorted(set(chosen), key=lambda each: (-chosen.count(each), each))
        )
        figures = found["calibration"]
        lines.append(
            f"| {name} | {counts} | {figures['brier']:.3f} | {figures['constant_brier']:.3f} |"
        )
    if not lines:
        return []
    return [
        "",
        "| hospital | serves (runs) | Brier of its probability | of the constant |",
        "| --- | --- | --- | --- |",
        *lines,
    ]
