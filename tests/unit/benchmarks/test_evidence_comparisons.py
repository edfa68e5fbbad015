"""Differences, goals and tables from hand-made cells; what was not run is never claimed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from evidence_comparisons import comparison_table, comparisons, measured, speed_table
from evidence_goals import MISSED, NOT_RUN, REACHED, goals
from evidence_hand_made import CHANCE, PERFECT, REVERSED, THREE_QUARTERS, write_cell
from evidence_page import MARK, gathered, states, write_page
from evidence_parts import Plan
from evidence_runs import ENSEMBLE, read_cell, run_of, runs_of
from evidence_tables import measure

HOSPITALS = ("ucsd", "saopaulo", "moscow1", "moscow2")
PLAN = Plan(HOSPITALS)


def headline(cache: Path, rotations: range = range(5)) -> None:
    """Alone at chance, federated and adapted three quarters, central perfect, everywhere."""
    for rotation in rotations:
        for name in HOSPITALS:
            where = f"main/r{rotation}s0"
            write_cell(cache, where, "alone", name, CHANCE)
            write_cell(cache, where, "federated", name, THREE_QUARTERS)
            write_cell(cache, where, "adapted", name, THREE_QUARTERS)
            write_cell(cache, where, "central", name, PERFECT)


def comparison(part: str, cache: Path) -> dict:
    (found,) = [each for each in comparisons(PLAN) if each.part == part]
    return measured(cache, PLAN, found)


def test_central_minus_adapted_is_the_difference_of_their_aucs(tmp_path: Path) -> None:
    headline(tmp_path)
    found = measure(runs_of(tmp_path, HOSPITALS))["differences"]["central minus adapted"]
    assert found["mean"]["value"] == pytest.approx(0.25)
    assert {row["value"] for row in found["hospitals"].values()} == {0.25}


def test_a_mean_over_hospitals_is_absent_where_one_hospital_is(tmp_path: Path) -> None:
    headline(tmp_path)
    for path in tmp_path.glob("main/*/central-moscow2.json"):
        path.unlink()
    found = measure(runs_of(tmp_path, HOSPITALS))["differences"]["central minus adapted"]
    assert "mean" not in found
    assert "moscow2" not in found["hospitals"]


def test_the_ensemble_is_mixed_in_equal_parts_each_scaled_on_validation(tmp_path: Path) -> None:
    write_cell(tmp_path, "main/r0s0", "alone", "ucsd", PERFECT)
    # A thousand times the scale must not be a thousand times the weight: two against one.
    for seed, logits in ((1, PERFECT), (2, tuple(1000 * each for each in REVERSED))):
        write_cell(tmp_path, f"ensemble/r0s{seed}", "alone", "ucsd", logits)
    run = run_of(tmp_path / "main" / "r0s0", "ucsd")
    assert run is not None
    assert run.validation[ENSEMBLE] == 1.0


def test_two_models_are_no_ensemble_of_three(tmp_path: Path) -> None:
    write_cell(tmp_path, "main/r0s0", "alone", "ucsd", PERFECT)
    write_cell(tmp_path, "ensemble/r0s1", "alone", "ucsd", PERFECT)
    run = run_of(tmp_path / "main" / "r0s0", "ucsd")
    assert run is not None
    assert ENSEMBLE not in run.recipes


def test_the_mixture_is_held_against_the_ensemble_on_the_same_patients(tmp_path: Path) -> None:
    headline(tmp_path, range(1))
    for seed in (1, 2):
        write_cell(tmp_path, f"ensemble/r0s{seed}", "alone", "ucsd", CHANCE)
    found = measure(runs_of(tmp_path, HOSPITALS))
    row = found["differences"][f"mixture minus {ENSEMBLE}"]["hospitals"]["ucsd"]
    assert row["value"] == pytest.approx(found["hospitals"]["ucsd"]["auc"]["mixture"]["auc"] - 0.5)


def test_goals_are_reached_missed_or_not_run_as_the_cells_say(tmp_path: Path) -> None:
    headline(tmp_path)
    state = {goal.name: goal for goal in goals(measure(runs_of(tmp_path, HOSPITALS)))}
    assert state["adapted minus alone at ucsd >= 0"].state == REACHED
    assert state["adapted minus alone, mean >= +0.03"].state == REACHED
    assert state["central minus adapted, mean <= 0.01"].state == MISSED
    assert state["Dice pooled, served, MedSeg >= 0.78"].state == NOT_RUN


def test_no_goal_is_called_reached_on_fewer_rotations(tmp_path: Path) -> None:
    headline(tmp_path, range(4))
    states_now = {goal.state for goal in goals(measure(runs_of(tmp_path, HOSPITALS)))}
    assert REACHED not in states_now
    assert any("4 of 5 rotations" in state for state in states_now)


def test_without_cells_every_goal_is_not_run_and_every_part_is_missing(tmp_path: Path) -> None:
    result, lines, _ = gathered(tmp_path, PLAN, tmp_path / "training.json", {})
    assert {goal["state"] for goal in result["goals"]} == {NOT_RUN}
    assert not result["comparisons"]
    assert "\n".join(lines).count("| not run | ") >= len(result["parts"])


def test_a_variant_is_paired_with_the_headline_and_its_dice_with_its_dice(tmp_path: Path) -> None:
    for name in HOSPITALS:
        half, whole = {"test": [[2, 4, 4]]}, {"test": [[4, 4, 4]]}
        write_cell(tmp_path, "main/r0s0", "federated", name, THREE_QUARTERS, masks=whole)
        write_cell(tmp_path, "widths/r0s0", "bits4", name, CHANCE, masks=half, relative_error=0.5)
    row = comparison("widths", tmp_path)["rows"]["4 bits"]
    assert row["cells"] == 4
    assert row["mean"]["value"] == pytest.approx(0.5)
    assert row["mean_gain"]["value"] == pytest.approx(-0.25)
    assert row["dice"]["ucsd"]["dice_mean"] == pytest.approx(0.5)
    assert row["dice"]["ucsd"]["gain"] == pytest.approx(-0.5)
    assert row["relative_error"] == 0.5
    table = "\n".join(comparison_table(comparison("widths", tmp_path), HOSPITALS))
    assert "| 4 bits | 4 | 0.500 [" in table
    assert "6 bits" not in table


def test_a_variant_is_not_paired_with_another_rotation(tmp_path: Path) -> None:
    write_cell(tmp_path, "main/r1s0", "federated", "ucsd", PERFECT)
    write_cell(tmp_path, "widths/r0s0", "bits4", "ucsd", CHANCE)
    assert "gain" not in comparison("widths", tmp_path)["rows"]["4 bits"]["auc"]["ucsd"]


def test_a_late_joiner_is_held_against_as_few_steps_alone(tmp_path: Path) -> None:
    write_cell(tmp_path, "late/r0s0", "few-alone", "moscow2", CHANCE)
    write_cell(tmp_path, "late/r0s0", "joined-moscow2", "moscow2", THREE_QUARTERS)
    write_cell(tmp_path, "main/r0s0", "adapted", "moscow2", PERFECT)
    rows = comparison("late", tmp_path)["rows"]
    assert rows["moscow2: joined late, adapted"]["auc"]["moscow2"]["gain"] == pytest.approx(0.25)
    always = rows["moscow2: in it from the start, adapted"]["auc"]["moscow2"]
    assert always["gain"] == pytest.approx(0.5)


def test_a_hospital_without_masks_is_judged_on_anothers_and_the_table_says_so(
    tmp_path: Path,
) -> None:
    masks = {"masks of ucsd": [[1, 2, 2]]}
    path = write_cell(tmp_path, "main/r0s0", "alone", "moscow2", CHANCE, masks=masks)
    assert read_cell(path).told["masks"] == "masks of ucsd"
    own = write_cell(tmp_path, "main/r0s0", "alone", "ucsd", CHANCE, masks={"test": [[1, 2, 2]]})
    assert read_cell(own).told["masks"] == "own"
    _, lines, _ = gathered(tmp_path, PLAN, tmp_path / "training.json", {})
    assert any(line.startswith("| moscow2 (masks of ucsd) | alone |") for line in lines)


def test_states_count_cells_and_the_steps_of_unfinished_jobs(tmp_path: Path) -> None:
    for name in HOSPITALS[:3]:
        write_cell(tmp_path, "widths/r0s0", "bits4", name, CHANCE)
    state = states(tmp_path, PLAN)["widths"]
    assert (state["done"], state["wanted"]) == (3, 16)
    assert state["steps_left"] == 4 * 4 * PLAN.recipe.federated_steps
    write_cell(tmp_path, "widths/r0s0", "bits4", HOSPITALS[3], CHANCE)
    assert states(tmp_path, PLAN)["widths"]["steps_left"] == 3 * 4 * PLAN.recipe.federated_steps


def test_the_page_is_rewritten_between_its_marks_only(tmp_path: Path) -> None:
    cache, page = tmp_path / "cache", tmp_path / "docs" / "evidence.md"
    headline(cache, range(1))
    page.parent.mkdir()
    page.write_text(f"before\n{MARK}\nold\n{MARK}\nafter ![](pictures/evidence_roc.png)\n")
    write_page(cache, PLAN, tmp_path)
    text = page.read_text()
    assert text.startswith(f"before\n{MARK}")
    assert text.endswith("after ![](pictures/evidence_roc.png)\n")
    assert "old" not in text
    assert text.count("pictures/evidence_roc.png") == 1
    assert text.count("pictures/evidence_calibration.png") == 1
    assert (tmp_path / "docs" / "pictures" / "evidence_calibration.png").exists()
    figures = json.loads((tmp_path / "benchmarks" / "results" / "evidence.json").read_text())
    assert "_draws" not in json.dumps(figures)


def test_cells_of_two_states_of_the_program_are_told(tmp_path: Path) -> None:
    write_cell(tmp_path, "main/r0s0", "alone", "ucsd", CHANCE, code="one")
    write_cell(tmp_path, "main/r1s0", "alone", "ucsd", CHANCE, code="two")
    _, lines, _ = gathered(tmp_path, PLAN, tmp_path / "training.json", {})
    assert any("2 states of the program" in line for line in lines)


def test_figures_whose_cells_are_gone_are_kept_and_named(tmp_path: Path) -> None:
    training = tmp_path / "training.json"
    headline(tmp_path)
    write_cell(tmp_path, "widths/r0s0", "bits4", "ucsd", PERFECT, code="gone")
    before, lines, _ = gathered(tmp_path, PLAN, training, {})
    assert before["kept"] == []
    assert not any(line.startswith("Kept from") for line in lines)
    for path in [*tmp_path.glob("main/r*/*.json"), *tmp_path.glob("widths/r*/*.json")]:
        path.unlink()
    write_cell(tmp_path, "recommended/r0s0", "alone", "ucsd", PERFECT, code="new")
    after, lines, _ = gathered(tmp_path, PLAN, training, json.loads(json.dumps(before)))
    assert after["kept"] == ["headline", "widths"]
    assert after["hospitals"] == before["hospitals"]
    assert after["comparisons"]["widths"] == before["comparisons"]["widths"]
    assert after["parts"]["headline"] == before["parts"]["headline"]
    assert after["recommended"]["hospitals"]["ucsd"]["auc"]["alone"]["auc"] == 1.0
    assert after["programs"] == {**before["programs"], "recommended": {"new": 1}}
    assert any(line.startswith("Kept from an earlier run") for line in lines)


def test_a_table_of_another_state_of_the_program_than_the_headline_says_so(tmp_path: Path) -> None:
    training = tmp_path / "training.json"
    write_cell(tmp_path, "main/r0s0", "alone", "ucsd", CHANCE, code="old")
    write_cell(tmp_path, "widths/r0s0", "bits4", "ucsd", PERFECT, code="old")
    before, lines, _ = gathered(tmp_path, PLAN, training, {})
    assert not any("another state" in line for line in lines)
    (tmp_path / "widths/r0s0/bits4-ucsd.json").unlink()
    write_cell(tmp_path, "main/r0s0", "alone", "ucsd", CHANCE, code="new")
    after, lines, _ = gathered(tmp_path, PLAN, training, json.loads(json.dumps(before)))
    assert after["kept"] == ["widths"]
    assert sum("another state" in line for line in lines) == 1


def test_figures_made_anew_leave_no_state_of_the_program_behind(tmp_path: Path) -> None:
    training = tmp_path / "training.json"
    write_cell(tmp_path, "main/r0s0", "alone", "ucsd", CHANCE, code="old")
    before, *_ = gathered(tmp_path, PLAN, training, {})
    write_cell(tmp_path, "main/r0s0", "alone", "ucsd", CHANCE, code="new")
    after, lines, _ = gathered(tmp_path, PLAN, training, before)
    assert after["programs"] == {"main": {"new": 1}}
    assert not any("states of the program" in line for line in lines)


def test_pictures_of_the_recommended_recipe_stay_where_only_its_figures_are_left(
    tmp_path: Path,
) -> None:
    cache, pictures = tmp_path / "cache", tmp_path / "docs" / "pictures"
    headline(cache, range(1))
    (cache / "main").rename(cache / "recommended")
    write_page(cache, PLAN, tmp_path)
    before = (pictures / "evidence_roc.png").read_bytes()
    (cache / "recommended").rename(cache / "gone")
    headline(cache, range(2))
    write_page(cache, PLAN, tmp_path)
    assert (pictures / "evidence_roc.png").read_bytes() == before


def test_figures_of_more_runs_than_the_cache_has_are_kept(tmp_path: Path) -> None:
    training = tmp_path / "training.json"
    headline(tmp_path, range(2))
    before, *_ = gathered(tmp_path, PLAN, training, {})
    for path in tmp_path.glob("main/r1*/*.json"):
        path.unlink()
    write_cell(tmp_path, "widths/r0s0", "bits4", "ucsd", PERFECT, code="new")
    after, _, shown = gathered(tmp_path, PLAN, training, json.loads(json.dumps(before)))
    assert after["kept"] == ["headline"]
    assert after["hospitals"] == before["hospitals"]
    assert after["programs"]["main"] == before["programs"]["main"]
    assert "widths" in after["comparisons"]
    assert shown is None


def test_figures_of_as_many_runs_as_the_cache_has_are_made_anew(tmp_path: Path) -> None:
    headline(tmp_path, range(2))
    before, *_ = gathered(tmp_path, PLAN, tmp_path / "training.json", {})
    after, _, shown = gathered(tmp_path, PLAN, tmp_path / "training.json", before)
    assert after["kept"] == []
    assert shown is not None


def test_figures_of_another_recipe_are_not_kept(tmp_path: Path) -> None:
    headline(tmp_path)
    before, *_ = gathered(tmp_path, PLAN, tmp_path / "training.json", {})
    for path in tmp_path.glob("main/r*/*.json"):
        path.unlink()
    longer = Plan(HOSPITALS, replace(PLAN.recipe, rounds=PLAN.recipe.rounds + 1))
    after, *_ = gathered(tmp_path, longer, tmp_path / "training.json", before)
    assert after["kept"] == []
    assert after["hospitals"]["ucsd"]["auc"] == {}


def test_speed_comes_from_the_benchmarks_last_line(tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    assert speed_table(path) == []
    row = {"system": "unet", "threads": 1, "parameters": 7, "images_per_second_train": 30.5,
           "images_per_second_predict": 90.0, "peak_megabytes": 700}  # fmt: skip
    path.write_text("a table before it\n" + json.dumps([row]) + "\n")
    assert "| unet | 1 | 7 | 30.5 | 90.0 | 700 |" in speed_table(path)
