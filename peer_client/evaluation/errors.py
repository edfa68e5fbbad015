"""What serving a model can refuse."""

from __future__ import annotations

from typing import ClassVar


class PersonalError(Exception):
    """A hospital's own model cannot be chosen, kept or used. Never raised itself."""

    exit_code: ClassVar[int]
    hint: ClassVar[str]


class ServedModelError(PersonalError):
    """A served model's files are absent, damaged or do not belong together."""

    exit_code: ClassVar[int] = 78
    hint: ClassVar[str] = (
        "Name the .keras file that `hospital-client simulate` or `model export` wrote, and keep "
        "the .json and .npz files of the same name beside it."
    )


class ChoiceError(PersonalError):
    """The validation patients cannot decide which model to serve."""

    exit_code: ClassVar[int] = 79
    hint: ClassVar[str] = (
        "Validation needs patients of both classes, read by every candidate; move folds in the "
        "file of hospitals."
    )
