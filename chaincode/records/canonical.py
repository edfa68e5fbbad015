"""One byte string for each record: sorted-key compact ASCII JSON, strictly read.

A record is a frozen dataclass whose annotations say what each field may hold; `Record` turns it
into canonical bytes with a format number and back. Reading refuses, with RecordError, an unknown,
missing or doubled field, a wrong type (a bool is no integer), a number that is not an integer,
text with control characters, and, for bytes from the ledger, anything but the canonical bytes.
Endorsers must write equal bytes, so there is no float, no null and no set order (ADR 0006).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, lru_cache
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Self,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from chaincode.records.errors import RecordError

Json = int | str | list[Any] | dict[str, Any]

LARGEST_INTEGER: Final = 2**63 - 1
MAX_DEPTH: Final = 12
_PLAIN_TEXT: Final = "[^\x00-\x1f\x7f-\x9f\ud800-\udfff]*"


@dataclass(frozen=True, slots=True)
class Text:
    """Rule of a text field: a pattern for the whole text, and the most characters."""

    pattern: str = _PLAIN_TEXT
    largest: int = 1000


@dataclass(frozen=True, slots=True)
class Range:
    """Rule of an integer field: both bounds are allowed."""

    least: int
    largest: int = LARGEST_INTEGER


@dataclass(frozen=True, slots=True)
class Length:
    """Rule of a list or mapping: least and most entries."""

    least: int
    largest: int


@dataclass(frozen=True, slots=True)
class Base64:
    """Rule of a bytes field, written as base64: the lengths allowed, in bytes."""

    lengths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Free:
    """Rule of a field that holds any JSON object of integers and text."""


Sha256 = Annotated[str, Text("[0-9a-f]{64}", 64)]
Sha256OrNone = Annotated[str, Text("([0-9a-f]{64})?", 64)]
StudyId = Annotated[str, Text("[a-z0-9][a-z0-9_-]{0,62}", 63)]
MspId = Annotated[str, Text("[A-Za-z0-9][A-Za-z0-9._-]{0,62}", 63)]
Line = Annotated[str, Text()]
Pem = Annotated[str, Text("[A-Za-z0-9+/=\n -]+", 20_000)]
Hex = Annotated[str, Text("([0-9a-f]{2})+", 1024)]
Count = Annotated[int, Range(0)]
Seconds = Annotated[int, Range(0, 2**40)]
RoundNumber = Annotated[int, Range(1, 999_999)]
Flag = Annotated[int, Range(0, 1)]
FreeObject = Annotated[Mapping[str, Any], Free()]


def encode(value: Json) -> bytes:
    """Write JSON of integers and text as canonical bytes.

    >>> encode({"b": [1, 2], "a": "x"})
    b'{"a":"x","b":[1,2]}'
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    ).encode("ascii")


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of `data`, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def decode(data: bytes, *, canonical: bool) -> Json:
    """Read JSON of integers, text, lists and objects.

    Args:
        data: The bytes, UTF-8.
        canonical: Whether anything but the canonical bytes is refused.

    Raises:
        RecordError: Not such JSON.

    >>> decode(b'{"a":1,"a":2}', canonical=False)
    Traceback (most recent call last):
    ...
    chaincode.records.errors.RecordError: field 'a' is there twice
    """
    try:
        value: Json = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
        )
    except RecordError:
        raise
    except (ValueError, RecursionError):
        raise RecordError("not JSON in UTF-8") from None
    _check_plain(value, 0)
    if canonical and encode(value) != data:
        raise RecordError("JSON is not in canonical bytes: sorted keys, no spaces, ASCII")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise RecordError(f"field {key[:40]!a} is there twice")
        result[key] = value
    return result


def _integer(digits: str) -> int:
    # A long run of digits would cost quadratic time before its value is looked at.
    if len(digits) > 20:
        raise RecordError("an integer is out of range")
    return int(digits)


def _refuse_number(text: str) -> int:
    raise RecordError(f"{text[:20]} is not an integer")


def _check_plain(value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise RecordError(f"JSON is nested more than {MAX_DEPTH} deep")
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise RecordError("text holds half a character") from None
    elif isinstance(value, list):
        for item in value:
            _check_plain(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_plain(key, depth + 1)
            _check_plain(item, depth + 1)
    elif type(value) is not int or not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
        raise RecordError("JSON may hold integers of 64 bits and text, nothing else")


@cache
def _hints(cls: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in fields(cls)}


def read(annotation: Any, value: object, path: str) -> Any:
    """Turn parsed JSON into what an annotation asks for.

    Args:
        annotation: A field's type, possibly Annotated with one of the rules above.
        value: Parsed JSON.
        path: Where the value stands, for messages.

    Raises:
        RecordError: The value is not of that type or breaks its rule.
    """
    rule: object = None
    if get_origin(annotation) is Annotated:
        annotation, rule, *_ = get_args(annotation)
    if isinstance(rule, Free):
        return _read_free(value, path)
    if annotation is int:
        return _read_integer(value, rule, path)
    if annotation is str:
        return _read_text(value, rule, path)
    if annotation is bytes:
        return _read_bytes(value, rule, path)
    if is_dataclass(annotation):
        return _read_object(annotation, value, path)
    return _read_collection(annotation, rule, value, path)


def _read_integer(value: object, rule: object, path: str) -> int:
    if type(value) is not int:
        raise RecordError(f"{path} must be an integer")
    if isinstance(rule, Range) and not rule.least <= value <= rule.largest:
        raise RecordError(f"{path} must be from {rule.least} to {rule.largest}")
    return value


def _read_text(value: object, rule: object, path: str) -> str:
    if not isinstance(value, str):
        raise RecordError(f"{path} must be text")
    rule = rule if isinstance(rule, Text) else Text()
    if len(value) > rule.largest:
        raise RecordError(f"{path} has {len(value)} characters, at most {rule.largest} are allowed")
    if re.fullmatch(rule.pattern, value) is None:
        raise RecordError(f"{path} is not of the form it must have")
    return value


def _read_bytes(value: object, rule: object, path: str) -> bytes:
    if not isinstance(value, str):
        raise RecordError(f"{path} must be base64 text")
    try:
        result = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise RecordError(f"{path} must be base64 text") from None
    if base64.b64encode(result).decode() != value:
        raise RecordError(f"{path} must be canonical base64")
    if isinstance(rule, Base64) and len(result) not in rule.lengths:
        raise RecordError(f"{path} has {len(result)} bytes, {rule.lengths} are allowed")
    return result


def _read_free(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RecordError(f"{path} must be an object")
    return value


def _read_object(cls: Any, value: object, path: str) -> Any:
    if not isinstance(value, dict):
        raise RecordError(f"{path} must be an object")
    hints = _hints(cls)
    unknown = sorted(set(value) - set(hints))
    missing = sorted(set(hints) - set(value))
    if unknown:
        raise RecordError(f"{path} has the unknown field {unknown[0][:40]!a}")
    if missing:
        raise RecordError(f"{path} lacks the field {missing[0]!a}")
    return cls(**{name: read(hint, value[name], f"{path}.{name}") for name, hint in hints.items()})


def _read_collection(annotation: Any, rule: object, value: object, path: str) -> Any:
    origin, inner = get_origin(annotation), get_args(annotation)
    expected = list if origin is tuple else dict
    if not isinstance(value, expected):
        raise RecordError(f"{path} must be {'a list' if expected is list else 'an object'}")
    if isinstance(rule, Length) and not rule.least <= len(value) <= rule.largest:
        raise RecordError(f"{path} must have from {rule.least} to {rule.largest} entries")
    if isinstance(value, list):
        return tuple(read(inner[0], item, f"{path}[{i}]") for i, item in enumerate(value))
    return {
        read(inner[0], name, f"{path} name"): read(inner[1], item, f"{path}.{name[:40]}")
        for name, item in sorted(value.items())
    }


def plain(value: object) -> Json:
    """Turn a record, or a part of one, into plain JSON values."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    raise RecordError(f"a record cannot hold {type(value).__name__}")


class Record:
    """A frozen dataclass with one byte form."""

    __slots__ = ()

    FORMAT: ClassVar[int] = 1

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values, with its format number."""
        value = plain(self)
        if not isinstance(value, dict):  # pragma: no cover - a record is a dataclass
            raise RecordError("a record must be an object")
        return {"format": self.FORMAT, **value}

    def to_bytes(self) -> bytes:
        """Encode so that every endorsing peer writes the same bytes.

        Raises:
            RecordError: A field breaks its rule, so nobody could read the record.
        """
        data = encode(self.to_json())
        self.from_bytes(data)
        return data

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical bytes, 64 hex digits."""
        return sha256_hex(self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a record of the ledger.

        Raises:
            RecordError: Not the canonical bytes of such a record.
        """
        kind: Any = cls  # mypy does not see that a class is hashable
        return cast(Self, _read_record(kind, data))

    @classmethod
    def from_text(cls, data: bytes) -> Self:
        """Read a record that a person or another program wrote: any order, any spaces.

        Raises:
            RecordError: Not such a record.
        """
        return cls._from(decode(data, canonical=False))

    @classmethod
    def _from(cls, value: Json) -> Self:
        if not isinstance(value, dict):
            raise RecordError(f"{cls.__name__} must be an object")
        value = dict(value)
        number = value.pop("format", None)
        if type(number) is not int or number != cls.FORMAT:
            raise RecordError(f"{cls.__name__} must have format {cls.FORMAT}")
        result: Self = _read_object(cls, value, cls.__name__)
        return result


@lru_cache(maxsize=512)
def _read_record(cls: type[Record], data: bytes) -> Record:
    """Read canonical bytes; the same bytes are the same record, and a round's are read often."""
    return cls._from(decode(data, canonical=True))
