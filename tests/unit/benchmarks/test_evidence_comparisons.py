"""Differences, goals and tables from hand-made cells; what was not run is never claimed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cells_by_hand import CHANCE, PERFECT, REVERSED, THREE_QUARTERS, write_cell

from benchmarks.evidence.cells import Cells
from benchmarks.evidence.comparisons import comparison_table, comparisons, measured
from benchmarks.evidence.plan import Plan, jobs_of
from benchmarks.evidence.report import gathered, states, write_report
from benchmarks.evidence.scores import LOCAL_ENSEMBLE, run_of, runs_of
from benchmarks.evidence.tables import MISSED, NOT_RUN, REACHED, goals, measure

HOSPITALS = ("ucsd", "saopaulo", "moscow1", "moscow2")
PLAN = Plan(HOSPITALS)


@pytest.fixture
def cells(tmp_path: Path) -> Cells:
    return Cells(tmp_path / "cells")


def short(cells: Cells, folds: range = range(5), folder: str = "short") -> None:
    """Local-only at chance, federated and fine-tuned three quarters, pooled perfect, everywhere."""
    for fold in folds:
        for name in HOSPITALS:
            place = f"{folder}/f{fold}s0"
            write_cell(cells, f"{place}/local-only", name, CHANCE)
            write_cell(cells, f"{place}/federated", name, THREE_QUARTERS)
            write_cell(cells, f"{place}/fine-tuned", name, THREE_QUARTERS)
            write_cell(cells, f"{place}/pooled", name, PERFECT)


def comparison(part: str, cells: Cells) -> dict[str, Any]:
    (found,) = [each for each in comparisons(PLAN) if each.part == part]
    return measured(cells, PLAN, found)


def test_pooled_minus_fine_tuned_is_the_difference_of_their_aucs(cells: Cells) -> None:
    short(cells)
    found = measure(runs_of(cells, HOSPITALS))["differences"]["pooled minus fine-tuned"]
    assert found["mean"]["value"] == pytest.approx(0.25)
    assert {row["value"] for row in found["hospitals"].values()} == {0.25}


def test_a_mean_over_hospitals_is_absent_where_one_hospital_is(cells: Cells) -> None:
    short(cells)
    for path in cells.folder.glob("short/*/pooled-moscow2.json"):
        path.unlink()
    found = measure(runs_of(cells, HOSPITALS))["differences"]["pooled minus fine-tuned"]
    assert "mean" not in found
    assert "moscow2" not in found["hospitals"]


def test_the_local_ensemble_is_mixed_in_equal_parts_each_scaled_on_validation(
    cells: Cells,
) -> None:
    write_cell(cells, "short/f0s0/local-only", "ucsd", PERFECT)
    # A thousand times the scale must not be a thousand times the weight: two against one.
    for seed, logits in ((1, PERFECT), (2, tuple(1000 * each for each in REVERSED))):
        write_cell(cells, f"ensemble/f0s{seed}/local-only", "ucsd", logits)
    run = run_of(cells, "short", "f0s0", "ucsd")
    assert run is not None
    assert run.validation[LOCAL_ENSEMBLE] == 1.0


def test_two_models_are_no_ensemble_of_three(cells: Cells) -> None:
    write_cell(cells, "short/f0s0/local-only", "ucsd", PERFECT)
    write_cell(cells, "ensemble/f0s1/local-only", "ucsd", PERFECT)
    run = run_of(cells, "short", "f0s0", "ucsd")
    assert run is not None
    assert LOCAL_ENSEMBLE not in run.recipes


def test_the_ensemble_is_compared_with_the_local_one_on_the_same_patients(cells: Cells) -> None:
    short(cells, range(1))
    for seed in (1, 2):
        write_cell(cells, f"ensemble/f0s{seed}/local-only", "ucsd", CHANCE)
    found = measure(runs_of(cells, HOSPITALS))
    row = found["differences"][f"ensemble minus {LOCAL_ENSEMBLE}"]["hospitals"]["ucsd"]
    ensemble = found["hospitals"]["ucsd"]["auc"]["ensemble"]["auc"]
    assert row["value"] == pytest.approx(ensemble - 0.5)


def test_goals_are_reached_missed_or_not_run_as_the_cells_say(cells: Cells) -> None:
    short(cells)
    state = {goal.name: goal for goal in goals(measure(runs_of(cells, HOSPITALS)))}
    assert state["fine-tuned minus local-only at ucsd >= 0"].state == REACHED
    assert state["fine-tuned minus local-only, mean >= +0.03"].state == REACHED
    assert state["pooled minus fine-tuned, mean <= 0.01"].state == MISSED
    assert state["Dice pooled, served, MedSeg >= 0.78"].state == NOT_RUN


def test_no_goal_is_called_reached_on_fewer_folds(cells: Cells) -> None:
    short(cells, range(4))
    states_now = {goal.state for goal in goals(measure(runs_of(cells, HOSPITALS)))}
    assert REACHED not in states_now
    assert any("4 of 5 folds" in state for state in states_now)


def test_without_cells_every_goal_is_not_run_and_every_part_is_missing(cells: Cells) -> None:
    result, lines, _ = gathered(cells, PLAN)
    assert {goal["state"] for goal in result["goals"]} == {NOT_RUN}
    assert not result["comparisons"]
    assert "\n".join(lines).count("| not run | ") >= len(result["parts"])


def test_a_variant_is_paired_with_the_short_recipe_and_its_dice_with_its_dice(
    cells: Cells,
) -> None:
    for name in HOSPITALS:
        half, whole = {"test": [[2, 4, 4]]}, {"test": [[4, 4, 4]]}
        write_cell(cells, "short/f0s0/federated", name, THREE_QUARTERS, masks=whole)
        write_cell(cells, "widths/f0s0/bits4", name, CHANCE, masks=half, relative_error=0.5)
    row = comparison("widths", cells)["rows"]["4 bits"]
    assert row["cells"] == 4
    assert row["mean"]["value"] == pytest.approx(0.5)
    assert row["mean_gain"]["value"] == pytest.approx(-0.25)
    assert row["dice"]["ucsd"]["dice_mean"] == pytest.approx(0.5)
    assert row["dice"]["ucsd"]["gain"] == pytest.approx(-0.5)
    assert row["relative_error"] == 0.5
    table = "\n".join(comparison_table(comparison("widths", cells), HOSPITALS))
    assert "| 4 bits | 4 | 0.500 [" in table
    assert "6 bits" not in table


def test_a_variant_is_not_paired_with_another_fold(cells: Cells) -> None:
    write_cell(cells, "short/f1s0/federated", "ucsd", PERFECT)
    write_cell(cells, "widths/f0s0/bits4", "ucsd", CHANCE)
    assert "gain" not in comparison("widths", cells)["rows"]["4 bits"]["auc"]["ucsd"]


def test_a_late_joiner_is_compared_with_as_few_local_steps(cells: Cells) -> None:
    write_cell(cells, "late/f0s0/few-local", "moscow2", CHANCE)
    write_cell(cells, "late/f0s0/joined-moscow2", "moscow2", THREE_QUARTERS)
    write_cell(cells, "short/f0s0/fine-tuned", "moscow2", PERFECT)
    rows = comparison("late", cells)["rows"]
    joined = rows["moscow2: joined late, fine-tuned"]["auc"]["moscow2"]
    assert joined["gain"] == pytest.approx(0.25)
    always = rows["moscow2: taking part from the start, fine-tuned"]["auc"]["moscow2"]
    assert always["gain"] == pytest.approx(0.5)


def test_a_hospital_without_masks_is_judged_on_anothers_and_the_table_says_so(
    cells: Cells,
) -> None:
    masks = {"masks of ucsd": [[1, 2, 2]]}
    write_cell(cells, "short/f0s0/local-only", "moscow2", CHANCE, masks=masks)
    foreign = cells.read("short/f0s0/local-only-moscow2")
    assert foreign is not None
    assert foreign.known["masks"] == "masks of ucsd"
    write_cell(cells, "short/f0s0/local-only", "ucsd", CHANCE, masks={"test": [[1, 2, 2]]})
    own = cells.read("short/f0s0/local-only-ucsd")
    assert own is not None
    assert own.known["masks"] == "own"
    _, lines, _ = gathered(cells, PLAN)
    assert any(line.startswith("| moscow2 (masks of ucsd) | local-only |") for line in lines)


def test_states_count_jobs_and_the_steps_of_unfinished_ones(cells: Cells) -> None:
    for name in HOSPITALS[:3]:
        write_cell(cells, "widths/f0s0/bits4", name, CHANCE)
    state = states(cells, PLAN)["widths"]
    assert (state["done"], state["wanted"]) == (0, 4)
    assert state["steps_left"] == 4 * 4 * PLAN.short.federated_steps
    write_cell(cells, "widths/f0s0/bits4", HOSPITALS[3], CHANCE)
    state = states(cells, PLAN)["widths"]
    assert (state["done"], state["steps_left"]) == (1, 3 * 4 * PLAN.short.federated_steps)


def test_cells_of_two_states_of_the_program_are_told_beneath_their_table(cells: Cells) -> None:
    write_cell(cells, "short/f0s0/federated", "ucsd", CHANCE, code="one")
    write_cell(cells, "widths/f0s0/bits4", "ucsd", PERFECT, code="one")
    assert not any("states of the program" in line for line in gathered(cells, PLAN)[1])
    write_cell(cells, "widths/f0s0/bits4", "ucsd", PERFECT, code="two")
    result, lines, _ = gathered(cells, PLAN)
    assert sum("2 states of the program" in line for line in lines) == 1
    assert result["programs"] == {"short": {"one": 1}, "widths": {"two": 1}}


def test_the_report_is_made_of_the_cells_that_are_there_and_of_nothing_else(
    cells: Cells, tmp_path: Path
) -> None:
    folder = tmp_path / "report"
    short(cells, range(2))
    write_cell(cells, "widths/f0s0/bits4", "ucsd", PERFECT)
    write_report(cells, PLAN, folder, "Evidence")
    first = (folder / "tables.md").read_text()
    for path in [*cells.folder.glob("short/f1s0/*.json"), *cells.folder.glob("widths/f0s0/*")]:
        path.unlink()
    write_report(cells, PLAN, folder, "Evidence")
    figures = json.loads((folder / "figures.json").read_text())
    assert figures["hospitals"]["ucsd"]["auc"]["local-only"]["runs"] == 1
    assert figures["comparisons"] == {}
    assert "Width of an update" in first
    assert "Width of an update" not in (folder / "tables.md").read_text()
    assert "_draws" not in json.dumps(figures)


def test_pictures_are_of_the_recommended_recipe_where_it_was_run(
    cells: Cells, tmp_path: Path
) -> None:
    short(cells, range(1))
    _, _, shown = gathered(cells, PLAN)
    assert [run.fold for run in shown["ucsd"]] == [0]
    short(cells, range(1, 2), "recommended")
    result, lines, shown = gathered(cells, PLAN)
    assert [run.fold for run in shown["ucsd"]] == [1]
    assert result["recommended"]["hospitals"]["ucsd"]["auc"]["pooled"]["auc"] == 1.0
    assert lines.index("## Short recipe") < lines.index("## Recommended recipe")
    write_report(cells, PLAN, tmp_path, "Evidence")
    assert "![ROC curves" in (tmp_path / "tables.md").read_text()
    assert (tmp_path / "roc.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_is_added_to_fold_by_fold(cells: Cells) -> None:
    short(cells, range(1))
    before = gathered(cells, PLAN)[0]["hospitals"]["ucsd"]["auc"]["local-only"]
    short(cells, range(1, 2))
    after = gathered(cells, PLAN)[0]["hospitals"]["ucsd"]["auc"]["local-only"]
    assert (before["folds"], after["folds"]) == (1, 2)
    assert after["patients"] == 2 * before["patients"]
    assert after["by_run"]["f0s0"] == before["by_run"]["f0s0"]


def test_every_part_of_the_plan_has_a_table_or_is_of_the_main_ones() -> None:
    main = {"short", "second-seed", "pooled", "ensemble", "recommended", "recommended-pooled"}
    parts = {job.part for job in jobs_of(PLAN)}
    assert parts == main | {each.part for each in comparisons(PLAN)}


def test_every_variant_of_a_table_is_made_by_a_job() -> None:
    made = {(job.folder, job.tag) for job in jobs_of(PLAN)}
    wanted = {each.cells for found in comparisons(PLAN) for each in found.variants}
    assert wanted <= made
