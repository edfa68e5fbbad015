"""Small data folders and scans, all of them drawn by the project's own phantoms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from peer_client.ct.hospitals import HospitalData, parse_hospitals
from peer_client.ct.phantoms import phantom_volume, write_phantoms
from peer_client.ct.volume import CtVolume
from tests.support.dicom_series import write_dicom

PHANTOMS = """
format: 1
hospitals:
  - name: north
    member: north
    label_positive: pneumonia
    label_negative: other disease
    has_masks: true
    classes: [{part: north_ct}]
    split: {train: [0, 1, 2], validation: [3], test: [4]}
    phantoms:
      patients: 10
      slices: 2
      seed: 3
      negatives: [sound, nodules, effusion, emphysema]
      scanner: {kernel_mm: 0.8, noise_hu: 20, grain_mm: 1, window: lung, gamma: 1, size_px: 64}
  - name: south
    member: south
    label_positive: pneumonia
    label_negative: sound
    has_masks: false
    classes: [{part: south_ct}]
    split: {train: [0, 1, 2], validation: [3], test: [4], seed: 8}
    phantoms:
      patients: 10
      slices: 1
      seed: 4
      negatives: [sound]
      scanner:
        kernel_mm: 1
        noise_hu: 30
        grain_mm: 2
        window: slice
        gamma: 1
        jpeg_quality: 90
        size_px: 96
"""


@pytest.fixture(scope="session")
def hospitals() -> tuple[HospitalData, ...]:
    """Two hospitals with small phantoms: one with masks and folds, one without, split by seed."""
    return parse_hospitals(PHANTOMS, name="phantoms.yaml")


@pytest.fixture(scope="session")
def phantom_folder(
    tmp_path_factory: pytest.TempPathFactory, hospitals: tuple[HospitalData, ...]
) -> Path:
    """The data folder of the two hospitals. Do not change it."""
    return write_phantoms(hospitals, tmp_path_factory.mktemp("phantoms"))


@pytest.fixture(scope="session")
def scan() -> tuple[CtVolume, np.ndarray]:
    """A phantom volume of 8 slices of 64 x 64 and its lesion classes."""
    return phantom_volume(5, slices=8, size_px=64)


@pytest.fixture
def data_folder(tmp_path: Path):
    """Write a data folder from rows of text; every file named in them is a small picture."""

    def write(rows: list[str], header: str = "part,file,mask,label,patient,site,fold") -> Path:
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        (folder / "index.csv").write_text("\n".join([header, *rows]) + "\n")
        for number, row in enumerate(rows):
            for name in row.split(",")[1:3]:
                if name.endswith(".png") and "/" not in name and not (folder / name).exists():
                    levels = np.random.default_rng(number).integers(0, 255, (40, 40))
                    Image.fromarray(levels.astype(np.uint8)).save(folder / name)
        return folder

    return write


@pytest.fixture
def dicom_folder(tmp_path: Path, scan: tuple[CtVolume, np.ndarray]):
    """Write the phantom as a DICOM series; keyword arguments as for `write_dicom`."""

    def write(**how) -> Path:
        return write_dicom(tmp_path / "series", scan[0], **how)

    return write
