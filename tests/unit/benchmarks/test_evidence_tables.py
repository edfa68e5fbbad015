"""The figures of the evidence: paired by patient, averaged over rotations, never pooled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evidence_figures import dice_summary, summary
from evidence_runs import beside_headline, run_of, runs_of
from evidence_tables import measure, tables

from peer_client.rounds.ledger_figures import CANDIDATES

PATIENTS = 40


def cell(folder: Path, model: str, shift: float, *, seed: int, areas: list[list[int]]) -> None:
    """Write one hospital's cell; a larger shift separates the classes better."""
    labels = [0, 1] * (PATIENTS // 2)
    parts: dict[str, Any] = {}
    for number, part in enumerate(("validation", "test")):
        noise = np.random.default_rng([seed, number]).normal(size=PATIENTS)
        parts[part] = {
            "patients": [f"{part}{each}" for each in range(PATIENTS)],
            "labels": labels,
            "logits": (noise + shift * np.array(labels)).tolist(),
            "lesion_share": [0.01] * PATIENTS,
            "mask_patients": [f"m{each}" for each in range(len(areas))],
            "mask_areas": areas,
        }
    folder.mkdir(parents=True, exist_ok=True)
    document = {"cell": model, "hospital": "north", "readings": parts}
    (folder / f"{model}-north.json").write_text(json.dumps(document))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    for rotation in (0, 1):
        folder = tmp_path / "main" / f"r{rotation}s0"
        cell(folder, "alone", 0.5, seed=rotation, areas=[[1, 4, 4], [0, 0, 4]])
        cell(folder, "federated", 0.5, seed=rotation, areas=[[1, 4, 4], [0, 0, 4]])
        cell(folder, "adapted", 3.0, seed=rotation, areas=[[4, 4, 4], [2, 4, 4]])
    return tmp_path


def test_a_recipe_that_says_the_same_gains_exactly_nothing(cache: Path) -> None:
    row = summary(runs_of(cache, ["north"])["north"], "federated")
    assert row is not None
    assert (row["gain"], row["gain_low"], row["gain_high"]) == (0.0, 0.0, 0.0)


def test_a_better_recipe_gains_and_its_interval_holds_the_gain(cache: Path) -> None:
    row = summary(runs_of(cache, ["north"])["north"], "adapted")
    assert row is not None
    assert 0 < row["gain_low"] < row["gain"] < row["gain_high"]
    assert row["auc"] == pytest.approx(np.mean(list(row["by_run"].values())))
    assert row["runs"] == 2
    assert row["patients"] == 2 * PATIENTS


def test_what_is_served_is_at_least_as_good_on_validation(cache: Path) -> None:
    run = run_of(cache / "main" / "r0s0", "north")
    assert run is not None
    assert run.served in CANDIDATES
    assert run.validation["served"] >= run.validation["alone"]


def test_dice_gains_count_each_patient_once(cache: Path) -> None:
    row = dice_summary(runs_of(cache, ["north"])["north"], "adapted")
    assert row is not None
    assert row["dice_mean"] == pytest.approx(0.75)
    assert row["gain"] == pytest.approx(np.mean([1.0 - 0.25, 0.5 - 0.0]))


def test_tables_say_on_how_many_runs_a_gain_rests(cache: Path) -> None:
    text = "\n".join(tables(measure(runs_of(cache, ["north"]))))
    assert "(2 runs)" in text
    assert "| north | constant |" in text


def test_a_missing_rotation_is_absent_and_not_made_up(cache: Path) -> None:
    assert run_of(cache / "main" / "r0s0", "south") is None
    assert summary([], "alone") is None


def test_a_longer_recipe_is_held_against_the_headline_of_the_same_rotation_only(
    cache: Path,
) -> None:
    longer = cache / "recommended" / "r1s0"
    for model in ("alone", "federated", "adapted"):
        cell(longer, model, 3.0, seed=1, areas=[[4, 4, 4], [4, 4, 4]])

    found = beside_headline(runs_of(cache, ["north"], "recommended"), runs_of(cache, ["north"]))
    figures = measure(found)

    assert [run.rotation for run in found["north"]] == [1]
    gain = figures["differences"]["alone minus alone, headline"]["hospitals"]["north"]
    assert gain["runs"] == 1
    assert gain["low"] > 0
    dice = figures["hospitals"]["north"]["dice"]
    assert dice["alone"]["dice_mean"] == 1.0
    assert dice["alone, headline"]["dice_mean"] == pytest.approx(0.125)
