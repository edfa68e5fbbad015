"""Pictures of the evidence: what a point means, and that phantoms are other than the trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cells_by_hand import CHANCE, PERFECT, write_cell
from test_evidence_data import slices

from benchmarks.evidence.cells import Cells
from benchmarks.evidence.pictures import (
    calibration_points,
    curves_picture,
    dice_of_each,
    masks_picture,
    others,
)
from benchmarks.evidence.scores import chances_of, runs_of
from peer_client.ct.hospitals import read_hospitals

ROOT = Path(__file__).resolve().parents[3]


def test_a_calibration_point_is_the_share_seen_among_patients_said_alike() -> None:
    chances = np.repeat([0.2, 0.8], 15)
    labels = np.r_[np.arange(15) < 3, np.arange(15) < 12].astype(int)
    points = calibration_points(labels, chances)
    assert [point[:2] for point in points] == [
        (pytest.approx(0.2), pytest.approx(0.2)),
        (pytest.approx(0.8), pytest.approx(0.8)),
    ]
    # Wilson's interval for 3 of 15, worked out by hand.
    assert points[0][2:] == (pytest.approx(0.0705, abs=1e-3), pytest.approx(0.4519, abs=1e-3))


def test_few_patients_make_one_point_and_not_six() -> None:
    assert len(calibration_points(np.array([0, 1, 1]), np.array([0.1, 0.5, 0.9]))) == 1


def test_no_curve_is_drawn_where_none_was_kept(tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    write_cell(cells, "short/f0s0/federated", "ucsd", CHANCE)
    assert curves_picture(runs_of(cells, ["ucsd"])) is None


def test_the_thick_curve_is_the_mean_over_rounds_that_all_runs_have(tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    for fold, curve in enumerate(([[2, 0.5], [4, 0.7]], [[2, 0.7]])):
        write_cell(cells, f"short/f{fold}s0/federated", "ucsd", PERFECT, curve=curve)
    figure = curves_picture(runs_of(cells, ["ucsd"]))
    assert figure is not None
    lines = [line.get_xydata().tolist() for line in figure.axes[0].get_lines()]
    assert [[2.0, pytest.approx(0.6)]] in lines


def test_phantoms_that_are_shown_are_other_patients_than_those_trained_on() -> None:
    hospitals = read_hospitals(ROOT / "examples" / "phantoms.yaml")
    seeds = {each.phantoms.seed for each in hospitals if each.phantoms is not None}
    shown = others(hospitals, 3)
    assert shown
    assert not {each.phantoms.seed for each in shown if each.phantoms is not None} & seeds


def test_the_best_masks_stand_above_the_worst_and_empty_ones_are_left_out() -> None:
    part = slices("p", 2, 3)
    part.masks[2] = 0
    lesions = np.zeros((len(part), 8, 8), np.float32)
    lesions[part.mask_index[0]] = 1.0
    scores = dice_of_each(lesions, part)
    assert scores[:2].tolist() == [1.0, 0.0]
    assert np.isnan(scores[2])
    figure = masks_picture(lesions, part, "north", shown=1)
    assert figure is not None
    assert [axis.get_title() for axis in figure.axes] == ["best: Dice 1.00", "worst: Dice 0.00"]


def test_a_second_seed_does_not_count_a_patient_twice_in_the_calibration(tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    for place in ("f0s0", "f0s1", "f1s0"):
        for tag in ("local-only", "federated", "fine-tuned"):
            write_cell(cells, f"short/{place}/{tag}", "ucsd", PERFECT)
    runs = runs_of(cells, ["ucsd"])["ucsd"]
    assert len(runs) == 3
    assert [len(each.scores) for each in chances_of(runs)] == [4, 4]
