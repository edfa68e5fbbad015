"""What can be wrong with an export or with where it goes."""

from __future__ import annotations

from typing import ClassVar

from peer_client.ct.errors import IntakeError


class ExportError(IntakeError):
    """An export holds nothing to import, or the data folder or the table of labels do not fit."""

    exit_code: ClassVar[int] = 115
    default_hint: ClassVar[str] = "docs/data.md tells what is imported, and the rules of choice."
