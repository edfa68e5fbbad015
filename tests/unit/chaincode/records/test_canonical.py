"""One byte string for each record, and nothing else is read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaincode.records.canonical import LARGEST_INTEGER, decode, encode
from chaincode.records.errors import RecordError
from chaincode.records.round import Chunk, Manifest, Round, ShareSum, UploadLayout
from chaincode.records.study import Study
from tests.unit.chaincode.contract.played import make_study

MANIFEST = Manifest(
    study="lungs",
    round=3,
    msp="NorthMSP",
    joined_sha256="ab" * 32,
    ciphertext_sha256="cd" * 32,
    upload_bytes=1000,
    chunks=(Chunk("ef" * 32, 1000),),
)


def test_record_has_one_byte_form_that_is_pinned() -> None:
    assert MANIFEST.to_bytes() == (
        b'{"chunks":[{"bytes":1000,"sha256":"' + b"ef" * 32 + b'"}],"ciphertext_sha256":"'
        b"" + b"cd" * 32 + b'","format":1,"joined_sha256":"' + b"ab" * 32 + b'",'
        b'"msp":"NorthMSP","round":3,"study":"lungs","upload_bytes":1000}'
    )


def test_record_read_from_its_bytes_is_equal() -> None:
    study = make_study()

    assert Manifest.from_bytes(MANIFEST.to_bytes()) == MANIFEST
    assert Study.from_bytes(study.to_bytes()) == study


def test_record_written_by_hand_is_read_whatever_its_order_and_spaces() -> None:
    loose = json.dumps(dict(reversed(json.loads(MANIFEST.to_bytes()).items())), indent=2)

    assert Manifest.from_text(loose.encode()) == MANIFEST


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b'{"format":1}',
        MANIFEST.to_bytes() + b" ",
        MANIFEST.to_bytes().replace(b'"format":1', b'"format":2'),
        MANIFEST.to_bytes().replace(b'"format":1,', b""),
        MANIFEST.to_bytes().replace(b'"format":1', b'"format":true'),
        MANIFEST.to_bytes().replace(b'"round":3', b'"round":true'),
        MANIFEST.to_bytes().replace(b'"round":3', b'"round":3.0'),
        MANIFEST.to_bytes().replace(b'"round":3', b'"round":"3"'),
        MANIFEST.to_bytes().replace(b'"round":3', b'"round":0'),
        MANIFEST.to_bytes().replace(b'"round":3', b'"round":-3'),
        MANIFEST.to_bytes().replace(b'"round":3', b'"round":NaN'),
        MANIFEST.to_bytes().replace(b'"round":3', b'"round":3,"round":3'),
        MANIFEST.to_bytes().replace(b'"round":3', b'"round":3,"sound":3'),
        MANIFEST.to_bytes().replace(b'"round":3,', b""),
        MANIFEST.to_bytes().replace(b'"study":"lungs"', b'"study":"Lungs"'),
        MANIFEST.to_bytes().replace(b'"study":"lungs"', b'"study":"l\\u0075ngs"'),
        MANIFEST.to_bytes().replace(b"NorthMSP", b"North\\u0000MSP"),
        MANIFEST.to_bytes().replace(b"NorthMSP", b"North\\ud800"),
        MANIFEST.to_bytes().replace(b"abab", b"ABAB"),
        MANIFEST.to_bytes().replace(b'[{"bytes"', b'[null,{"bytes"'),
        MANIFEST.to_bytes().replace(b":3,", b":" + b"9" * 5000 + b","),
        b'{"a":' * 100_000,
    ],
)
def test_bytes_that_are_not_canonical_are_refused(data: bytes) -> None:
    with pytest.raises(RecordError):
        Manifest.from_bytes(data)


def test_base64_with_loose_bits_is_refused() -> None:
    record = ShareSum("lungs", 1, "NorthMSP", 2, "ab" * 32, bytes(8192), ())
    data = record.to_bytes()
    assert b'AAA="' in data

    with pytest.raises(RecordError, match="canonical base64"):
        ShareSum.from_bytes(data.replace(b'AAA="', b'AAB="'))


def test_base64_of_another_length_is_refused() -> None:
    record = ShareSum("lungs", 1, "NorthMSP", 2, "ab" * 32, bytes(8192), ())

    with pytest.raises(RecordError, match="8190 bytes"):
        replace(record, share_sum=bytes(8190)).to_bytes()


def test_record_that_nobody_could_read_is_not_written() -> None:
    with pytest.raises(RecordError):
        replace(MANIFEST, msp="North/MSP").to_bytes()


def test_round_state_outside_the_table_is_refused() -> None:
    record = Round("lungs", 1, "OPEN", 1, 1, 2, "ab" * 32, 0, 0, 0, (), "", "", "")

    with pytest.raises(RecordError):
        replace(record, state="CLOSED").to_bytes()


json_values = st.recursive(
    st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_encoding_of_any_json_of_integers_and_text_reads_back_to_itself(value: object) -> None:
    assert decode(encode(value), canonical=True) == value  # type: ignore[arg-type]


@given(st.binary(max_size=60))
def test_reading_any_bytes_gives_json_or_record_error(data: bytes) -> None:
    try:
        value = decode(data, canonical=False)
    except RecordError:
        return
    assert decode(encode(value), canonical=True) == value


@pytest.mark.parametrize("polynomials", [1, 49, 127, 128, 129, 300])
@pytest.mark.parametrize("boxes", [3, 4, 20])
def test_chunks_of_a_layout_tile_the_upload(polynomials: int, boxes: int) -> None:
    layout = UploadLayout(polynomials, boxes)
    sizes = [layout.chunk_bytes(index) for index in range(layout.chunks)]
    parts = [layout.ciphertext_in_chunk(index) for index in range(layout.chunks)]

    assert sum(sizes) == layout.upload_bytes
    assert sum(parts) == layout.ciphertext_bytes
    assert all(0 < size <= 4 * 1024 * 1024 for size in sizes)
    assert all(part % 32768 == 0 for part in parts)
    assert layout.blocks == sum(part > 0 for part in parts)
    assert layout.box_slice(boxes - 1).stop == layout.upload_bytes
