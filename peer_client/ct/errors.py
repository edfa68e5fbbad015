"""What can be wrong with CT data, one class for each kind, with what to do about it.

Every error of the CT intake is an `IntakeError`: it carries a sentence that names the
file (and the line, where there is one), a hint that says what to do, and the exit code
of its page under docs/errors. No other exception leaves `peer_client.ct` for bad input;
voxel values never appear in a message.
"""

from __future__ import annotations

from typing import ClassVar


class IntakeError(Exception):
    """Base of all errors of the CT intake.

    Attributes:
        exit_code: Exit code of the command line, and number of the page in docs/errors.
        hint: What the reader can do, one sentence.
    """

    exit_code: ClassVar[int]
    default_hint: ClassVar[str] = "Check the data folder; docs/data.md shows its shape."

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint if hint is not None else self.default_hint


class DataFolderError(IntakeError):
    """The data folder, or a file that is needed from it, is missing or cannot be read."""

    exit_code = 80
    default_hint = "Name the folder that holds index.csv, and check that you may read it."


class IndexFileError(IntakeError):
    """A row of index.csv (or its header) is wrong.

    Attributes:
        line: Line of the file, 1 for the header; 0 where the whole file is meant.
    """

    exit_code = 81
    default_hint = "Correct the line named; docs/data.md lists the columns."

    def __init__(self, message: str, line: int = 0, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.line = line


class ImageError(IntakeError):
    """A picture is empty, truncated, too small, too large or of no known format."""

    exit_code = 82
    default_hint = "Export the picture again as PNG or JPEG, or take its row out of index.csv."


class VolumeError(IntakeError):
    """A CT volume (DICOM series, NIfTI, npz) cannot be read or has no single geometry."""

    exit_code = 83
    default_hint = "Export the series again, complete and alone in its folder."


class MaskError(IntakeError):
    """A lesion mask cannot be read, has another size than its picture, or other values."""

    exit_code = 84
    default_hint = (
        "Store masks at the size of their picture: 0 background, 1 ground glass, "
        "2 consolidation, 3 (or 255) a lesion of a kind that is not told."
    )


class NormalisationError(IntakeError):
    """A picture cannot be brought to the network's input: it has no contrast at all."""

    exit_code = 85
    default_hint = "Look at the picture: it is blank. Take its row out of index.csv."


class HospitalFileError(IntakeError):
    """The YAML file of hospitals is wrong.

    Attributes:
        line: Line of the file; 0 where the whole file is meant.
    """

    exit_code = 86
    default_hint = "Compare with examples/real_ct.yaml; docs/data.md explains each key."

    def __init__(self, message: str, line: int = 0, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.line = line


class SplitLeakError(IntakeError):
    """A patient, or one and the same picture, lies in two splits.

    Attributes:
        names: The patient, or the files, found on both sides.
    """

    exit_code = 87
    default_hint = "Give the pictures of one patient one patient name and one fold in index.csv."

    def __init__(self, message: str, names: tuple[str, ...] = (), hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.names = names


class CacheError(IntakeError):
    """The cache of normalised slices cannot be written, e.g. because the disk is full."""

    exit_code = 88
    default_hint = "Free some disk space, or name another cache folder."


class CohortError(IntakeError):
    """A hospital's data is too little for what it is asked for."""

    exit_code = 89
    default_hint = "Choose other parts or folds in the hospitals' YAML file."
