"""One injective way to turn several fields into bytes, for hashes, signatures and HPKE.

Joining fields without lengths lets two different lists of fields give the same
bytes, and then a signature or a sealed box made for one passes for the other.
`frame` puts the length before every part. It refuses a value whose bytes would
depend on the machine or on a guess: negative or large integers, booleans and
every type but int, str and bytes.

Source: docs/security.md, "Round keys: the specification", *frame*.
"""

from __future__ import annotations

import hashlib

MAX_INTEGER = 2**64 - 1


def frame(*parts: int | str | bytes) -> bytes:
    """Encode the parts one after the other, each behind its length.

    Args:
        *parts: Integers (0 to 2**64 - 1, written as 8 bytes, little-endian),
            text (UTF-8) or bytes.

    Returns:
        For every part its length as 4 bytes, little-endian, and its bytes.

    Raises:
        ValueError: An integer is out of range, or a part is too long.
        TypeError: A part has another type.

    >>> frame("a", 1).hex()
    '0100000061080000000100000000000000'
    >>> frame("ab", "c") == frame("a", "bc")
    False
    """
    encoded: list[bytes] = []
    for part in parts:
        content = _content(part)
        if len(content) >= 2**32:
            raise ValueError(f"a part of {len(content)} bytes does not fit a 4-byte length")
        encoded.append(len(content).to_bytes(4, "little"))
        encoded.append(content)
    return b"".join(encoded)


def digest(*parts: int | str | bytes) -> bytes:
    """SHA-256 of the framed parts.

    Args:
        *parts: As for `frame`.

    Returns:
        32 bytes.

    Raises:
        ValueError: As for `frame`.
        TypeError: As for `frame`.

    >>> digest("a", 1, b"x").hex()[:16]
    '035be1980af16699'
    """
    return hashlib.sha256(frame(*parts)).digest()


def _content(part: int | str | bytes) -> bytes:
    # bool is an int in Python; True and 1 would then be the same field.
    if isinstance(part, bool):
        raise TypeError("a boolean is not a field; write 0 or 1")
    if isinstance(part, int):
        if not 0 <= part <= MAX_INTEGER:
            raise ValueError(f"{part} is not between 0 and 2**64 - 1")
        return part.to_bytes(8, "little")
    if isinstance(part, str):
        return part.encode("utf-8")
    if isinstance(part, bytes):
        return part
    raise TypeError(f"a field is an integer, text or bytes, not {type(part).__name__}")
