"""What encrypting, sharing, answering and opening can refuse, as one small tree.

Codes 52 to 58 (50 and 51 belong to `chaincode.roundkey.parameters` and
`chaincode.roundkey.shares`); each has a page docs/errors/<code>.md. No message ever holds a
secret, a share or a weight: sizes, names and public digests only.
"""

from __future__ import annotations

from typing import ClassVar


class SealingError(Exception):
    """Something about a round's secrets or ciphertexts was refused. Never raised itself."""

    exit_code: ClassVar[int]
    hint: ClassVar[str]


class MemoryStorageError(SealingError):
    """Sealing keys cannot be kept in memory-backed storage."""

    exit_code: ClassVar[int] = 52
    hint: ClassVar[str] = (
        "Make XDG_RUNTIME_DIR a folder on a tmpfs that belongs to this user, or mount a tmpfs on "
        "/dev/shm. Sealing keys are never written to a disk."
    )


class UpdateSealedBeforeError(SealingError):
    """An update was encrypted before, or a round has had its update: it is not encrypted again."""

    exit_code: ClassVar[int] = 53
    hint: ClassVar[str] = (
        "A retry sends the stored upload again by itself. For another round train again from that "
        "round's model: two sums that hold the same update would show it."
    )


class ShareRefusedError(SealingError):
    """This hospital does not answer: the round is not what it may answer for."""

    exit_code: ClassVar[int] = 54
    hint: ClassVar[str] = (
        "Nothing was published. Compare `hospital-client audit round` with another hospital; the "
        "round can be completed by the others or given up by vote."
    )


class PhaseClosedEarlyError(ShareRefusedError):
    """A phase was closed without a hospital before its deadline by this hospital's own clock."""


class SmallerSumError(ShareRefusedError):
    """The sum has fewer contributors than one that was opened from the same model before."""


class OpeningError(SealingError):
    """A sum did not open to what a sum of honest updates must be."""

    exit_code: ClassVar[int] = 55
    hint: ClassVar[str] = (
        "The round's model is discarded and the old one stays in force. A contributor encrypted "
        "values out of range; the ledger shows who contributed."
    )


class SealingKeySignatureError(SealingError):
    """A sealing key was not signed by the hospital whose key it is said to be."""

    exit_code: ClassVar[int] = 56
    hint: ClassVar[str] = (
        "Nothing was encrypted. Somebody between the hospitals may have exchanged sealing keys: "
        "compare certificates and the round's joins with the other hospitals."
    )


class JournalError(SealingError):
    """The journal of what must not be done twice cannot be used."""

    exit_code: ClassVar[int] = 57
    hint: ClassVar[str] = (
        "Do not delete the file: without it a spent update or a second answer would not be seen. "
        "Stop other clients of this hospital, free space on the disk, correct its permissions; "
        "after a restore from backup sit out the rounds that are open."
    )


class SealingInputError(SealingError):
    """Values, sizes or members handed to the encryption are not those of the study."""

    exit_code: ClassVar[int] = 58
    hint: ClassVar[str] = "Compare the study's record with the weights and the joins of the round."


class SecretWipedError(SealingError):
    """A secret was used after it was wiped: a mistake in the program, not of its user."""

    exit_code: ClassVar[int] = 58
    hint: ClassVar[str] = "Report this with the log; no secret is in it."
