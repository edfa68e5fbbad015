"""Decode one protobuf message, and let nothing but our own error out.

Protobuf's own messages about bad bytes are left out of the error: they may quote the bytes.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from network.errors import MalformedBytesError


def decode(kind: Any, encoded: bytes, *, what: str) -> Any:
    """Return `kind.FromString(encoded)`; `what` names the message in the error.

    Raises:
        MalformedBytesError: The bytes do not decode as that message.
    """
    try:
        return kind.FromString(encoded)
    except (DecodeError, ValueError, RuntimeError):
        # ValueError: a string field that is not UTF-8, depending on protobuf's implementation.
        raise MalformedBytesError(f"{what} of {len(encoded)} bytes does not decode") from None
