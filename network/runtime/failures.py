"""What a user is told of a failure: one sentence, what to do, an exit code with a page.

An error of ours has `exit_code` and `hint`. Both programs, the chaincode service and the build of
Fabric say it in the same words and in one JSON shape:
``{"error": 12, "hint": "...", "message": "...", "page": "docs/errors/12.md"}``, with
``"partial_result"`` where something was found before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from network.runtime.errors import machine_error
from network.runtime.shipped import shipped

_PARTIAL_RESULT: Final = "partial_result"


@dataclass(frozen=True, slots=True)
class Failure:
    """What a user is told of an error.

    Attributes:
        code: Exit code of the program.
        message: What happened, one sentence; a refusal by the contract begins with its rule's name.
        hint: What to do.
        partial_result: What was found before, for programs; None where there is nothing.
    """

    code: int
    message: str
    hint: str
    partial_result: Mapping[str, Any] | None = None

    @property
    def page(self) -> str:
        """The page of the exit code; codes that every program knows have the index."""
        own = f"docs/errors/{self.code}.md"
        return own if shipped(own).exists() else "docs/errors/index.md"

    def text(self) -> str:
        """Return the words for people.

        >>> print(Failure(12, "the plug is out", "plug it in").text())
        error 12: the plug is out
        What to do: plug it in.
        More: `consortium explain 12` (docs/errors/12.md)
        """
        hint = self.hint if self.hint.endswith((".", "!", "?")) else f"{self.hint}."
        what_to_do = f"What to do: {hint}\n" if self.hint else ""
        more = f"More: `consortium explain {self.code}` ({self.page})"
        return f"error {self.code}: {self.message}\n{what_to_do}{more}"

    def document(self) -> dict[str, Any]:
        """Return the one JSON object for programs."""
        found = {
            "error": self.code,
            "hint": self.hint,
            "message": self.message,
            "page": self.page,
        }
        if self.partial_result is None:
            return found
        return {**found, "partial_result": self.partial_result}


def keep_partial_result(error: Exception, found: Mapping[str, Any]) -> None:
    """Keep what was found before an error with it, so that one JSON document has both."""
    vars(error)[_PARTIAL_RESULT] = found


def failure_of(error: Exception) -> Failure:
    """Return what to tell of an error of ours, or of the operating system's.

    Raises:
        Exception: The error itself where it is neither: that is a fault of the program.
    """
    code = getattr(error, "exit_code", None)
    if isinstance(error, OSError) and not isinstance(code, int):
        error = machine_error(error)
        code = error.exit_code
    if not isinstance(code, int):
        raise error
    rule = str(getattr(error, "rule", ""))
    message = str(error)
    if rule and not message.startswith(rule):
        message = f"{rule}: {message}"
    hint = str(getattr(error, "hint", "")).strip()
    return Failure(code, message, hint, vars(error).get(_PARTIAL_RESULT))
