"""Reading what a proposal brings: text arguments and the transient map.

Whatever bytes come in, a value of the right form comes out or a rule's own error.
"""

from __future__ import annotations

import re

from chaincode.ledger import Ledger
from chaincode.records import register
from chaincode.records.canonical import Line, MspId, StudyId, decode, read
from chaincode.records.errors import (
    IdentifierError,
    ReasonError,
    RecordError,
    RoundNumberError,
    TextError,
    TransientError,
)
from chaincode.records.round import Members, Round
from chaincode.records.study import Study


def read_text(argument: bytes) -> str:
    """Read an argument as text.

    Raises:
        TextError: Not UTF-8.
    """
    try:
        return argument.decode("utf-8")
    except UnicodeDecodeError:
        raise TextError("an argument is not UTF-8 text") from None


def read_study_id(argument: bytes) -> str:
    """Read a study's identifier.

    Raises:
        IdentifierError: Not small letters, digits, ``-`` and ``_``, at most 63.
    """
    return _identifier(StudyId, argument, "a study's name")


def read_msp_id(argument: bytes) -> str:
    """Read an organisation's MSP id.

    Raises:
        IdentifierError: Not letters, digits, ``.``, ``-`` and ``_``, at most 63.
    """
    return _identifier(MspId, argument, "an MSP id")


def _identifier(annotation: object, argument: bytes, what: str) -> str:
    try:
        value: str = read(annotation, read_text(argument), what)
    except RecordError as error:
        raise IdentifierError(error.sentence) from None
    return value


def read_round_number(argument: bytes) -> int:
    """Read a round's number, 1 to 999999, as plain decimal digits.

    Raises:
        RoundNumberError: Something else.
    """
    if re.fullmatch(rb"[1-9][0-9]{0,5}", argument) is None:
        raise RoundNumberError("a round is a decimal number from 1 to 999999")
    return int(argument)


def read_chunk_index(argument: bytes) -> int:
    """Read a chunk's number, 0 to 999999, as plain decimal digits.

    Raises:
        RoundNumberError: Something else.
    """
    if re.fullmatch(rb"0|[1-9][0-9]{0,5}", argument) is None:
        raise RoundNumberError("a chunk is a decimal number from 0 to 999999")
    return int(argument)


def read_reason(argument: bytes) -> str:
    """Read a reason: one line of 1 to 1000 characters.

    Raises:
        ReasonError: Empty, too long, or with control characters.
    """
    try:
        value: str = read(Line, read_text(argument), "the reason")
    except RecordError as error:
        raise ReasonError(error.sentence) from None
    if not value.strip():
        raise ReasonError("a reason must be given")
    return value


def read_transient(ledger: Ledger, name: str) -> bytes:
    """Return the one value of the transient map.

    Raises:
        TransientError: It is missing, or others came with it.
    """
    found = sorted(ledger.transient)
    if found != [name]:
        raise TransientError(f"the transient map must hold {name!r} alone, it holds {found[:5]}")
    return bytes(ledger.transient[name])


def read_study_and_round(ledger: Ledger, study: bytes, number: bytes) -> tuple[Study, Round]:
    """Return the study and the round that two arguments name.

    Raises:
        ArgumentError: One is not of its form.
        UnknownStudyError: There is no such study.
        UnknownRoundError: There is no such round.
    """
    return register.study_and_round(ledger, read_study_id(study), read_round_number(number))


def read_msp_list(argument: bytes, what: str) -> tuple[str, ...]:
    """Read a JSON list of MSP ids.

    Raises:
        RecordError: It is none.
    """
    names: tuple[str, ...] = read(Members, decode(argument, canonical=False), what)
    return names
