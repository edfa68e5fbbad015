"""The tables of everything beside the main ones: each variant, paired with its baseline.

A variant's figures stand beside the same hospitals' figures under the short recipe on the same
patients; a mean over hospitals is shown only where every hospital has been read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.evidence.cells import Cells
from benchmarks.evidence.plan import SHORT_FOLDER, Plan
from benchmarks.evidence.scores import dice_summary, mean_of, pairs_of, public, summary
from benchmarks.evidence.tables import signed

#: Folder and tag of a variant's cells.
Source = tuple[str, str]
LOCAL: Source = (SHORT_FOLDER, "local-only")
FEDERATED: Source = (SHORT_FOLDER, "federated")
TUNED: Source = (SHORT_FOLDER, "fine-tuned")


@dataclass(frozen=True)
class Variant:
    """One row of a table.

    Attributes:
        label: As the table calls it.
        cells: Its cells.
        against: The cells it is compared with, or None.
        at: The hospitals it exists at; None for all.
    """

    label: str
    cells: Source
    against: Source | None = FEDERATED
    at: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Comparison:
    """One table.

    Attributes:
        part: Of `benchmarks.evidence.plan.PARTS`.
        title: Heading.
        note: What one must know to read it.
        variants: Rows.
    """

    part: str
    title: str
    note: str
    variants: tuple[Variant, ...]


def comparisons(plan: Plan) -> list[Comparison]:
    """Return the tables for the hospitals and the recipe of a plan."""
    recipe, names = plan.short, plan.hospitals
    usual = "short recipe"
    every = f"Federated ({recipe.rounds} rounds of {recipe.local_steps} steps), not fine-tuned."
    rounds, steps = recipe.rounds, recipe.local_steps
    late = plan.latecomers
    return [
        Comparison(
            "widths",
            "Width of an update",
            f"{every} Against {recipe.bits} bits. Relative error: of the quantised update, root "
            "of squared error over squared values, mean over rounds and hospitals.",
            (
                *(Variant(f"{bits} bits", ("widths", f"bits{bits}")) for bits in (4, 6)),
                Variant(f"{recipe.bits} bits ({usual})", FEDERATED, None),
                Variant("12 bits", ("widths", "bits12")),
                Variant("float", ("widths", "float")),
            ),
        ),
        Comparison(
            "normalisation",
            "Normalisation over scanners",
            f"{every} Against both steps.",
            (
                Variant("off", ("normalisation", "off")),
                Variant("spatial", ("normalisation", "spatial")),
                Variant("signal", ("normalisation", "signal")),
                Variant(f"both ({usual})", FEDERATED, None),
            ),
        ),
        Comparison(
            "personal",
            "Layers that stay at their hospital",
            "Layers that are never averaged, because labels mean different things: those of the "
            "classes, or the whole routed trunk. Federated ones against averaging everything, "
            "the fine-tuned one against the local-only model.",
            (
                Variant(f"nothing ({usual})", FEDERATED, None),
                Variant("class capsules and auxiliary head", ("personal", "classes")),
                Variant("all routed layers", ("personal", "trunk")),
                Variant("all routed layers, fine-tuned", ("personal", "trunk-tuned"), LOCAL),
                Variant("nothing, fine-tuned", TUNED, LOCAL),
            ),
        ),
        Comparison(
            "networks",
            "Capsules, twin, textbook",
            "The twin without capsules and the textbook capsules, from the same builder, against "
            "the capsule network trained the same way on the same patients. The textbook layer "
            "at one hospital only: its steps take several times as long.",
            (
                Variant("capsules, local-only", LOCAL, None),
                Variant("twin, local-only", ("networks", "unet-local"), LOCAL),
                Variant("textbook, local-only", ("networks", "textbook-local"), LOCAL, names[:1]),
                Variant("capsules, federated", FEDERATED, None),
                Variant("twin, federated", ("networks", "unet-federated")),
            ),
        ),
        Comparison(
            "counts",
            "3, 6 and 12 hospitals",
            f"{every} 3 is without `{names[-1]}`; 6 and 12 have the patients of the same "
            "hospitals, divided by patient; each takes as many steps as a hospital of the "
            "short recipe. Judged on the whole hospitals' test patients.",
            (
                Variant("3", ("counts", "hospitals3")),
                Variant(f"{len(names)} ({usual})", FEDERATED, None),
                Variant("6", ("counts", "hospitals6")),
                Variant("12", ("counts", "hospitals12")),
            ),
        ),
        Comparison(
            "late",
            "A hospital joins late",
            "It has no part in any round, then fine-tunes the shared model. Against local-only "
            f"training with the same {recipe.adapt_steps} steps. Without `{late[-1]}` the other "
            "three are averaged as floats: only two of them have masks, too few for the "
            "ledger's rule, under which their decoder would not be shared at all.",
            tuple(
                variant
                for name in late
                for variant in (
                    Variant(f"{name}: as few local steps", ("late", "few-local"), None, (name,)),
                    Variant(
                        f"{name}: the others' model",
                        ("late", f"without-{name}"),
                        ("late", "few-local"),
                        (name,),
                    ),
                    Variant(
                        f"{name}: joined late, fine-tuned",
                        ("late", f"joined-{name}"),
                        ("late", "few-local"),
                        (name,),
                    ),
                    Variant(
                        f"{name}: taking part from the start, fine-tuned",
                        TUNED,
                        ("late", "few-local"),
                        (name,),
                    ),
                )
            ),
        ),
        Comparison(
            "rounds",
            "Rounds x local steps",
            f"Federated, {recipe.bits} bits. A round costs the same bytes whatever its "
            f"steps. Against {rounds} x {steps}.",
            tuple(
                Variant(
                    f"{r} x {s}: {r * s} steps, {r / rounds:g}x the bytes"
                    + (f" ({usual})" if (r, s) == (rounds, steps) else ""),
                    FEDERATED if (r, s) == (rounds, steps) else ("rounds", f"{r}x{s}"),
                    None if (r, s) == (rounds, steps) else FEDERATED,
                )
                for r, s in plan.rounds_and_steps
            ),
        ),
        Comparison(
            "faults",
            "Missing masks, wrong labels",
            f"{every} Wrong labels: 20 % of the training patients of `{names[1]}`. Masks withheld: "
            f"those of `{plan.without_masks}`, judged on its test masks; averaged as floats and "
            "against floats, because under the ledger's rule two holders of masks of four share "
            "no decoder.",
            (
                Variant(f"labels as they are ({usual})", FEDERATED, None),
                Variant("wrong labels", ("faults", "wrong-labels")),
                Variant("all masks, float", ("widths", "float"), None),
                Variant("masks withheld, float", ("faults", "masks-withheld"), ("widths", "float")),
            ),
        ),
    ]


def measured(cells: Cells, plan: Plan, comparison: Comparison) -> dict[str, Any]:
    """Return a table's figures, as JSON can hold them; rows without cells are left out."""
    rows: dict[str, Any] = {}
    folds = own_folds(cells, plan, comparison)
    for variant in comparison.variants:
        row = variant_row(cells, variant, plan.hospitals, folds)
        if row is not None:
            rows[variant.label] = row
    found: dict[str, Any] = public(
        {"title": comparison.title, "note": comparison.note, "rows": rows}
    )
    return found


def own_folds(cells: Cells, plan: Plan, comparison: Comparison) -> frozenset[int]:
    """Return the folds in which anything was run for this table alone.

    The short recipe's own rows are of these folds too: beside a variant of one fold, a mean over
    five would compare different patients.
    """
    return frozenset(
        run.fold
        for variant in comparison.variants
        if variant.cells[0] != FEDERATED[0]
        for name in variant.at or plan.hospitals
        for run in pairs_of(cells, name, variant.cells, None)
    )


def variant_row(
    cells: Cells, variant: Variant, names: tuple[str, ...], folds: frozenset[int]
) -> dict[str, Any] | None:
    """Return one row's figures by hospital; None where no cell is there."""
    at = variant.at or names
    auc, dice, masks = {}, {}, {}
    errors: list[float] = []
    codes: set[str] = set()
    for name in at:
        runs = pairs_of(cells, name, variant.cells, variant.against)
        # The second seed is of the short recipe only: a row is of the first where it is compared.
        runs = [run for run in runs if run.seed == 0 and run.fold in folds]
        figures = summary(runs, "variant", "baseline")
        if figures is None:
            continue
        auc[name] = figures
        lesions = dice_summary(runs, "variant", "baseline")
        if lesions is not None:
            dice[name] = lesions
            masks[name] = runs[0].facts["variant"]["masks"]
        facts = [run.facts["variant"] for run in runs]
        errors += [each["relative_error"] for each in facts if "relative_error" in each]
        codes |= {str(each.get("code", "")) for each in facts}
    if not auc:
        return None
    row: dict[str, Any] = {
        "cells": sum(figures["runs"] for figures in auc.values()),
        "auc": auc,
        "dice": dice,
        "masks": masks,
        "programs": len(codes),
    }
    if errors:
        row["relative_error"] = sum(errors) / len(errors)
    if len(auc) == len(names):
        row["mean"] = mean_of(list(auc.values()), "auc", "_auc_draws")
        if all("gain" in figures for figures in auc.values()):
            row["mean_gain"] = mean_of(list(auc.values()), "gain", "_draws")
    return row


def comparison_table(found: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    """Return one comparison as Markdown lines; nothing where nothing of its own was run."""
    rows = found["rows"]
    errors = any("relative_error" in row for row in rows.values()) and "Relative" in found["note"]
    head = ["variant", "cells", "mean AUC [95 %]", "difference [95 %]"]
    head += ["relative error"] * errors + list(names)
    lines = [f"### {found['title']}", "", found["note"], "", "| " + " | ".join(head) + " |"]
    lines.append("|" + " --- |" * len(head))
    for label, row in rows.items():
        cells = [label, str(row["cells"])]
        cells.append(interval(row["mean"], "value") if "mean" in row else "")
        gains = {name: mine for name, mine in row["auc"].items() if "gain" in mine}
        alone = next(iter(gains)) if len(row["auc"]) == len(gains) == 1 else None
        if "mean_gain" in row:
            cells.append(signed(row["mean_gain"]))
        else:
            cells.append(gain_of(gains[alone]) if alone else "")
        if errors:
            cells.append(f"{row['relative_error']:.3f}" if "relative_error" in row else "")
        for name in names:
            mine = row["auc"].get(name)
            text = interval(mine, "auc") if mine else ""
            if name in gains and name != alone and "mean_gain" not in row:
                text += f"; {gain_of(mine)}"
            cells.append(text)
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, *lesion_lines(rows, names), ""]


def lesion_lines(rows: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    """Return Dice on test masks, a row a variant; nothing where no row has masks."""
    shown = [name for name in names if any(name in row["dice"] for row in rows.values())]
    if not shown:
        return []
    masks = {name: masks for row in rows.values() for name, masks in row["masks"].items()}
    head = [f"{name}{whose(masks[name])}" for name in shown]
    lines = [
        "",
        "Dice on test masks: mean / pooled; difference of the mean by patient [95 %].",
        "",
        f"| variant | {' | '.join(head)} |",
        "| --- |" + " --- |" * len(shown),
    ]
    for label, row in rows.items():
        cells = [label]
        for name in shown:
            mine = row["dice"].get(name)
            text = f"{mine['dice_mean']:.3f} / {mine['dice_pooled']:.3f}" if mine else ""
            cells.append(text + (f"; {gain_of(mine)}" if mine and "gain" in mine else ""))
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def gain_of(row: Mapping[str, Any]) -> str:
    """Return a row's gain over its baseline, as tables show it."""
    return signed(row, "gain", "gain_low", "gain_high")


def whose(masks: str | None) -> str:
    """Return in brackets whose masks a lesion map is compared with, where not the hospital's own.

    >>> whose("masks of ucsd")
    ' (masks of ucsd)'
    """
    return "" if masks in (None, "own") else f" ({masks})"


def interval(row: Mapping[str, Any], value: str) -> str:
    """Return a figure with its interval, as tables show it."""
    return f"{row[value]:.3f} [{row['low']:.2f}, {row['high']:.2f}]"
