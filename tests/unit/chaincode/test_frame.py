from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaincode.roundkey.frame import MAX_INTEGER, digest, frame

PARTS = st.lists(st.binary(max_size=8) | st.text(max_size=4) | st.integers(0, MAX_INTEGER))


def _bytes_of(part: int | str | bytes) -> bytes:
    if isinstance(part, int):
        return part.to_bytes(8, "little")
    return part.encode() if isinstance(part, str) else part


@given(PARTS, PARTS)
def test_frame_of_different_fields_is_different(left: list, right: list) -> None:
    same_fields = [_bytes_of(part) for part in left] == [_bytes_of(part) for part in right]

    assert (frame(*left) == frame(*right)) == same_fields


def test_frame_does_not_let_a_boundary_move() -> None:
    assert frame("ab", "c") != frame("a", "bc")
    assert frame("ab") != frame("ab", "")


def test_digest_is_the_one_of_the_specification() -> None:
    expected = "035be1980af16699b4b17691bc9bc94760d74f6d7a2211aa9f74af1d6b58cd5c"

    assert digest("a", 1, b"x").hex() == expected


@pytest.mark.parametrize("number", [-1, MAX_INTEGER + 1])
def test_frame_of_an_integer_out_of_range_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="not between"):
        frame(number)


@pytest.mark.parametrize("part", [True, None, 1.0, bytearray(b"x")])
def test_frame_of_another_type_is_refused(part: object) -> None:
    with pytest.raises(TypeError):
        frame(part)  # type: ignore[arg-type]
