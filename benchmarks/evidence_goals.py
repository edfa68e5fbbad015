"""The goals, held against the cells: reached, not reached, or not run; nothing is rounded up.

A goal is reached when the figure over all rotations is; whether its interval also lies beyond the
goal stands beside. Over fewer rotations nothing is called reached: the state says how it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evidence_parts import ROTATIONS

#: AUC by patient wanted of what is served: hospitals whose mean is judged.
AUC_GOALS = (("ucsd", ("ucsd",), 0.85), ("MosMed", ("moscow1", "moscow2"), 0.88),
             ("Soares", ("saopaulo",), 0.97))  # fmt: skip
#: Dice pooled wanted of what is served: the hospital with these expert masks.
DICE_GOALS = (("MedSeg", "ucsd", 0.78),)
GAIN_GOAL, CENTRAL_GOAL = 0.03, 0.01
REACHED, MISSED, NOT_RUN = "reached", "not reached", "not run"


@dataclass(frozen=True)
class Goal:
    """One goal.

    Attributes:
        name: What is wanted.
        figure: As measured, with its interval; None where it was not run.
        state: `REACHED`, `MISSED`, `NOT_RUN`, or how it stands over fewer rotations than wanted.
        beyond: Whether the whole interval lies on the goal's side; None where there is none.
        rotations: Fewest rotations behind it at any hospital.
    """

    name: str
    figure: str | None
    state: str
    beyond: bool | None
    rotations: int

    def row(self) -> str:
        """Return a table's row."""
        beyond = {None: "", True: "yes", False: "no"}[self.beyond]
        cells = (self.name, self.figure or "", self.state, beyond, str(self.rotations or ""))
        return f"| {' | '.join(cells)} |"


def goals(result: Mapping[str, Any]) -> list[Goal]:
    """Return every goal that the hospitals of a result can answer.

    Args:
        result: As `evidence_tables.measure` returned it.
    """
    hospitals = result["hospitals"]
    gains = result["differences"].get("adapted minus alone", {})
    central = result["differences"].get("central minus adapted", {})
    found = [
        at_least(f"adapted minus alone at {name} >= 0", 0.0, gains.get("hospitals", {}).get(name))
        for name in hospitals
    ]
    found.append(at_least(f"adapted minus alone, mean >= +{GAIN_GOAL}", GAIN_GOAL, mean_row(gains)))
    found.append(
        at_most(f"central minus adapted, mean <= {CENTRAL_GOAL}", CENTRAL_GOAL, mean_row(central))
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
    """Return the mean over hospitals with the fewest rotations behind it."""
    if "mean" not in difference:
        return None
    rotations = min(row["rotations"] for row in difference["hospitals"].values())
    return {**difference["mean"], "rotations": rotations}


def standing(reached: bool, rotations: int) -> str:
    """Return a goal's state.

    >>> standing(True, 5)
    'reached'
    >>> standing(True, 2)
    'not run to the end: reached so far, 2 of 5 rotations'
    """
    state = REACHED if reached else MISSED
    if rotations >= len(ROTATIONS):
        return state
    return f"not run to the end: {state} so far, {rotations} of {len(ROTATIONS)} rotations"


def at_least(name: str, wanted: float, row: Mapping[str, Any] | None) -> Goal:
    """Judge a figure that is to be high."""
    if row is None:
        return Goal(name, None, NOT_RUN, None, 0)
    figure = f"{row['value']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
    state = standing(row["value"] >= wanted, row["rotations"])
    return Goal(name, figure, state, row["low"] >= wanted, row["rotations"])


def at_most(name: str, wanted: float, row: Mapping[str, Any] | None) -> Goal:
    """Judge a figure that is to be low."""
    if row is None:
        return Goal(name, None, NOT_RUN, None, 0)
    figure = f"{row['value']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
    state = standing(row["value"] <= wanted, row["rotations"])
    return Goal(name, figure, state, row["high"] <= wanted, row["rotations"])


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
    rotations = min(row["rotations"] for row in rows)
    return Goal(name, figure, standing(value >= wanted, rotations), beyond, rotations)


def dice_goal(part: str, wanted: float, row: Mapping[str, Any] | None) -> Goal:
    """Judge the pooled Dice of what is served."""
    name = f"Dice pooled, served, {part} >= {wanted}"
    if row is None:
        return Goal(name, None, NOT_RUN, None, 0)
    state = standing(row["dice_pooled"] >= wanted, row["rotations"])
    return Goal(name, f"{row['dice_pooled']:.3f}", state, None, row["rotations"])


def goal_table(result: Mapping[str, Any]) -> list[str]:
    """Return the goals as Markdown lines."""
    return [
        "### Goals",
        "",
        f"Judged on test patients, over {len(ROTATIONS)} rotations. Dice pooled MosMed 0.55 cannot "
        "be judged here: the development data has no masks of MosMed.",
        "",
        "| goal | figure [95 %] | state | whole interval too | rotations |",
        "| --- | --- | --- | --- | --- |",
        *(goal.row() for goal in goals(result)),
        "",
    ]
