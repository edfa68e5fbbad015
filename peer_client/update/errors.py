"""What turning weights into an update, and a sum into weights, can refuse."""

from __future__ import annotations

from typing import ClassVar


class UpdateError(Exception):
    """An update or a sum is not what the study allows. Never raised itself."""

    exit_code: ClassVar[int]
    hint: ClassVar[str]


class WeightListError(UpdateError):
    """Weights do not have the sizes of the study's manifest, or are not finite."""

    exit_code: ClassVar[int] = 59
    hint: ClassVar[str] = (
        "Train with the architecture of the study; if a weight is not finite, lower the learning "
        "rate and train this round again before it is encrypted."
    )


class ClipRangeError(UpdateError):
    """A clipping scale, a level or a number of contributors is out of its range."""

    exit_code: ClassVar[int] = 59
    hint: ClassVar[str] = "Compare the study's record with this program's version."


class PackedRangeError(UpdateError):
    """A decrypted sum holds fields that no honest updates add up to."""

    exit_code: ClassVar[int] = 55
    hint: ClassVar[str] = (
        "The round's model is discarded and the old one stays in force. A contributor encrypted "
        "values out of range; the ledger shows who contributed."
    )
