"""The figures of the evidence: paired by patient, averaged over folds, never pooled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cells_by_hand import write_cell

from benchmarks.evidence.cells import Cells
from benchmarks.evidence.scores import (
    IN_WORDS,
    beside_short,
    dice_summary,
    run_of,
    runs_of,
    summary,
)
from benchmarks.evidence.tables import measure, tables

PATIENTS = 40


def cell(cells: Cells, name: str, shift: float, *, seed: int, areas: list[list[int]]) -> None:
    """Write one hospital's cell; a larger shift separates the classes better."""
    labels = [0, 1] * (PATIENTS // 2)
    noise = np.random.default_rng(seed).normal(size=PATIENTS)
    logits = noise + shift * np.array(labels)
    masks = {"validation": areas, "test": areas}
    write_cell(cells, name, "north", logits.tolist(), labels=labels, masks=masks)


@pytest.fixture
def cells(tmp_path: Path) -> Cells:
    cells = Cells(tmp_path)
    for fold in (0, 1):
        place = f"short/f{fold}s0"
        cell(cells, f"{place}/local-only", 0.5, seed=fold, areas=[[1, 4, 4], [0, 0, 4]])
        cell(cells, f"{place}/federated", 0.5, seed=fold, areas=[[1, 4, 4], [0, 0, 4]])
        cell(cells, f"{place}/fine-tuned", 3.0, seed=fold, areas=[[4, 4, 4], [2, 4, 4]])
    return cells


def test_a_recipe_that_says_the_same_gains_exactly_nothing(cells: Cells) -> None:
    row = summary(runs_of(cells, ["north"])["north"], "federated")
    assert row is not None
    assert (row["gain"], row["gain_low"], row["gain_high"]) == (0.0, 0.0, 0.0)


def test_a_better_recipe_gains_and_its_interval_holds_the_gain(cells: Cells) -> None:
    row = summary(runs_of(cells, ["north"])["north"], "fine-tuned")
    assert row is not None
    assert 0 < row["gain_low"] < row["gain"] < row["gain_high"]
    assert row["auc"] == pytest.approx(np.mean(list(row["by_run"].values())))
    assert row["runs"] == 2
    assert row["patients"] == 2 * PATIENTS


def test_what_is_served_is_at_least_as_good_on_validation(cells: Cells) -> None:
    run = run_of(cells, "short", "f0s0", "north")
    assert run is not None
    assert run.served in IN_WORDS.values()
    assert run.validation["served"] >= run.validation["local-only"]


def test_dice_gains_count_each_patient_once(cells: Cells) -> None:
    row = dice_summary(runs_of(cells, ["north"])["north"], "fine-tuned")
    assert row is not None
    assert row["dice_mean"] == pytest.approx(0.75)
    assert row["gain"] == pytest.approx(np.mean([1.0 - 0.25, 0.5 - 0.0]))


def test_tables_say_on_how_many_runs_a_gain_rests(cells: Cells) -> None:
    text = "\n".join(tables(measure(runs_of(cells, ["north"]))))
    assert "(2 runs)" in text
    assert "| north | constant |" in text


def test_a_missing_fold_is_absent_and_not_made_up(cells: Cells) -> None:
    assert run_of(cells, "short", "f0s0", "south") is None
    assert summary([], "local-only") is None


def test_a_longer_recipe_is_compared_with_the_short_one_of_the_same_fold_only(
    cells: Cells,
) -> None:
    for model in ("local-only", "federated", "fine-tuned"):
        name = f"recommended/f1s0/{model}"
        cell(cells, name, 3.0, seed=1, areas=[[4, 4, 4], [4, 4, 4]])

    found = beside_short(runs_of(cells, ["north"], "recommended"), runs_of(cells, ["north"]))
    figures = measure(found)

    assert [run.fold for run in found["north"]] == [1]
    gain = figures["differences"]["local-only minus local-only, short"]["hospitals"]["north"]
    assert gain["runs"] == 1
    assert gain["low"] > 0
    dice = figures["hospitals"]["north"]["dice"]
    assert dice["local-only"]["dice_mean"] == 1.0
    assert dice["local-only, short"]["dice_mean"] == pytest.approx(0.125)
