from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from peer_client.ct.errors import CacheError, HospitalFileError
from peer_client.ct.index import read_index
from peer_client.ct.phantom_anatomy import draw_anatomy, lung_region, slice_hu
from peer_client.ct.phantoms import COLUMNS, phantom_volume, write_phantoms


def drawn(kind: str, seed: int = 1, z: float = 0.55, size: int = 128):
    anatomy = draw_anatomy(np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1]), kind)
    axis = np.linspace(-190, 190, size, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    hu, mask = slice_hu(anatomy, x, y, z)
    return hu, mask, lung_region(anatomy, x, y, z)


def test_levels_are_those_of_a_chest() -> None:
    hu, _, lungs = drawn("sound")

    assert np.median(hu[lungs]) == pytest.approx(-840, abs=60)
    assert hu[0, 0] == -1000
    assert 0.1 < lungs.mean() < 0.35
    assert (hu > 200).mean() > 0.005  # bone


def test_ground_glass_and_consolidation_have_masks_at_their_levels() -> None:
    seen = {1: [], 2: []}
    for seed in range(16):
        hu, mask, lungs = drawn("pneumonia", seed, z=0.6)
        assert not (mask[~lungs] > 0).any()
        for kind, levels in seen.items():
            levels.extend(hu[mask == kind].tolist())

    assert -720 < np.median(seen[1]) < -350
    assert -150 < np.median(seen[2]) < 120
    assert len(seen[1]) > len(seen[2]) > 100


@pytest.mark.parametrize("kind", ["sound", "nodules", "effusion", "emphysema"])
def test_patients_without_the_finding_have_no_mask(kind: str) -> None:
    assert not any(drawn(kind, seed)[1].any() for seed in range(6))


@pytest.mark.parametrize("kind", ["pneumonia", "nodules", "effusion", "emphysema"])
def test_only_the_lungs_differ_between_kinds(kind: str) -> None:
    for seed in range(4):
        sound, _, lungs = drawn("sound", seed)
        other, _, _ = drawn(kind, seed)

        np.testing.assert_array_equal(sound[~lungs], other[~lungs])


def test_other_findings_are_seen() -> None:
    def mean_change(kind: str) -> float:
        changes = []
        for seed in range(8):
            sound, _, lungs = drawn("sound", seed)
            changes.append(float((drawn(kind, seed)[0] - sound)[lungs].mean()))
        return float(np.mean(changes))

    assert mean_change("nodules") > 2
    assert mean_change("effusion") > 30
    assert mean_change("emphysema") < -1


def test_the_folder_has_the_shape_of_real_data(phantom_folder) -> None:
    items = read_index(phantom_folder)
    with (phantom_folder / "index.csv").open(newline="") as handle:
        assert tuple(csv.DictReader(handle).fieldnames or ()) == COLUMNS

    assert len(items) == 30
    assert {item.fold for item in items} == {0, 1, 2, 3, 4}
    for part in ("north_ct", "south_ct"):
        labels = {item.patient: item.label for item in items if item.part == part}
        assert sorted(labels.values()) == [0] * 5 + [1] * 5
    masked = [item for item in items if item.mask_path]
    assert len(masked) >= 8
    assert {item.label for item in masked} == {1}


def test_the_same_seed_draws_the_same_files_and_another_does_not(
    hospitals, phantom_folder, tmp_path
) -> None:
    again = write_phantoms(hospitals[:1], tmp_path / "again")
    source = replace(hospitals[0].phantoms, seed=99)
    other = write_phantoms([replace(hospitals[0], phantoms=source)], tmp_path / "other")

    name = "north_ct/images/p0003_01.png"
    assert (again / name).read_bytes() == (phantom_folder / name).read_bytes()
    assert (other / name).read_bytes() != (phantom_folder / name).read_bytes()


def test_a_folder_that_is_written_is_not_written_again(hospitals, tmp_path) -> None:
    folder = write_phantoms(hospitals[1:], tmp_path)
    before = (folder / "index.csv").stat().st_mtime_ns
    calls: list[tuple[int, int]] = []

    write_phantoms(hospitals[1:], tmp_path, progress=lambda *now: calls.append(now))

    assert calls == [(10, 10)]
    assert (folder / "index.csv").stat().st_mtime_ns == before

    (folder / "phantoms.json").unlink()
    write_phantoms(hospitals[1:], tmp_path)
    assert (folder / "index.csv").stat().st_mtime_ns != before


def test_scanners_differ_in_grey_scale_and_noise(phantom_folder) -> None:
    def corner(part: str) -> list[int]:
        with Image.open(next((phantom_folder / part / "images").iterdir())) as picture:
            return np.asarray(picture)[:6, :6].ravel().tolist()

    assert np.mean(corner("north_ct")) > 40  # air in a lung window
    assert np.mean(corner("south_ct")) < 8  # padding of the field of view


def test_the_scanner_gives_nothing_of_the_label_away(hospitals, phantom_folder) -> None:
    """The air around the body has the same noise and level in both classes."""
    levels: dict[int, list[float]] = {0: [], 1: []}
    for item in read_index(phantom_folder):
        if item.part == "north_ct":
            with Image.open(item.path) as picture:
                air = np.asarray(picture)[:5].astype(float)
            levels[item.label].append(float(air.std()))

    spread = np.std(levels[0] + levels[1])
    assert abs(np.mean(levels[0]) - np.mean(levels[1])) < spread


def test_a_hospital_without_phantoms_is_refused(hospitals, tmp_path) -> None:
    with pytest.raises(HospitalFileError, match="no way to make phantoms"):
        write_phantoms([replace(hospitals[0], phantoms=None)], tmp_path)


def test_a_folder_that_cannot_be_written_is_a_sentence(hospitals, tmp_path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(CacheError, match="cannot write phantoms"):
        write_phantoms(hospitals, tmp_path / "file")


def test_a_volume_has_its_lesions_where_its_mask_says(scan) -> None:
    volume, mask = scan

    assert volume.voxels.shape == mask.shape == (8, 64, 64)
    assert volume.voxels[mask == 1].mean() > -700
    other, _ = phantom_volume(5, slices=8, size_px=64)
    np.testing.assert_array_equal(other.voxels, volume.voxels)
