"""What a gateway says about a failed call is read from the wire, whatever it is."""

from __future__ import annotations

import contextlib

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.errors import MalformedBytesError
from network.wire.status import PeerDetail, read_details, refusal
from tests.support.fake_gateway import Failure, encode_status

TEXT = st.text(max_size=300)


@given(st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=5), TEXT)
def test_every_peers_words_are_read(details: list[tuple[str, str, str]], message: str) -> None:
    encoded = encode_status(Failure(grpc.StatusCode.ABORTED, message, tuple(details)))

    assert read_details(encoded) == tuple(PeerDetail(*one) for one in details)


def test_a_recorded_status_is_read() -> None:
    # google.rpc.Status {code: 10, message: "m", details: [Any{gateway.ErrorDetail{"a", "b", "c"}}]}
    # written out by hand after the protobuf encoding guide.
    detail = b"\x0a\x01a\x12\x01b\x1a\x01c"
    url = b"type.googleapis.com/gateway.ErrorDetail"
    packed = b"\x0a" + bytes([len(url)]) + url + b"\x12" + bytes([len(detail)]) + detail
    status = b"\x08\x0a\x12\x01m\x1a" + bytes([len(packed)]) + packed

    assert read_details(status) == (PeerDetail("a", "b", "c"),)


def test_details_of_another_kind_and_unknown_fields_are_passed_over() -> None:
    url = b"type.googleapis.com/google.rpc.RetryInfo"
    packed = b"\x0a" + bytes([len(url)]) + url
    status = b"\x1a" + bytes([len(packed)]) + packed
    status += b"\x21" + bytes(8) + b"\x2d" + bytes(4) + b"\x30\xff\xff\x01"

    assert read_details(status) == ()


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_and_nothing_else(encoded: bytes) -> None:
    with contextlib.suppress(MalformedBytesError):
        read_details(encoded)


@pytest.mark.parametrize(
    "encoded", [b"\x1a\x05ab", b"\x08", b"\x1b", b"\xff" * 11, b"\x1a\x02\xff\xff"]
)
def test_a_cut_or_foreign_status_is_refused(encoded: bytes) -> None:
    with pytest.raises(MalformedBytesError):
        read_details(encoded)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "chaincode response 500, RoundClosed: round 4 is closed",
            "RoundClosed: round 4 is closed",
        ),
        (
            "evaluate call to endorser returned error: chaincode response 404, Unknown: a, b",
            "Unknown: a, b",
        ),
        ("chaincode response 500, two\nlines", "two\nlines"),
        ("failed to endorse transaction, see attached details for more info", None),
        ("error executing chaincode: connection refused", None),
    ],
)
def test_a_chaincodes_own_words_are_told_from_a_peers(message: str, words: str | None) -> None:
    assert refusal(message) == words
