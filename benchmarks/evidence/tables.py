"""The main tables: every recipe at every hospital, paired differences, Dice, and the goals.

What is not in the cells is not in a table. A goal is reached when the figure over all folds is;
whether its interval also lies beyond the goal stands beside. Over fewer folds nothing is called
reached: the state says how it stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.evidence.plan import FOLDS
from benchmarks.evidence.scores import (
    BESIDE,
    LOCAL_ENSEMBLE,
    Run,
    chances_of,
    dice_summary,
    difference,
    mean_of,
    public,
    summary,
)
from model.evaluation import brier, constant_brier

RECIPES = (
    "baseline",
    "local-only",
    LOCAL_ENSEMBLE,
    "federated",
    "fine-tuned",
    "ensemble",
    "ensemble + lesion share",
    "served",
    "pooled",
    BESIDE["local-only"],
    BESIDE["served"],
)
#: Which recipe is compared with which, by patient.
PAIRS = (
    ("local-only", "baseline"),
    ("federated", "local-only"),
    ("fine-tuned", "local-only"),
    ("ensemble", "local-only"),
    ("served", "local-only"),
    (LOCAL_ENSEMBLE, "local-only"),
    ("ensemble", LOCAL_ENSEMBLE),
    ("served", LOCAL_ENSEMBLE),
    ("pooled", "fine-tuned"),
    ("pooled", "served"),
    ("local-only", BESIDE["local-only"]),
    ("served", BESIDE["served"]),
)
#: AUC by patient wanted of what is served: hospitals whose mean is judged.
AUC_GOALS = (("ucsd", ("ucsd",), 0.85), ("MosMed", ("moscow1", "moscow2"), 0.88),
             ("Soares", ("saopaulo",), 0.97))  # fmt: skip
#: Dice pooled wanted of what is served: the hospital with these expert masks.
DICE_GOALS = (("MedSeg", "ucsd", 0.78),)
GAIN, GAIN_GOAL, POOLED_GOAL = "fine-tuned minus local-only", 0.03, 0.01
REACHED, MISSED, NOT_RUN = "reached", "not reached", "not run"


def measure(runs: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """Return everything that the cells of one recipe say, as JSON can hold it.

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
            "served": {run.name: run.served for run in mine if run.served},
            "validation": {run.name: dict(run.validation) for run in mine},
        }
    result["differences"] = {
        f"{recipe} minus {baseline}": found
        for recipe, baseline in PAIRS
        if (found := pair(runs, recipe, baseline))
    }
    cleaned: dict[str, Any] = public(result)
    return cleaned


def masks_of(runs: Sequence[Run]) -> str | None:
    """Return whose test masks a hospital's lesion maps are compared with; None without any."""
    whose = [each["masks"] for run in runs for each in run.facts.values() if each.get("masks")]
    return str(whose[0]) if whose else None


def calibration(runs: Sequence[Run]) -> dict[str, float] | None:
    """Return the Brier score of the served probability over all folds, and the constant's."""
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
    """Return a recipe's tables as Markdown lines."""
    return [
        *auc_table(result),
        *difference_table(result),
        *dice_table(result),
        *served_table(result),
    ]


def auc_table(result: Mapping[str, Any]) -> list[str]:
    """Return each recipe's AUC at each hospital."""
    lines = [
        "| hospital | recipe | runs | patients | AUC by patient [95 %] | over local-only [95 %] |",
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
        "| hospital | recipe | runs | patients | mean Dice | pooled | over local-only [95 %] |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *lines,
    ]


def served_table(result: Mapping[str, Any]) -> list[str]:
    """Return what each hospital serves, and how good its probability is."""
    lines = []
    for name, found in result["hospitals"].items():
        if not found["served"]:
            continue
        chosen = list(found["served"].values())
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


@dataclass(frozen=True)
class Goal:
    """One goal.

    Attributes:
        name: What is wanted.
        figure: As measured, with its interval; None where it was not run.
        state: `REACHED`, `MISSED`, `NOT_RUN`, or how it stands over fewer folds than wanted.
        beyond: Whether the whole interval lies on the goal's side; None where there is none.
        folds: Fewest folds behind it at any hospital.
    """

    name: str
    figure: str | None
    state: str
    beyond: bool | None
    folds: int

    def row(self) -> str:
        """Return a table's row."""
        beyond = {None: "", True: "yes", False: "no"}[self.beyond]
        cells = (self.name, self.figure or "", self.state, beyond, str(self.folds or ""))
        return f"| {' | '.join(cells)} |"


def goals(result: Mapping[str, Any]) -> list[Goal]:
    """Return every goal that the hospitals of a result can answer.

    Args:
        result: As `measure` returned it.
    """
    hospitals = result["hospitals"]
    gains = result["differences"].get(GAIN, {})
    pooled = result["differences"].get("pooled minus fine-tuned", {})
    found = [
        at_least(f"{GAIN} at {name} >= 0", 0.0, gains.get("hospitals", {}).get(name))
        for name in hospitals
    ]
    found.append(at_least(f"{GAIN}, mean >= +{GAIN_GOAL}", GAIN_GOAL, mean_row(gains)))
    found.append(
        at_most(f"pooled minus fine-tuned, mean <= {POOLED_GOAL}", POOLED_GOAL, mean_row(pooled))
    )
    for part, names, wanted in AUC_GOALS:
        mine = [name for name in names if name in hospitals]
        if mine:
            found.append(auc_goal(part, mine, wanted, hospitals))
    for part, name, wanted in DICE_GOALS:
        if name in hospitals:
            found.append(dice_goal(part, wanted, hospitals[name]["dice"].get("served")))
    return found


def mean_row(difference: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the mean over hospitals with the fewest folds behind it."""
    if "mean" not in difference:
        return None
    folds = min(row["folds"] for row in difference["hospitals"].values())
    return {**difference["mean"], "folds": folds}


def standing(reached: bool, folds: int) -> str:
    """Return a goal's state.

    >>> standing(True, 5)
    'reached'
    >>> standing(True, 2)
    'not run to the end: reached so far, 2 of 5 folds'
    """
    state = REACHED if reached else MISSED
    if folds >= len(FOLDS):
        return state
    return f"not run to the end: {state} so far, {folds} of {len(FOLDS)} folds"


def at_least(name: str, wanted: float, row: Mapping[str, Any] | None) -> Goal:
    """Judge a figure that is to be high."""
    if row is None:
        return Goal(name, None, NOT_RUN, None, 0)
    figure = f"{row['value']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
    state = standing(row["value"] >= wanted, row["folds"])
    return Goal(name, figure, state, row["low"] >= wanted, row["folds"])


def at_most(name: str, wanted: float, row: Mapping[str, Any] | None) -> Goal:
    """Judge a figure that is to be low."""
    if row is None:
        return Goal(name, None, NOT_RUN, None, 0)
    figure = f"{row['value']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
    state = standing(row["value"] <= wanted, row["folds"])
    return Goal(name, figure, state, row["high"] <= wanted, row["folds"])


def auc_goal(part: str, names: list[str], wanted: float, hospitals: Mapping[str, Any]) -> Goal:
    """Judge the AUC of what is served; of several hospitals the mean, without an interval."""
    name = f"AUC by patient, served, {part} ({', '.join(names)}) >= {wanted}"
    rows = [hospitals[each]["auc"].get("served") for each in names]
    if any(row is None for row in rows):
        return Goal(name, None, NOT_RUN, None, 0)
    value = sum(row["auc"] for row in rows) / len(rows)
    parts = ", ".join(f"{row['auc']:.3f} [{row['low']:.2f}, {row['high']:.2f}]" for row in rows)
    figure = parts if len(rows) == 1 else f"{value:.3f} ({parts})"
    beyond = all(row["low"] >= wanted for row in rows)
    folds = min(row["folds"] for row in rows)
    return Goal(name, figure, standing(value >= wanted, folds), beyond, folds)


def dice_goal(part: str, wanted: float, row: Mapping[str, Any] | None) -> Goal:
    """Judge the pooled Dice of what is served."""
    name = f"Dice pooled, served, {part} >= {wanted}"
    if row is None:
        return Goal(name, None, NOT_RUN, None, 0)
    state = standing(row["dice_pooled"] >= wanted, row["folds"])
    return Goal(name, f"{row['dice_pooled']:.3f}", state, None, row["folds"])


def goal_table(result: Mapping[str, Any]) -> list[str]:
    """Return the goals as Markdown lines."""
    return [
        "### Goals",
        "",
        f"Judged on test patients, over {len(FOLDS)} folds. Dice pooled MosMed 0.55 cannot "
        "be judged here: the development data has no masks of MosMed.",
        "",
        "| goal | figure [95 %] | state | whole interval too | folds |",
        "| --- | --- | --- | --- | --- |",
        *(goal.row() for goal in goals(result)),
        "",
    ]
