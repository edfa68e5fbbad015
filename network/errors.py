"""The errors that `network` raises: the base of the tree and what every part of it needs.

Each error is a sentence, says what to do about it (`hint`) and ends a program with an exit code
that has a page under docs/errors. No error carries a key, a payload or transient data. Errors of
the chaincode side are in `network.shim.errors`, of the client side in `network.gateway.errors`,
of bringing up members in `network.consortium.errors`.
"""

from __future__ import annotations

from typing import ClassVar


class NetworkError(Exception):
    """Something between this program and Fabric went wrong.

    Args:
        message: What happened, one sentence.
        hint: What to do; the class's own advice where it is left out.
    """

    exit_code: ClassVar[int]
    hint: str = "see the page of this error's code in docs/errors"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint


class CertificateError(NetworkError):
    """A certificate, its key or a signature made with it is not acceptable."""

    exit_code = 20
    hint = (
        "ask the member for a certificate that its own CA issued and that is in force now; "
        "`consortium up` names one that has run out"
    )


class MalformedBytesError(NetworkError):
    """Bytes that should be a message of Fabric's are not."""

    exit_code = 28
    hint = "check that peer and client are of a supported Fabric release, then report the case"


class UnprovedBlockError(NetworkError):
    """A block, or something in it, does not follow from what the members compared.

    Args:
        number: The block.
        what: What is wrong with it.
    """

    exit_code = 97
    hint = (
        "Do not trust this peer's copy of the chain: keep it as it is, and compare the same block "
        "with another member's (`hospital-client audit lineage STUDY --blocks` there)."
    )

    def __init__(self, number: int, what: str) -> None:
        self.number = number
        self.what = what.removeprefix(f"block {number} ")
        super().__init__(f"block {number}: {self.what}")
