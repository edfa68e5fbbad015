"""An export of a PACS, drawn: two patients, three studies, and what lies beside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset
from pydicom.uid import generate_uid

from peer_client.ct.phantoms import phantom_volume
from peer_client.ct.volume import CtVolume
from peer_client.pacs.pseudonyms import Pseudonyms, key_in
from tests.support.dicom_series import write_dicom

Change = Callable[[FileDataset, int], None]


class Export:
    """Writes series into a folder as archives export them.

    Args:
        root: The folder.
        volume: What every series shows.
    """

    def __init__(self, root: Path, volume: CtVolume) -> None:
        self.root = root
        self.volume = volume
        self.studies: dict[str, str] = {}

    def series(
        self,
        folder: str,
        *,
        patient: str,
        study: str = "1",
        slices: slice = slice(None),
        step_mm: float | None = None,
        change: Change = lambda dataset, number: None,
        names: list[str] | None = None,
        **elements: object,
    ) -> Path:
        """Write one series; further elements are set on each of its slices."""
        uid = self.studies.setdefault(f"{patient}/{study}", generate_uid())
        spacing = self.volume.spacing_mm
        shown = CtVolume(
            self.volume.voxels[slices],
            (step_mm or spacing[0], *spacing[1:]),
            True,
            self.volume.affine,
            "npz",
        )

        def described(dataset: FileDataset, number: int) -> None:
            dataset.PatientID, dataset.PatientName = patient, f"Name^Of {patient}"
            dataset.PatientBirthDate, dataset.StudyDate = "19580704", "20250630"
            dataset.PatientSex = "F"
            dataset.StudyInstanceUID, dataset.AccessionNumber = uid, f"A{patient}-{study}"
            dataset.StudyID, dataset.StudyTime = study, "101010"
            dataset.Manufacturer, dataset.ManufacturerModelName = "Drawn", "Drawn Phantom 2"
            dataset.InstitutionName = "Ward"
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
            dataset.SeriesNumber = 2
            for keyword, value in elements.items():
                setattr(dataset, keyword, value)
            change(dataset, number)

        return write_dicom(self.root / folder, shown, change=described, names=names)


@pytest.fixture(scope="session")
def drawn() -> CtVolume:
    """A phantom of 12 slices of 64 x 64."""
    return phantom_volume(5, slices=12, size_px=64)[0]


@pytest.fixture
def export(tmp_path: Path, drawn: CtVolume) -> Export:
    """An empty export."""
    return Export(tmp_path / "export", drawn)


@pytest.fixture
def pseudonyms(tmp_path: Path) -> Pseudonyms:
    """Pseudonyms of a member."""
    return key_in(tmp_path / "member" / "client")


def without_preamble(path: Path) -> None:
    """Write a file again as older archives do: the data set alone."""
    dataset = dcmread(path)
    with path.open("wb") as file:
        out = DicomFileLike(file)
        out.is_little_endian, out.is_implicit_VR = True, True
        write_dataset(out, dataset)


@pytest.fixture
def messy(export: Export) -> Export:
    """An export as it comes."""
    # Patient 007, first study: two kernels, a thick one, a localizer, a coronal reformat, reports.
    deep = "DICOM/PA000/ST000"
    names = [f"IM{number:05d}" for number in range(12)]
    lung = export.series(
        f"{deep}/SE000", patient="007", ConvolutionKernel="B60f", SeriesDescription="Lung 1.0",
        names=names,
    )  # fmt: skip
    for name in names[-3:]:
        without_preamble(lung / name)
    export.series(
        f"{deep}/SE001", patient="007", ConvolutionKernel="B30f", SeriesNumber=3,
        SeriesDescription="Soft 1.0",
    )  # fmt: skip
    export.series(
        f"{deep}/SE002", patient="007", ConvolutionKernel="B60f", SeriesNumber=4,
        SeriesDescription="Lung apex", slices=slice(0, 3),
    )  # fmt: skip
    export.series(
        f"{deep}/SE003", patient="007", slices=slice(5, 6), SeriesNumber=1,
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SeriesDescription="Topogram",
    )  # fmt: skip

    def coronal(dataset: FileDataset, number: int) -> None:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        dataset.ImagePositionPatient = [-100, number * 2.0, 100]

    export.series(f"{deep}/SE004", patient="007", SeriesNumber=5, change=coronal)
    export.series(
        f"{deep}/SE005", patient="007", slices=slice(0, 1), SeriesNumber=99, Modality="SR",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.88.67",
    )  # fmt: skip
    export.series(
        f"{deep}/SE006", patient="007", slices=slice(0, 1), SeriesNumber=98,
        SOPClassUID="1.2.840.10008.5.1.4.1.1.7",
    )  # fmt: skip
    # Its second study, and another patient.
    export.series("DICOM/PA000/ST001/SE000", patient="007", study="2")
    export.series("DICOM/PA001/ST000/SE000", patient="008", ConvolutionKernel="LUNG")
    # What lies beside.
    (export.root / "DICOM" / "PA000" / "._ST000").write_bytes(b"\0\5\x16\7")
    (export.root / "DICOM" / "empty").write_bytes(b"")
    (export.root / "README.TXT").write_text("Open VIEWER.EXE")
    levels = np.random.default_rng(0).integers(0, 255, (40, 40)).astype(np.uint8)
    Image.fromarray(levels).save(export.root / "preview.jpg")
    copy = lung / names[0]
    (export.root / "again.dcm").write_bytes(copy.read_bytes())
    return export
