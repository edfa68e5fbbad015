"""Look at every file of an export: which are CT slices, and why the others are not.

Folders are entered to any depth; files are known as DICOM by their content, not by their names. A
medium's DICOMDIR is read for one thing: whether files that it lists are missing.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom

from peer_client.ct.dicom import AXIAL_COSINE, not_a_slice
from peer_client.ct.dicom_files import DicomFile, read_elements, reading
from peer_client.ct.errors import DataFolderError, VolumeError
from peer_client.ct.folder_input import PassedOver, begins_like_dicom, is_picture
from peer_client.ct.links import check_links

#: Told (files looked at, files in all).
Progress = Callable[[int, int], None]
#: Values of ImageType (DICOM PS3.3, C.8.2.1.1.1 and vendors' own) of what is no reconstruction.
_NO_RECONSTRUCTION: Final = {
    "LOCALIZER": "a localizer",
    "SECONDARY": "derived from another series (ImageType SECONDARY)",
    "MIP": "a projection (ImageType MIP)",
    "MAX_IP": "a projection (ImageType MAX_IP)",
    "MINIP": "a projection (ImageType MINIP)",
    "MIN_IP": "a projection (ImageType MIN_IP)",
    "PROJECTION IMAGE": "a projection (ImageType PROJECTION IMAGE)",
    "VOLUME RENDER": "a rendering (ImageType VOLUME RENDER)",
    "SCREEN SAVE": "a picture of a screen (ImageType SCREEN SAVE)",
    "DOSE_INFO": "a page of doses (ImageType DOSE_INFO)",
}


@dataclass(frozen=True, slots=True)
class Instance:
    """What is needed of one file with CT slices.

    Attributes:
        path: The file.
        uid: SOPInstanceUID.
        patient: PatientID.
        accession: AccessionNumber, may be empty.
        study: StudyInstanceUID.
        series: SeriesInstanceUID.
        number: SeriesNumber.
        description: SeriesDescription.
        original: Whether ImageType begins with ORIGINAL.
        kernel: ConvolutionKernel.
        thickness_mm: SliceThickness, 0 where unknown.
        geometry: What slices of one volume have in common.
        acquisition: AcquisitionNumber.
        axial: Whether the slices are axial.
        frames: Slices in the file.
        place_mm: Place of the first one along the normal of its plane.
        scanner: Manufacturer and model.
        site: InstitutionName.
        sex: "F", "M", "O" or empty.
        age_group: Ten years, e.g. "60-69", or empty.
    """

    path: Path
    uid: str
    patient: str
    accession: str
    study: str
    series: str
    number: int
    description: str
    original: bool
    kernel: str
    thickness_mm: float
    geometry: tuple[Any, ...]
    acquisition: int
    axial: bool
    frames: int
    place_mm: float
    scanner: str
    site: str
    sex: str
    age_group: str


def look_at(
    source: Path, *, leave_out: Path, progress: Progress | None = None
) -> tuple[list[Instance], list[PassedOver]]:
    """Look at all files of an export.

    Args:
        source: A folder, or one file.
        leave_out: A folder that is not entered: where the import goes.
        progress: Told how far it is.

    Returns:
        The CT slices, and each other file with the reason why it is passed over; names are paths
        within the export.

    Raises:
        DataFolderError: The export cannot be read.
    """
    files = list(_walk(source, leave_out.resolve()))
    found: list[Instance] = []
    passed: list[PassedOver] = []
    seen: dict[str, str] = {}
    for number, file in enumerate(files, start=1):
        name = str(file.relative_to(source)) if file != source else file.name
        one = _looked(source, file)
        if isinstance(one, str):
            passed.append(PassedOver(name, one))
            if file.name.upper() == "DICOMDIR":
                passed += _missing(file)
        elif one.uid in seen:
            passed.append(PassedOver(name, f"a copy of {seen[one.uid]}"))
        else:
            seen[one.uid] = name
            found.append(one)
        if progress is not None:
            progress(number, len(files))
    return found, passed


def _walk(source: Path, leave_out: Path) -> Iterator[Path]:
    """Yield all files in a fixed order; links to folders are not followed."""
    if source.is_file():
        yield source
        return
    errors: list[OSError] = []
    for folder, folders, files in os.walk(source, onerror=errors.append):
        folders[:] = sorted(
            each for each in folders if (Path(folder) / each).resolve() != leave_out
        )
        for name in sorted(files):
            yield Path(folder) / name
    if errors:
        raise DataFolderError(
            f"cannot read {errors[0].filename}: {errors[0].strerror}",
            "Check that you may read the whole export.",
        )


def _looked(source: Path, file: Path) -> Instance | str:
    """Return what a file is, or why it is passed over."""
    if file.name.startswith("."):
        return "a hidden file"
    if file.name.upper() == "DICOMDIR":
        return "the directory of a DICOM medium"
    try:
        if file != source:
            check_links(source, file)
        if file.stat().st_size == 0:
            return "an empty file"
        if not begins_like_dicom(file):
            return "a picture" if is_picture(file) else "not a DICOM file"
        opened = read_elements(file)
        with reading(file):
            return not_imported(opened.elements) or _instance(opened)
    except DataFolderError:
        return "a link that leads out of the export"
    except VolumeError as error:
        return str(error).replace(str(file), "the file")
    except OSError as error:
        return f"it cannot be read ({error.strerror})"


def not_imported(elements: pydicom.Dataset) -> str:
    """Return why a DICOM object is no slice of a CT reconstruction, or an empty text."""
    if reason := not_a_slice(elements):
        return reason
    modality = str(elements.get("Modality", "") or "none")
    if modality != "CT":
        return f"of modality {modality}, not CT"
    kinds = [str(each).upper() for each in _values(elements.get("ImageType"))]
    for kind in kinds:
        if kind in _NO_RECONSTRUCTION:
            return _NO_RECONSTRUCTION[kind]
    if str(elements.get("BurnedInAnnotation", "")).upper() == "YES":
        return "with burned-in annotation"
    if not str(elements.get("PatientID", "") or "").strip():
        return "without a PatientID"
    if "Rows" not in elements:
        return "without pixels"
    return ""


def _instance(file: DicomFile) -> Instance:
    elements = file.elements

    def text(keyword: str) -> str:
        return " ".join(str(each).strip() for each in _values(elements.get(keyword))).strip()

    orientation, position, spacing = (
        _of_first_frame(elements, group, keyword)
        for group, keyword in (
            ("PlaneOrientationSequence", "ImageOrientationPatient"),
            ("PlanePositionSequence", "ImagePositionPatient"),
            ("PixelMeasuresSequence", "PixelSpacing"),
        )
    )
    if len(orientation) != 6 or len(position) != 3:
        raise VolumeError(f"{file.path} does not say where it lies in the patient")
    normal = np.cross(orientation[:3], orientation[3:])
    thickness = _of_first_frame(elements, "PixelMeasuresSequence", "SliceThickness")
    return Instance(
        path=file.path,
        uid=text("SOPInstanceUID") or str(file.path),
        patient=text("PatientID"),
        accession=text("AccessionNumber"),
        study=text("StudyInstanceUID"),
        series=text("SeriesInstanceUID"),
        number=_whole(text("SeriesNumber")),
        description=text("SeriesDescription"),
        original="ORIGINAL" in text("ImageType").upper(),
        kernel=text("ConvolutionKernel"),
        thickness_mm=thickness[0] if thickness else 0.0,
        geometry=(
            file.whole("Rows"),
            file.whole("Columns"),
            tuple(round(each, 3) for each in orientation),
            tuple(round(each, 3) for each in spacing),
            text("FrameOfReferenceUID"),
        ),
        acquisition=_whole(text("AcquisitionNumber")),
        axial=bool(abs(normal[2]) >= AXIAL_COSINE),
        frames=max(1, _whole(text("NumberOfFrames"))),
        place_mm=float(np.dot(position, normal)),
        scanner=" ".join(
            dict.fromkeys([*text("Manufacturer").split(), *text("ManufacturerModelName").split()])
        ),
        site=text("InstitutionName"),
        sex=text("PatientSex")[:1].upper(),
        age_group=age_group(text("PatientAge"), text("PatientBirthDate"), text("StudyDate")),
    )


def age_group(age: str, birth: str, study: str) -> str:
    """Return the ten years that an age lies in; from 90 on one group (as HIPAA has it).

    Args:
        age: PatientAge as DICOM writes it, e.g. "064Y", may be empty.
        birth: PatientBirthDate, YYYYMMDD, may be empty.
        study: StudyDate, likewise.

    >>> age_group("064Y", "", ""), age_group("", "19300101", "20250630"), age_group("", "", "")
    ('60-69', '90+', '')
    >>> age_group("018M", "", "")
    '0-9'
    """
    years = -1
    if len(age) == 4 and age[:3].isdigit() and age[3] in "DWMY":
        years = int(age[:3]) if age[3] == "Y" else int(age[:3]) // 12 if age[3] == "M" else 0
    elif len(birth) == len(study) == 8 and birth.isdigit() and study.isdigit():
        years = int(study[:4]) - int(birth[:4]) - (study[4:] < birth[4:])
    if not 0 <= years < 130:
        return ""
    decade = years // 10 * 10
    return "90+" if decade >= 90 else f"{decade}-{decade + 9}"


def _of_first_frame(elements: pydicom.Dataset, group: str, keyword: str) -> list[float]:
    """Return numbers of a file, of its first frame where it has many, or none."""
    value = elements.get(keyword)
    for holder in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        groups = elements.get(holder)
        if value is None and groups and groups[0].get(group):
            value = groups[0].get(group)[0].get(keyword)
    return [float(each) for each in _values(value)]


def _values(value: Any) -> Sequence[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, str | int | float) else list(value)


def _whole(text: str) -> int:
    return int(text) if text.lstrip("-").isdigit() else 0


def _missing(directory: Path) -> list[PassedOver]:
    """Return the files that a DICOMDIR lists and that are not there (PS3.3, F.3)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            records = pydicom.dcmread(directory, force=True).get("DirectoryRecordSequence") or []
            names = [_values(record.get("ReferencedFileID")) for record in records]
    # A damaged directory is no reason to leave an export: its files are found without it.
    except Exception:
        return [PassedOver(directory.name, "it cannot be read, so missing files are not known")]
    listed = [Path(*map(str, parts)) for parts in names if parts]
    return [
        PassedOver(str(each), "listed in DICOMDIR, and missing")
        for each in listed
        if ".." not in each.parts and not _is_there(directory.parent, each)
    ]


def _is_there(folder: Path, name: Path) -> bool:
    """Return whether a file is there, in whatever case the copying left its name."""
    variants = (str(name), str(name).lower(), str(name).upper())
    return any((folder / each).exists() for each in variants)
