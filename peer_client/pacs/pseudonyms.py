"""Names for patients that only the holder of a key can make.

HMAC-SHA-256 (FIPS 198-1) of the PatientID under 32 random bytes: the same patient has the same name
in every import of a hospital, and nobody without the key can find a patient by trying identifiers.
The key stays in the member's directory, readable by its owner alone, and is never printed.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from network.runtime.files import write_durably
from peer_client.pacs.errors import ExportError

KEY_FILE: Final = "pseudonym.key"
KEY_BYTES: Final = 32
#: Hex digits of a name: 80 bits, so that a million patients have no two alike.
_DIGITS: Final = 20


class Pseudonyms:
    """Makes pseudonyms under a key.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def patient(self, identifier: str) -> str:
        """Return the name of a patient.

        >>> Pseudonyms(bytes(32)).patient("4711")
        'p_58ffb09f98fc364eecb7'
        """
        return f"p_{self._digest('patient', identifier)}"

    def study(self, uid: str) -> str:
        """Return the name of a study."""
        return f"s_{self._digest('study', uid)}"

    def _digest(self, kind: str, text: str) -> str:
        message = f"{kind}:{text}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()[:_DIGITS]


def key_in(folder: Path) -> Pseudonyms:
    """Return the pseudonyms under a folder's key, which is made at the first use.

    Args:
        folder: The client's folder in a member's directory.

    Raises:
        ExportError: The key is damaged, readable by others, or cannot be written.
    """
    path = folder / KEY_FILE
    try:
        if not path.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_durably(path, secrets.token_bytes(KEY_BYTES))
        if os.stat(path).st_mode & 0o077:
            raise ExportError(
                f"{path} can be read by others", f"Run `chmod 600 {path}`, and ask who has read it."
            )
        key = path.read_bytes()
    except OSError as error:
        raise ExportError(
            f"cannot use {path}: {error.strerror or error}", "Name the member with --member."
        ) from error
    if len(key) != KEY_BYTES:
        raise ExportError(
            f"{path} has {len(key)} bytes, a key has {KEY_BYTES}",
            "Restore it from a backup: with another key patients get other names.",
        )
    return Pseudonyms(key)
