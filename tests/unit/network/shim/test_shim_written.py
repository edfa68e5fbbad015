"""Values kept by what they hash to, within a number of bytes."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from network.shim.written import SMALLEST_BYTES, WrittenValues


def digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()


def value_of(number: int, extra_bytes: int = 0) -> bytes:
    return number.to_bytes(8, "big") + bytes(SMALLEST_BYTES - 8 + extra_bytes)


def test_a_small_value_is_not_kept() -> None:
    written = WrittenValues(bytes_max=2**20)
    written.keep(bytes(SMALLEST_BYTES - 1))

    assert written.find(digest(bytes(SMALLEST_BYTES - 1))) is None


def test_a_value_larger_than_all_that_may_be_kept_pushes_nothing_out() -> None:
    written = WrittenValues(bytes_max=2 * SMALLEST_BYTES)
    written.keep(value_of(1))
    written.keep(value_of(2, extra_bytes=2 * SMALLEST_BYTES))

    assert written.find(digest(value_of(1))) == value_of(1)


def test_an_absent_values_empty_hash_finds_nothing() -> None:
    assert WrittenValues(bytes_max=2**20).find(b"") is None


@given(numbers=st.lists(st.integers(0, 9), max_size=40), room=st.integers(1, 6))
def test_the_newest_values_are_kept_and_never_more_than_there_is_room_for(
    numbers: list[int], room: int
) -> None:
    written = WrittenValues(bytes_max=room * SMALLEST_BYTES)
    for number in numbers:
        written.keep(value_of(number))
    newest = list(dict.fromkeys(reversed(numbers)))[:room]

    found = [n for n in range(10) if written.find(digest(value_of(n))) is not None]

    assert sorted(newest) == found
