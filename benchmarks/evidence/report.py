"""What the program writes beside the cells: figures.json, tables.md and pictures.

Everything is made from the cells that are there; nothing is carried over from an earlier run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.evidence.cells import Cells
from benchmarks.evidence.comparisons import comparison_table, comparisons, measured
from benchmarks.evidence.plan import (
    PARTS_IN_WORDS,
    RECOMMENDED_FOLDER,
    SHORT_FOLDER,
    Job,
    Plan,
    jobs_of,
)
from benchmarks.evidence.scores import Run, beside_short, runs_of
from benchmarks.evidence.tables import goal_table, goals, measure, tables
from benchmarks.evidence.work import is_done
from peer_client.simulation.recipe import Recipe

PICTURES = {
    "roc.png": "ROC curves, averaged over runs at equal false positive rates",
    "gain.png": "Gain over the local-only model",
    "calibration.png": "Calibration of the served probability on test patients",
    "curves.png": "AUC of the shared model on validation patients by round",
}
Runs = Mapping[str, Sequence[Run]]


def gathered(cells: Cells, plan: Plan) -> tuple[dict[str, Any], list[str], Runs]:
    """Return all figures, all lines of the tables, and the runs that pictures are drawn of.

    Pictures are of the recommended recipe where it was run.

    Raises:
        CellError: A cell is damaged, or cells that are compared are of different patients.
    """
    names = plan.hospitals
    shown = short = runs_of(cells, names)
    result = figures(short, plan.short)
    lines = ["## Short recipe", "", *recipe_lines(plan.short), *tables(result), "",
             *goal_table(result)]  # fmt: skip
    longer = runs_of(cells, names, RECOMMENDED_FOLDER)
    if any(longer.values()):
        shown = longer = beside_short(longer, short)
        result["recommended"] = figures(longer, plan.longer)
        lines += ["## Recommended recipe", "", *recipe_lines(plan.longer)]
        lines += ["Slices are read in five views, as a served model reads.", ""]
        lines += [*tables(result["recommended"]), "", *goal_table(result["recommended"])]
    made = programs(cells)
    result["comparisons"] = {}
    for comparison in comparisons(plan):
        if comparison.part not in made:
            continue
        found = measured(cells, plan, comparison)
        result["comparisons"][comparison.part] = found
        lines += comparison_table(found, names)
        lines += note_of_programs(comparison.part, made)
    result["programs"] = made
    result["parts"] = states(cells, plan)
    lines += missing_table(result["parts"])
    return result, lines, shown


def figures(runs: Runs, recipe: Recipe) -> dict[str, Any]:
    """Return what the cells of one recipe say, the recipe itself, and its goals."""
    found = measure(runs)
    found["recipe"] = recipe.to_dict()
    found["goals"] = [asdict(goal) for goal in goals(found)]
    return found


def recipe_lines(recipe: Recipe) -> list[str]:
    """Return a recipe in words."""
    return [
        f"{recipe.rounds} rounds of {recipe.local_steps} steps, {recipe.adapt_steps} steps of "
        f"fine-tuning; {recipe.steps} local-only steps; updates of {recipe.bits} bits.",
        "",
    ]


def states(cells: Cells, plan: Plan) -> dict[str, dict[str, int]]:
    """Return for each part how many jobs it has and wants, and the steps of what is missing."""
    found: dict[str, dict[str, int]] = {}
    for job in jobs_of(plan):
        state = found.setdefault(job.part, {"wanted": 0, "done": 0, "steps_left": 0})
        done = is_done(job, cells)
        state["wanted"] += 1
        state["done"] += done
        state["steps_left"] += 0 if done else job.steps
    return found


def missing_table(state: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return the list of what is missing as Markdown lines."""
    rows = [
        f"| {PARTS_IN_WORDS[part]} | "
        + ("not run" if not each["done"] else f"{each['done']} of {each['wanted']} jobs")
        + f" | {each['steps_left']} |"
        for part, each in state.items()
        if each["done"] < each["wanted"]
    ]
    if not rows:
        return ["Every comparison of the program was run.", ""]
    return [
        "## Not run, or not to the end",
        "",
        "| comparison | state | training steps left |",
        "| --- | --- | --- |",
        *rows,
        "",
    ]


def programs(cells: Cells) -> dict[str, dict[str, int]]:
    """Return how many cells of each folder each state of the program made."""
    found: dict[str, dict[str, int]] = {}
    for name, facts in cells.all().items():
        folder = found.setdefault(name.split("/")[0], {})
        code = str(facts.get("code", ""))
        folder[code] = folder.get(code, 0) + 1
    return found


def note_of_programs(folder: str, made: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return what is said beneath a table whose cells are not all of one state of the program.

    Args:
        folder: Of the table's cells.
        made: How many cells of each folder each state of the program made.
    """
    codes = set(made.get(folder, ())) | set(made.get(SHORT_FOLDER, ()))
    if len(codes) < 2:
        return []
    return [
        f"*Cells of this table and of the short recipe come from {len(codes)} states of the "
        "program: figures of different states are not strictly comparable.*",
        "",
    ]


def costs(plan: Plan, jobs: Sequence[Job], cells: Cells) -> list[str]:
    """Return a line a part: jobs and training steps, in all and left."""
    lines = []
    for part in dict.fromkeys(job.part for job in jobs):
        mine = [job for job in jobs if job.part == part]
        left = [job for job in mine if not is_done(job, cells)]
        lines.append(
            f"{part:19}{len(mine):4} jobs{sum(job.steps for job in mine):7} steps, left"
            f"{len(left):4} jobs{sum(job.steps for job in left):7} steps   {PARTS_IN_WORDS[part]}"
        )
    return lines


def write_report(cells: Cells, plan: Plan, folder: Path, title: str) -> dict[str, Any]:
    """Write figures.json, tables.md and the pictures; return the figures.

    Args:
        cells: All cells.
        plan: Hospitals and recipes.
        folder: Where they go.
        title: Of the tables.

    Raises:
        CellError: A cell is damaged, or cells that are compared are of different patients.
    """
    from benchmarks.evidence.pictures import write_pictures

    result, lines, runs = gathered(cells, plan)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.json").write_text(json.dumps(result, indent=1) + "\n")
    made = write_pictures(runs, result.get("recommended", result), folder)
    for name, words in PICTURES.items():
        if name in made:
            lines += [f"![{words}]({name})", ""]
    text = "\n".join([f"# {title}", "", *lines]).rstrip() + "\n"
    (folder / "tables.md").write_text(text)
    return result
