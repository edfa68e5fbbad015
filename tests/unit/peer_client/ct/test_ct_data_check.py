"""A data folder is looked at before any study: all that would stop train, not the first alone."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from peer_client.cli.main import main
from peer_client.ct.cohort import load_cohort
from peer_client.ct.data_check import FolderCheck, check_folder, hospital_of_folder
from peer_client.ct.errors import IntakeError
from peer_client.ct.folder_input import is_own_output
from peer_client.ct.hospitals import HospitalData
from peer_client.ct.index import read_index


@pytest.fixture
def folder(phantom_folder: Path, tmp_path: Path) -> Path:
    """A copy of the phantoms' folder, to be changed."""
    return shutil.copytree(phantom_folder, tmp_path / "ward")


def checked(folder: Path, hospital: HospitalData | None = None) -> FolderCheck:
    items = read_index(folder)
    hospital = hospital or hospital_of_folder(items, "ward")
    return check_folder(folder, items, hospital, size_px=32, cache=None)


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "index.csv").read_text().splitlines()))


def write_rows(folder: Path, rows: list[dict[str, str]]) -> None:
    with (folder / "index.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(
        main, ["data", "check", *map(str, args), "--no-step", "--threads", "1"]
    )


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches and sheets go into the test's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_a_good_folder_is_counted_by_data_set_split_class_mask_and_patient(
    folder: Path, hospitals
) -> None:
    found = checked(folder, hospitals[0])

    cohort = load_cohort(hospitals[0], folder, size_px=32)
    assert found.would_start
    assert found.exit_code == 0
    assert found.both_classes == {"train": True, "validation": True, "test": True}
    assert len(found.split_of) == 10
    for counts in found.counts:
        slices = cohort.splits()[counts.split]
        labels = list(slices.patient_labels().values())
        assert counts.dataset == "north_ct"
        assert (counts.patients, counts.slices) == (len(labels), len(slices))
        assert (counts.positive, counts.negative) == (labels.count(1), labels.count(0))
        assert counts.masks == len(slices.mask_index)
        assert counts.without_lungs == int((~slices.lung_found).sum())


def test_slices_without_lungs_are_named(folder: Path) -> None:
    name = rows_of(folder)[0]["file"]
    with Image.open(folder / name) as opened:
        shape = (opened.height, opened.width)
    ramp = np.tile(np.arange(shape[1], dtype=np.uint8), (shape[0], 1))
    Image.fromarray(ramp).save(folder / name)

    found = checked(folder)

    assert name in found.without_lungs
    assert any("no lungs" in finding.text for finding in found.findings)


def test_the_same_picture_in_two_splits_stops_train_and_a_near_copy_is_noted(
    folder: Path, hospitals
) -> None:
    rows = [row for row in rows_of(folder) if row["part"] == "north_ct"]
    train = next(row for row in rows if row["fold"] == "0")
    test = next(row for row in rows if row["fold"] == "4")
    with Image.open(folder / train["file"]) as opened:
        levels = np.asarray(opened.convert("L"))
    Image.fromarray(np.minimum(levels, 250)).save(folder / test["file"])

    near = checked(folder, hospitals[0])
    assert near.would_start
    assert [pair.same for pair in near.pairs if test["file"] in pair.one] == [False]
    assert any("nearly the same" in finding.text for finding in near.findings)

    shutil.copy(folder / train["file"], folder / test["file"])
    same = checked(folder, hospitals[0])
    assert same.exit_code == 87
    assert [pair.same for pair in same.pairs if test["file"] in pair.one] == [True]


def test_every_file_that_cannot_be_read_is_named_and_the_rest_counted(folder: Path) -> None:
    broken = [row["file"] for row in rows_of(folder)[:3]]
    (folder / broken[0]).write_bytes(b"")
    (folder / broken[2]).write_bytes(b"no picture")

    found = checked(folder)

    stops = [finding for finding in found.findings if finding.stops]
    assert len(stops) == 2
    assert broken[0] in stops[0].text
    assert broken[2] in stops[1].text
    assert {finding.exit_code for finding in stops} == {82}
    assert sum(each.slices for each in found.counts) == len(rows_of(folder)) - 2


def test_a_split_without_one_class_stops_train(folder: Path, hospitals) -> None:
    rows = rows_of(folder)
    write_rows(folder, [r for r in rows if not (r["fold"] == "4" and r["label"] == "1")])

    found = checked(folder, hospitals[0])

    assert found.exit_code == 89
    assert found.both_classes == {"train": True, "validation": True, "test": False}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rows: [row | {"fold": ""} for row in rows],
        lambda rows: [row | {"label": ""} for row in rows],
        lambda rows: [row | {"patient": "one"} for row in rows],
        lambda rows: [row | {"part": "other"} for row in rows],
        lambda rows: [row | {"mask": ""} for row in rows],
    ],
    ids=["no folds", "no labels", "one patient", "no such part", "no masks"],
)
def test_check_ends_with_the_code_that_train_would_end_with(folder: Path, hospitals, spoil) -> None:
    write_rows(folder, spoil(rows_of(folder)))

    with pytest.raises(IntakeError) as caught:
        load_cohort(hospitals[0], folder, size_px=32)

    assert checked(folder, hospitals[0]).exit_code == caught.value.exit_code


def test_without_a_file_of_hospitals_every_part_with_both_labels_is_learnt(folder: Path) -> None:
    rows = rows_of(folder)
    atlas = [
        row | {"part": "atlas", "patient": "x" + row["patient"]} for row in rows if row["mask"]
    ]
    hospital = hospital_of_folder(read_index(folder), "ward")
    assert [choice.part for choice in hospital.classes] == ["north_ct", "south_ct"]
    assert hospital.split.seed is None

    write_rows(folder, [*rows, *(row | {"label": "1", "fold": ""} for row in atlas)])
    hospital = hospital_of_folder(read_index(folder), "ward")
    assert [choice.part for choice in hospital.masks] == ["atlas"]
    assert hospital.split.seed == 0


def test_the_command_says_whether_train_would_start(folder: Path) -> None:
    done = run(folder)

    assert done.exit_code == 0, done.output
    assert "train would start" in done.output
    sheet = Path("contact-sheet.png")
    assert is_own_output(sheet)
    assert sheet.stat().st_mode & 0o777 == 0o600
    with Image.open(sheet) as drawn:
        assert drawn.width > 1000


def test_the_command_prints_one_document_and_ends_with_the_code(folder: Path) -> None:
    (folder / rows_of(folder)[0]["file"]).write_bytes(b"")

    done = run(folder, "--json", "--contact-sheet", "sheet.png")

    document = json.loads(done.stdout)
    assert done.exit_code == 82
    assert not document["would_start"]
    (hospital,) = document["hospitals"]
    assert hospital["exit_code"] == 82
    assert hospital["step"] is None
    assert {"counts", "both_classes", "without_lungs", "duplicates", "near_duplicates"} <= set(
        hospital
    )


def test_a_folder_without_index_ends_as_train_does(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    assert run(tmp_path / "empty").exit_code == 80
