"""Cells: one row a patient, names that only the key gives back, and nothing paired by mistake."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cells_by_hand import CHANCE, KEY, PERFECT, THREE_QUARTERS, write_cell

from benchmarks.evidence.__main__ import names_key, parsed
from benchmarks.evidence.cells import CellError, Cells, by_patients, hashed, kept_key
from benchmarks.evidence.scores import difference, pairs_of, run_of, runs_of
from peer_client.evaluation.readings import Reading
from peer_client.evaluation.scores import by_patient
from peer_client.serving.choice import choose

PATIENTS = 24


@pytest.fixture
def cells(tmp_path: Path) -> Cells:
    return Cells(tmp_path)


def reading(seed: int, shift: float = 1.0) -> Reading:
    """Return three slices of each of some patients, and two masks of some."""
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(PATIENTS), 3)
    labels = owners % 2
    areas = rng.integers(1, 50, (PATIENTS, 3))
    areas[:, 0] = areas.min(1)
    return Reading(
        tuple(f"Ward 7, patient {owner}" for owner in owners),
        labels,
        rng.normal(size=len(owners)) + shift * labels,
        rng.random(len(owners)) / 10,
        tuple(f"Ward 7, patient {owner // 2}" for owner in range(PATIENTS)),
        areas,
    )


def kept(cells: Cells, name: str, found: dict[str, Reading]) -> dict[str, Reading]:
    """Return readings as a cell gives them back."""
    cells.write(name, {part: by_patients(each, KEY, "ucsd") for part, each in found.items()}, {})
    cell = cells.read(name)
    assert cell is not None
    return dict(cell.readings)


def test_a_cell_holds_one_row_a_patient_and_no_name(cells: Cells) -> None:
    back = kept(cells, "short/f0s0/federated-ucsd", {"test": reading(0)})["test"]
    text = cells.path("short/f0s0/federated-ucsd").read_text()
    assert len(back.patients) == PATIENTS
    assert "Ward" not in text
    assert "patient 7" not in text
    assert len(text) < 60 * PATIENTS + 60 * PATIENTS


def test_scores_by_patient_are_those_of_the_slices(cells: Cells) -> None:
    mine = reading(1)
    back = kept(cells, "short/f0s0/federated-ucsd", {"test": mine})["test"]
    expected = by_patient(mine)
    found = dict(zip(by_patient(back).patients, by_patient(back).scores, strict=True))
    for name, score in zip(expected.patients, expected.scores, strict=True):
        assert found[hashed(KEY, "ucsd", name)] == pytest.approx(score, abs=1e-5)


def test_the_choice_made_of_cells_is_the_choice_made_of_slices(cells: Cells) -> None:
    models = {name: reading(seed, shift) for name, seed, shift in
              (("alone", 1, 0.2), ("federated", 2, 1.5), ("adapted", 3, 0.4))}  # fmt: skip
    of_slices, of_cells = choose(models), choose(kept(cells, "short/f0s0/x-ucsd", models))
    assert of_cells.name == of_slices.name
    assert of_cells.mask_member == of_slices.mask_member
    assert of_cells.auc_validation == pytest.approx(of_slices.auc_validation, abs=1e-9)
    assert of_cells.dice_validation == pytest.approx(of_slices.dice_validation)
    slope = of_slices.decision.calibration
    assert of_cells.decision.calibration.slope == pytest.approx(slope.slope, rel=1e-3)


def test_masks_of_a_patient_stay_in_their_order_so_that_models_are_paired(cells: Cells) -> None:
    areas = np.array([[9, 9, 10], [1, 9, 20]], np.int64)
    one = replace(reading(0), mask_patients=("m", "m"), mask_areas=areas)
    other = replace(one, mask_areas=areas * [[0, 1, 1], [1, 1, 1]])
    first, second = (
        kept(cells, f"short/f0s0/{number}-ucsd", {"test": each})["test"]
        for number, each in enumerate((one, other))
    )
    assert first.mask_areas[:, 2].tolist() == second.mask_areas[:, 2].tolist() == [10, 20]


def test_names_depend_on_the_key_and_on_the_hospital() -> None:
    name = hashed(KEY, "ucsd", "7")
    assert name == hashed(KEY, "ucsd", "7")
    assert len({name, hashed(bytes(32), "ucsd", "7"), hashed(KEY, "moscow1", "7")}) == 3
    assert len(name) == 12


def test_the_key_is_drawn_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "patients.key"
    key = kept_key(path)
    assert kept_key(path) == key
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"short")
    with pytest.raises(CellError, match=r"patients\.key is not a key of 32 bytes"):
        kept_key(path)


def test_a_run_of_phantoms_can_be_added_to_on_every_machine_and_one_of_patients_cannot(
    tmp_path: Path,
) -> None:
    def key_on(machine: str, *words: str) -> bytes:
        return names_key(parsed([*words, "--cache", str(tmp_path / machine)]))

    assert key_on("here", "--phantoms") == key_on("there", "--phantoms")
    patients = "--data", str(tmp_path)
    assert key_on("here", *patients) != key_on("there", *patients)
    taken_along = str(tmp_path / "here" / "real_ct" / "patients.key")
    assert key_on("there", *patients, "--key", taken_along) == key_on("here", *patients)


def test_cells_do_not_say_their_key(cells: Cells) -> None:
    write_cell(cells, "short/f0s0/federated", "ucsd", CHANCE)
    document = json.loads(cells.path("short/f0s0/federated-ucsd").read_text())
    assert len(document["key"]) == 8
    assert KEY.hex()[:8] not in json.dumps(document)


def test_cells_of_two_keys_are_not_paired(cells: Cells) -> None:
    write_cell(cells, "short/f0s0/federated", "ucsd", CHANCE)
    write_cell(cells, "widths/f0s0/bits4", "ucsd", PERFECT, key=bytes(32))
    with pytest.raises(CellError, match="hashed with different keys"):
        pairs_of(cells, "ucsd", ("widths", "bits4"), ("short", "federated"))
    write_cell(cells, "short/f0s0/local-only", "ucsd", PERFECT, key=bytes(32))
    with pytest.raises(CellError, match="hashed with different keys"):
        run_of(cells, "short", "f0s0", "ucsd")


def test_seeds_of_two_keys_are_not_averaged_in_one_fold(cells: Cells) -> None:
    for seed, key in ((0, KEY), (1, bytes(32))):
        for tag, logits in (("local-only", CHANCE), ("federated", THREE_QUARTERS)):
            write_cell(cells, f"short/f0s{seed}/{tag}", "ucsd", logits, key=key)
    runs = runs_of(cells, ["ucsd"])["ucsd"]
    with pytest.raises(CellError, match="are of different patients"):
        difference(runs, "federated", "local-only")


def test_a_damaged_cell_and_one_of_another_format_are_named(cells: Cells) -> None:
    write_cell(cells, "short/f0s0/federated", "ucsd", CHANCE)
    path = cells.path("short/f0s0/federated-ucsd")
    whole = path.read_text()
    path.write_text(whole[:50])
    with pytest.raises(CellError, match=r"federated-ucsd\.json is damaged"):
        cells.read("short/f0s0/federated-ucsd")
    path.write_text(whole.replace('"format":1', '"format":2'))
    with pytest.raises(CellError, match="is of format 2, not 1"):
        cells.read("short/f0s0/federated-ucsd")
    path.write_text(whole.replace('"scores"', '"logits"'))
    with pytest.raises(CellError, match="is damaged"):
        cells.read("short/f0s0/federated-ucsd")


def test_a_cell_that_is_not_there_is_none(cells: Cells) -> None:
    assert cells.read("short/f0s0/federated-ucsd") is None
    assert cells.facts("short/f0s0/federated-ucsd") is None
    assert cells.all() == {}
