"""Small data folders and scans, all of them drawn by the project's own phantoms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from peer_client.ct.hospitals import HospitalData, parse_hospitals
from peer_client.ct.phantoms import phantom_volume, write_phantoms
from peer_client.ct.volume import CtVolume

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


def write_dicom(
    folder: Path,
    volume: CtVolume,
    *,
    change=lambda dataset, number: None,
    names: list[str] | None = None,
) -> Path:
    """Write a volume as a DICOM series, slices from the feet to the head.

    `change` may alter each file's dataset before it is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    series, frame = generate_uid(), generate_uid()
    towards_head = volume.voxels[::-1]
    for number, pixels in enumerate(towards_head):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        name = names[number] if names else f"{number:03d}.dcm"
        dataset = FileDataset(str(folder / name), {}, file_meta=meta, preamble=b"\0" * 128)
        dataset.SOPClassUID = CTImageStorage
        dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        dataset.Modality = "CT"
        dataset.SeriesInstanceUID = series
        dataset.FrameOfReferenceUID = frame
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.ImagePositionPatient = [-100.0, -80.0, number * volume.spacing_mm[0]]
        dataset.PixelSpacing = [volume.spacing_mm[1], volume.spacing_mm[2]]
        dataset.SliceThickness = volume.spacing_mm[0]
        dataset.InstanceNumber = number + 1
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.SamplesPerPixel = 1
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit = 15
        dataset.PixelRepresentation = 0
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        dataset.PixelData = (pixels.astype(np.int32) + 1024).astype("<u2").tobytes()
        change(dataset, number)
        dataset.save_as(folder / name, enforce_file_format=True)
    return folder


@pytest.fixture
def dicom_folder(tmp_path: Path, scan: tuple[CtVolume, np.ndarray]):
    """Write the phantom as a DICOM series; keyword arguments as for `write_dicom`."""

    def write(**how) -> Path:
        return write_dicom(tmp_path / "series", scan[0], **how)

    return write
