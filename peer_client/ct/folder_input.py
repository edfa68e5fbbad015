"""What in a folder counts as input: one rule for all commands, told in docs/data.md.

Only what lies directly in the folder is looked at. DICOM files are known by their content, with or
without the preamble, or by their name; pictures by their name. Where both are there the
DICOM files are the input and the pictures are previews. Hidden files (also `._name`, which a Mac
leaves on a USB stick), DICOMDIR, and what `predict` itself has written are never input. Each file
passed over is told with its reason.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from peer_client.ct.links import files_inside

PICTURE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg"})
DICOM_SUFFIXES: Final = frozenset({".dcm", ".dicom", ".ima"})
#: Written by `predict` beside its masks; `files` lists what else it wrote.
PREDICTION_FILE: Final = "prediction.json"
#: In the description of every picture and volume that this program writes of a patient.
OWN_MARK: Final = "Research use, not a diagnosis."
#: A PNG's texts come before its pixels; where they begin later the picture is not ours.
_PNG_HEAD: Final = 16 * 1024
_NIFTI_DESCRIPTION: Final = slice(148, 228)
_PREDICTION_BYTES_MAX: Final = 16 * 1024 * 1024
_EXPLICIT_VRS: Final = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN "
    b"UR US UT UV".split()
)
#: Groups that a data set begins with: meta information, and the identifying group.
_FIRST_GROUPS: Final = (0x0002, 0x0008)
_FIRST_LENGTH_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A file that is no input.

    Attributes:
        name: Its name.
        reason: A short clause.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True, slots=True)
class FolderInput:
    """The files of a folder, sorted by what they are.

    Attributes:
        dicom: DICOM files, in rising order of names.
        pictures: Pictures, likewise; empty where there are DICOM files.
        passed_over: The others.
    """

    dicom: tuple[Path, ...]
    pictures: tuple[Path, ...]
    passed_over: tuple[PassedOver, ...]


def folder_input(folder: Path) -> FolderInput:
    """Sort the files of a folder.

    Args:
        folder: The folder; its subfolders are not entered.

    Raises:
        DataFolderError: A link leads out of it.
        OSError: It cannot be read.
    """
    own = _own_names(folder)
    dicom: list[Path] = []
    pictures: list[Path] = []
    passed: list[PassedOver] = []
    for file in files_inside(folder, folder.iterdir()):
        if reason := _not_input(file, own):
            passed.append(PassedOver(file.name, reason))
        elif is_picture(file):
            pictures.append(file)
        elif file.suffix.lower() in DICOM_SUFFIXES or begins_like_dicom(file):
            dicom.append(file)
        else:
            passed.append(PassedOver(file.name, "neither DICOM nor a picture"))
    if dicom:
        passed += [PassedOver(file.name, "a picture beside DICOM files") for file in pictures]
        pictures = []
    return FolderInput(tuple(dicom), tuple(pictures), tuple(passed))


def is_picture(path: Path) -> bool:
    """Return whether a path names a picture; anything else is read as a volume."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def begins_like_dicom(file: Path) -> bool:
    """Return whether a file begins as DICOM files do (PS3.10, 7.1), or as one without preamble.

    Older archives write the data set alone: it begins with an element of the first groups, its
    value representation or its length behind it.
    """
    with file.open("rb") as handle:
        beginning = handle.read(132)
    if beginning[128:] == b"DICM" or beginning[:4] == b"DICM":
        return True
    if len(beginning) < 8:
        return False
    for order in "<>":
        group, element, length = struct.unpack_from(order + "HHI", beginning)
        if group in _FIRST_GROUPS and element < 0x0100:
            implicit = order == "<" and length <= _FIRST_LENGTH_MAX and length % 2 == 0
            return implicit or beginning[4:6] in _EXPLICIT_VRS
    return False


def is_own_output(file: Path) -> bool:
    """Return whether a picture or NIfTI file was written by this program, by the mark in it."""
    mark = OWN_MARK.encode("ascii")
    name = file.name.lower()
    if name.endswith(".png"):
        with file.open("rb") as handle:
            return mark in handle.read(_PNG_HEAD).partition(b"IDAT")[0]
    if name.endswith((".nii", ".nii.gz")):
        import gzip
        import zlib

        try:
            with gzip.open(file) if name.endswith(".gz") else file.open("rb") as handle:
                return mark in handle.read(_NIFTI_DESCRIPTION.stop)[_NIFTI_DESCRIPTION]
        except (EOFError, gzip.BadGzipFile, zlib.error):
            return False  # damaged: the reader says so
    return False


def _not_input(file: Path, own: frozenset[str]) -> str:
    """Return why a file is no input whatever it holds, or an empty text."""
    if file.name.startswith("."):
        return "a hidden file"
    if file.name.upper() == "DICOMDIR":
        return "the directory of a DICOM medium"
    if file.name in own or is_own_output(file):
        return "written by predict"
    return ""


def _own_names(folder: Path) -> frozenset[str]:
    """Return the names of what `predict` wrote into a folder."""
    path = folder / PREDICTION_FILE
    try:
        if path.stat().st_size > _PREDICTION_BYTES_MAX:
            return frozenset()
        document = json.loads(path.read_bytes())
        if not (isinstance(document, dict) and document.get("use") == OWN_MARK):
            return frozenset()
        names = document.get("files", [])
        return frozenset((PREDICTION_FILE, *(name for name in names if isinstance(name, str))))
    except (OSError, ValueError, RecursionError, TypeError):
        return frozenset()
