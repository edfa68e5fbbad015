"""What the program writes: results/evidence.json, and docs/evidence.md between its marks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from evidence_comparisons import (
    Comparison,
    comparison_table,
    comparisons,
    measured,
    speed_table,
)
from evidence_goals import goal_table, goals
from evidence_kept import Kept
from evidence_parts import HEADLINE_FOLDER, RECOMMENDED_FOLDER, Job, Plan, jobs_of
from evidence_runs import Run, beside_headline, runs_of
from evidence_tables import measure, tables

from peer_client.simulation.recipe import Recipe

MARK = "<!-- tables from benchmarks/evidence.py -->"
#: What each part is, for the list of what was not run.
PARTS_IN_WORDS = {
    "headline": "floor, alone, federated, adapted, mixture, served",
    "recommended": "the same by the recommended recipe",
    "recommended-central": "central at equal steps, by the recommended recipe",
    "widths": "4, 6 and 12 bits and float",
    "normalisation": "normalisation off, spatial, signal",
    "ensemble": "as many models trained alone as a mixture has",
    "central": "central at equal steps",
    "second-seed": "a second seed of the headline",
    "personal": "class layers or the routed trunk kept at home",
    "networks": "twin and textbook layer",
    "counts": "3, 6 and 12 hospitals",
    "late": "a hospital joins late",
    "rounds": "rounds x local steps",
    "faults": "masks withheld; wrong labels",
}
PICTURES = (
    ("evidence_roc.png", "ROC curves, averaged over runs at equal false positive rates"),
    ("evidence_gain.png", "Gain over the model trained alone"),
    ("evidence_calibration.png", "Calibration of the served probability on test patients"),
    ("evidence_curves.png", "AUC of the shared model on validation patients by round"),
)


class Gathered(NamedTuple):
    """What the cells and the figures of before say together.

    Attributes:
        figures: All of them, as evidence.json holds them.
        lines: Of the page's part.
        shown: The runs that pictures are drawn of, and their figures: of what is recommended,
            where that was run; None where only figures are left, whose pictures stay as they are.
    """

    figures: dict[str, Any]
    lines: list[str]
    shown: tuple[Mapping[str, Sequence[Run]], Mapping[str, Any]] | None


def gathered(cache: Path, plan: Plan, training: Path, earlier: Mapping[str, Any]) -> Gathered:
    """Return all figures and all lines of the page's part.

    Cells of other days may be gone while their figures are not: a section with fewer runs in the
    cache than its figures came from keeps these, and the page says so.

    Args:
        cache: Where cells lie.
        plan: Hospitals and recipe.
        training: What `make benchmark-training` printed, if it was kept.
        earlier: The figures as they were written last.
    """
    names = plan.hospitals
    kept = Kept(earlier)
    shown = None
    headline = runs_of(cache, names)
    if kept.take("headline", plan.recipe, runs=trained(headline)):
        result = {key: kept.earlier[key] for key in ("hospitals", "differences", "goals", "recipe")}
    else:
        result = figures(headline, plan.recipe)
        shown = headline, result
    lines = ["### Headline", "", *tables(result), "", *goal_table(result)]
    longer = runs_of(cache, names, RECOMMENDED_FOLDER)
    if kept.take("recommended", plan.longer, runs=trained(longer)):
        result["recommended"] = kept.earlier["recommended"]
        shown = None
    elif trained(longer):
        longer = beside_headline(longer, headline)
        result["recommended"] = figures(longer, plan.longer)
        shown = longer, result["recommended"]
    if "recommended" in result:
        lines += recommended_lines(result["recommended"], plan.longer)
    result["comparisons"] = {}
    for comparison in comparisons(plan):
        if has_own(cache, comparison):
            found = measured(cache, plan, comparison)
        elif kept.take(comparison.part, plan.recipe):
            found = kept.earlier["comparisons"][comparison.part]
        else:
            continue
        result["comparisons"][comparison.part] = found
    result["programs"] = {**programs(cache), **kept.programs()}
    for part, found in result["comparisons"].items():
        lines += comparison_table(found, names)
        lines += note_of_state(part, result["programs"])
        if part == "networks":
            lines += speed_table(training)
    state = {**states(cache, plan), **kept.states()}
    result["parts"] = state
    result["kept"] = kept.sections
    lines += missing_table(state)
    lines += kept.lines()
    codes = {code for made in result["programs"].values() for code in made}
    if len(codes) > 1:
        lines += [
            f"The cells come from {len(codes)} states of the program "
            "(evidence.json names them): figures of different states are not strictly comparable.",
            "",
        ]
    return Gathered(result, lines, shown)


def trained(runs: Mapping[str, Sequence[Run]]) -> int:
    """Return how many runs there are that have more than the floor."""
    return sum("alone" in run.recipes for mine in runs.values() for run in mine)


def figures(runs: Mapping[str, Sequence[Run]], recipe: Recipe) -> dict[str, Any]:
    """Return what the cells of one recipe say, the recipe itself, and its goals."""
    found = measure(runs)
    found["recipe"] = recipe.to_dict()
    found["goals"] = [asdict(goal) for goal in goals(found)]
    return found


def recommended_lines(found: Mapping[str, Any], recipe: Recipe) -> list[str]:
    """Return the recommended recipe's part of the page."""
    return [
        "### The recommended recipe",
        "",
        f"{recipe.rounds} rounds of {recipe.local_steps} steps and {recipe.adapt_steps} steps at "
        f"home, {recipe.steps} steps alone: what `hospital-client simulate` does by default. "
        "Slices are read in five views (`model/views.py`), as a served model does; everything "
        "else on this page is read in one. "
        '"headline" is the headline\'s recipe on the same patients.',
        "",
        *tables(found),
        "",
        *goal_table(found),
    ]


def has_own(cache: Path, comparison: Comparison) -> bool:
    """Return whether anything but the headline's own cells was made for a table."""
    return any(
        next((cache / variant.cells[0]).glob(f"r*s*/{variant.cells[1]}-*.json"), None) is not None
        for variant in comparison.variants
        if variant.cells[0] == comparison.part
    )


def states(cache: Path, plan: Plan) -> dict[str, dict[str, int]]:
    """Return for each part how many cells it has and wants, and the steps of what is missing."""
    found: dict[str, dict[str, int]] = {}
    for job in jobs_of(plan):
        state = found.setdefault(job.part, {"wanted": 0, "done": 0, "steps_left": 0})
        cells = job.cells(cache)
        done = sum(job.has_read(path) for path in cells)
        state["wanted"] += len(cells)
        state["done"] += done
        state["steps_left"] += job.steps if done < len(cells) else 0
    return found


def missing_table(state: dict[str, dict[str, int]]) -> list[str]:
    """Return the list of what is missing as Markdown lines."""
    lines = [
        f"| {PARTS_IN_WORDS[part]} | "
        + ("not run" if not each["done"] else f"{each['done']} of {each['wanted']} cells")
        + f" | {each['steps_left']} |"
        for part, each in state.items()
        if each["done"] < each["wanted"]
    ]
    if not lines:
        return ["Every comparison of the program was run.", ""]
    return [
        "### Not run, or not to the end",
        "",
        "| comparison | state | training steps left |",
        "| --- | --- | --- |",
        *lines,
        "",
    ]


def programs(cache: Path) -> dict[str, dict[str, int]]:
    """Return how many cells of each folder each state of the program made."""
    found: dict[str, dict[str, int]] = {}
    for path in sorted(cache.glob("*/r*s*/*.json")):
        code = str(json.loads(path.read_text()).get("code", ""))
        if code:
            folder = found.setdefault(path.parent.parent.name, {})
            folder[code] = folder.get(code, 0) + 1
    return found


def note_of_state(folder: str, made: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return what is said beneath a table that the headline above it was not made with.

    Args:
        folder: Of the table's cells.
        made: How many cells of each folder each state of the program made.
    """
    mine, headline = set(made.get(folder, ())), set(made.get(HEADLINE_FOLDER, ()))
    if not headline or mine <= headline:
        return []
    return [
        "*Made by another state of the program than the headline above; so was what it is held "
        "against here.*",
        "",
    ]


def costs(plan: Plan, jobs: Sequence[Job], cache: Path) -> list[str]:
    """Return a line a part: jobs and training steps, in all and left."""
    lines = []
    for part in dict.fromkeys(job.part for job in jobs):
        mine = [job for job in jobs if job.part == part]
        left = [job for job in mine if not job.is_done(cache)]
        lines.append(
            f"{part:14}{len(mine):4} jobs{sum(job.steps for job in mine):7} steps, left"
            f"{len(left):4} jobs{sum(job.steps for job in left):7} steps   {PARTS_IN_WORDS[part]}"
        )
    return lines


def write_page(cache: Path, plan: Plan, root: Path) -> list[str]:
    """Write figures and pictures, put the tables into the page, and return its lines.

    Args:
        cache: Where cells lie.
        plan: Hospitals and recipe.
        root: The folder with benchmarks/results and docs.
    """
    from evidence_pictures import write_pictures

    results, pictures = root / "benchmarks" / "results", root / "docs" / "pictures"
    for folder in (results, pictures):
        folder.mkdir(parents=True, exist_ok=True)
    path = results / "evidence.json"
    earlier = json.loads(path.read_text()) if path.exists() else {}
    result, lines, shown = gathered(cache, plan, results / "training.json", earlier)
    # Not sorted: tables made from kept figures have the order of the file.
    path.write_text(json.dumps(result, indent=1) + "\n")
    made = write_pictures(*shown, pictures) if shown else set()
    made |= {name for name, _ in PICTURES if result["kept"] and (pictures / name).exists()}
    page = root / "docs" / "evidence.md"
    parts = page.read_text().split(MARK) if page.exists() else []
    around = "".join(parts[0::2])  # pictures that the page itself shows are not shown twice
    for name, title in PICTURES:
        if name in made and name not in around:
            lines += [f"![{title}](pictures/{name})", ""]
    if len(parts) == 3:
        parts[1] = "\n" + "\n".join(lines).rstrip() + "\n"
        page.write_text(MARK.join(parts))
    return lines
