from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from peer_client.ct import slices as slices_module
from peer_client.ct.cohort import UNLABELLED, load_cohort, load_part, split_patients
from peer_client.ct.errors import CohortError, MaskError, NormalisationError, SplitLeakError
from peer_client.ct.hospitals import PartChoice, Split
from peer_client.ct.index import Item, read_index
from peer_client.ct.nifti import write_nifti
from peer_client.ct.volume_files import read_volume


def item(patient: str, fold: int | None, label: int | None = 1, part: str = "a") -> Item:
    return Item(part, Path("x.png"), None, label, patient, fold, "Home", f"{patient}.png", 2)


def test_a_cohort_holds_its_patients_in_three_splits(hospitals, phantom_folder) -> None:
    cohort = load_cohort(hospitals[0], phantom_folder, size_px=48)

    sizes = {name: (len(part), part.patient_labels()) for name, part in cohort.splits().items()}
    assert sizes["train"][0] == 12
    assert sizes["validation"][0] == sizes["test"][0] == 4
    assert sum(sizes["train"][1].values()) == 3
    patients = [set(part.patients) for part in cohort.splits().values()]
    assert not patients[0] & patients[1]
    assert not patients[0] & patients[2]
    assert not patients[1] & patients[2]


def test_masks_lie_on_the_network_grid_of_their_image(hospitals, phantom_folder) -> None:
    train = load_cohort(hospitals[0], phantom_folder, size_px=48).train

    assert train.images.dtype == np.float32
    assert train.images.shape == (12, 48, 48, 1)
    assert train.masks.dtype == np.uint8
    assert train.masks.shape[1:] == (48, 48)
    assert set(train.labels[train.mask_index].tolist()) == {1}
    # A lesion is brighter than the lung around it.
    for mask, row in zip(train.masks, train.mask_index, strict=True):
        if mask.any():
            assert train.images[row, :, :, 0][mask > 0].mean() > 1 / 6 + 0.05


def test_a_hospital_that_says_it_has_no_masks_gets_none(hospitals, phantom_folder) -> None:
    assert any(row.mask_path for row in read_index(phantom_folder) if row.part == "south_ct")

    cohort = load_cohort(hospitals[1], phantom_folder, size_px=32)

    assert all(len(part.masks) == 0 for part in cohort.splits().values())


def test_mask_parts_give_masks_and_no_labels(hospitals, phantom_folder) -> None:
    hospital = replace(
        hospitals[0],
        classes=(PartChoice("south_ct"),),
        masks=(PartChoice("north_ct", mask_values="lesion"),),
        split=hospitals[1].split,
    )

    cohort = load_cohort(hospital, phantom_folder, size_px=32)

    for part in cohort.splits().values():
        for name, label in zip(part.parts, part.labels, strict=True):
            assert (label == UNLABELLED) == (name == "north_ct")
        assert set(part.labelled().parts) == {"south_ct"}
    train = cohort.train
    north = [row for row, name in enumerate(train.parts) if name == "north_ct"]
    untold = train.masks[np.isin(train.mask_index, north)]
    assert set(np.unique(untold)) <= {0, 3}
    assert untold.any()


def test_rows_take_their_masks_with_them(hospitals, phantom_folder) -> None:
    train = load_cohort(hospitals[0], phantom_folder, size_px=32).train
    order = np.arange(len(train))[::-1].copy()

    turned = train.rows(order)

    assert turned.patients == train.patients[::-1]
    for mask, row in zip(turned.masks, turned.mask_index, strict=True):
        before = train.masks[np.flatnonzero(train.mask_index == order[row])[0]]
        np.testing.assert_array_equal(mask, before)


def test_a_random_split_is_by_patient_balanced_and_the_same_for_a_seed() -> None:
    items = [
        item(f"p{number}", None, label=int(number % 3 == 0), part="ab"[number % 2])
        for number in range(100)
        for _ in range(3)
    ]
    split = Split(seed=5)

    side = split_patients(items, split, "north")

    assert side == split_patients(items[::-1], split, "north")
    assert side != split_patients(items, replace(split, seed=6), "north")
    counts = {name: sum(s == name for s in side.values()) for name in set(side.values())}
    assert counts == {"train": 60, "validation": 20, "test": 20}
    positive = {one.patient for one in items if one.label == 1}
    assert 5 <= sum(side[patient] == "test" for patient in positive) <= 9


def test_a_patient_in_two_folds_stops_the_run_and_is_named() -> None:
    items = [item("p1", 0), item("p2", 1), item("p1", 3)]

    with pytest.raises(SplitLeakError, match="patient 'p1' is in fold 0") as caught:
        split_patients(items, Split(), "north")

    assert caught.value.names == ("p1",)


def test_rows_without_a_fold_are_refused_where_folds_split() -> None:
    with pytest.raises(CohortError, match="line 2 has no fold"):
        split_patients([item("p1", None)], Split(), "north")


def copy_of(folder: Path, target: Path) -> Path:
    """Copy a data folder: its pictures and its index."""
    target.mkdir()
    for part in folder.iterdir():
        if part.is_dir():
            shutil.copytree(part, target / part.name)
    (target / "index.csv").write_text((folder / "index.csv").read_text())
    return target


def test_an_identical_picture_in_two_splits_stops_the_run_and_is_named(
    hospitals, phantom_folder, tmp_path
) -> None:
    folder = copy_of(phantom_folder, tmp_path / "data")
    with Image.open(folder / "north_ct/images/p0000_00.png") as picture:
        picture.save(folder / "again.png", compress_level=1)
    with (folder / "index.csv").open("a") as index:
        index.write("north_ct,again.png,,0,stranger,sound,north,4,\n".replace(",sound", ""))
    text = (folder / "index.csv").read_text().splitlines()
    text[-1] = "north_ct,again.png,,0,sound,stranger,north,4,"
    (folder / "index.csv").write_text("\n".join(text) + "\n")

    with pytest.raises(SplitLeakError, match="are the same picture") as caught:
        load_cohort(hospitals[0], folder, size_px=32)

    assert caught.value.names == ("north_ct/images/p0000_00.png", "again.png")


@pytest.mark.parametrize(
    ("choice", "what"),
    [
        (PartChoice("nothing"), "no items of part 'nothing'"),
        (PartChoice("north_ct", folds=(9,)), r"folds \[9\]"),
        (PartChoice("north_ct", sites=("Mars",)), r"sites \['Mars'\]"),
        (PartChoice("north_ct", folds=(0, 1, 2)), "no patient with label 0 and 1 is in the valid"),
    ],
)
def test_data_that_is_not_there_is_named(hospitals, phantom_folder, choice, what: str) -> None:
    with pytest.raises(CohortError, match=what):
        load_cohort(replace(hospitals[0], classes=(choice,)), phantom_folder, size_px=32)


def test_a_mask_of_another_size_stops_the_run_and_is_named(data_folder, hospitals) -> None:
    folder = data_folder(["north_ct,x.png,m.png,1,p1,Home,0"])
    Image.fromarray(np.zeros((41, 40), np.uint8)).save(folder / "m.png")

    with pytest.raises(MaskError, match=r"m\.png has 41 x 40"):
        load_cohort(hospitals[0], folder, size_px=32)


def test_a_blank_picture_stops_the_run_and_is_named(data_folder, hospitals) -> None:
    folder = data_folder(["north_ct,x.png,,1,p1,Home,0"])
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(folder / "x.png")

    with pytest.raises(NormalisationError, match=r"x\.png.*blank"):
        load_cohort(hospitals[0], folder, size_px=32)


def test_pictures_without_lungs_are_listed(data_folder) -> None:
    folder = data_folder(["abdomen,x.png,,1,p1,Home,0"])
    axis = np.linspace(-1, 1, 64)
    body = np.where(np.hypot(axis[:, None], axis[None, :]) < 0.8, 200, 0).astype(np.uint8)
    Image.fromarray(body).save(folder / "x.png")

    part = load_part(folder, size_px=32)["abdomen"]

    assert part.lung_found.tolist() == [False]


def test_progress_counts_to_the_end_and_the_cache_gives_the_same(
    hospitals, phantom_folder, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(slices_module, "SHARD_ITEMS", 8)
    calls: list[tuple[int, int]] = []
    how = {"size_px": 32, "cache": tmp_path / "cache"}

    fresh = load_cohort(
        hospitals[0], phantom_folder, **how, progress=lambda *now: calls.append(now)
    )
    monkeypatch.setattr(slices_module, "to_network_input", None)
    cached = load_cohort(hospitals[0], phantom_folder, **how)

    assert calls == [(8, 20), (16, 20), (20, 20)]
    for name, part in fresh.splits().items():
        np.testing.assert_array_equal(part.images, cached.splits()[name].images)
        np.testing.assert_array_equal(part.masks, cached.splits()[name].masks)
        assert part.patients == cached.splits()[name].patients


def test_load_part_gives_every_part_or_the_one_asked_for(phantom_folder) -> None:
    parts = load_part(phantom_folder, size_px=32)

    assert {name: len(part) for name, part in parts.items()} == {"north_ct": 20, "south_ct": 10}
    assert len(parts["south_ct"].masks) > 0
    assert set(load_part(phantom_folder, "south_ct", size_px=32)) == {"south_ct"}
    with pytest.raises(CohortError, match="it has north_ct, south_ct"):
        load_part(phantom_folder, "west_ct", size_px=32)


def test_a_volume_in_the_index_gives_lung_slices_with_their_masks(data_folder, scan) -> None:
    volume, mask = scan
    folder = data_folder([])
    np.savez(folder / "v.npz", hu=volume.voxels, spacing_mm=np.array(volume.spacing_mm))
    write_nifti(folder / "v.nii.gz", mask, read_volume(folder / "v.npz"))
    data_folder(["scans,v.npz,v.nii.gz,1,p1,Home,0"])

    part = load_part(folder, size_px=32)["scans"]

    assert len(part) == len(volume.lung_slices())
    assert set(part.patients) == {"p1"}
    assert len(part.masks) == len(part)
    assert part.masks.any()
    assert part.lung_found.all()
