"""Read what a gateway says about a failed call: who refused, and with which words.

A gateway attaches google.rpc.Status {1: code, 2: message, 3: repeated google.protobuf.Any} as the
trailing metadata `grpc-status-details-bin`, each Any a gateway.ErrorDetail. google.rpc.Status is
not among fabric-protos, so its one needed field is read from the wire format here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fabric_protos.gateway import gateway_pb2
from google.protobuf import any_pb2

from network.errors import MalformedBytesError
from network.wire.decoding import decode

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_DETAILS_FIELD: Final = 3

#: How a peer's gateway words a chaincode's refusal (internal/pkg/gateway/apiutils.go).
_REFUSAL: Final = re.compile(r"chaincode response (\d+), (.*)", re.DOTALL)


#: How a peer's filter TimeWindowCheck words a refusal (core/handlers/auth/filter/timewindow.go).
_OFF_CLOCK: Final = re.compile(r"incorrect timestamp (\S+), peer time (\S+),")


@dataclass(frozen=True, slots=True)
class PeerDetail:
    """What one peer or ordering node said about a failed call."""

    address: str
    msp_id: str
    message: str


def refusal(message: str) -> str | None:
    r"""Return a chaincode's own words out of a peer's message, or None where there are none.

    >>> refusal("chaincode response 500, RoundClosed: round 4 is closed")
    'RoundClosed: round 4 is closed'
    >>> refusal("failed to collect enough transaction endorsements") is None
    True
    """
    found = _REFUSAL.search(message)
    return found[2] if found else None


def clock_ahead_s(message: str) -> float | None:
    """Return how far a proposal's time is ahead of a peer's clock, where the peer says so.

    Returns:
        Seconds, negative where it is behind; None where the message is about something else.

    >>> clock_ahead_s("incorrect timestamp 2026-12-01T10:00:00Z, peer time 2026-12-01T10:01:30Z, x")
    -90.0
    >>> clock_ahead_s("incorrect timestamp yesterday, peer time today, x") is None
    True
    """
    found = _OFF_CLOCK.search(message)
    if found is None:
        return None
    try:
        sent, read = (datetime.fromisoformat(text) for text in found.groups())
        return (sent - read).total_seconds()
    except (ValueError, TypeError):
        return None


def read_details(status_details: bytes) -> tuple[PeerDetail, ...]:
    """Parse the value of `grpc-status-details-bin`.

    Raises:
        MalformedBytesError: The bytes are not a google.rpc.Status.
    """
    details = []
    for number, value in _length_fields(status_details):
        if number != _DETAILS_FIELD:
            continue
        packed = decode(any_pb2.Any, value, what="a status detail")
        if not packed.Is(gateway_pb2.ErrorDetail.DESCRIPTOR):
            continue
        detail = decode(gateway_pb2.ErrorDetail, packed.value, what="a peer's error detail")
        details.append(PeerDetail(detail.address, detail.msp_id, detail.message))
    return tuple(details)


def _varint(encoded: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(encoded) and shift < 64:
        byte = encoded[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise MalformedBytesError("status details end inside a number")


def _length_fields(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the length-delimited fields of a message, as field number and bytes."""
    position = 0
    while position < len(encoded):
        tag, position = _varint(encoded, position)
        wire_type = tag & 7
        if wire_type == _VARINT:
            _, position = _varint(encoded, position)
            continue
        if wire_type == _LENGTH:
            size, position = _varint(encoded, position)
        elif wire_type in (_FIXED64, _FIXED32):
            size = 8 if wire_type == _FIXED64 else 4
        else:
            raise MalformedBytesError(f"status details hold a field of unknown type {wire_type}")
        if position + size > len(encoded):
            raise MalformedBytesError("status details are cut short")
        if wire_type == _LENGTH:
            yield tag >> 3, encoded[position : position + size]
        position += size
