from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaincode.roundkey import ring
from chaincode.roundkey.parameters import MODULUS

EDGES = [0, 1, 2, 2**14 - 1, 2**30 - 1, 2**30, 2**46, MODULUS // 2, MODULUS - 2, MODULUS - 1]
RESIDUES = st.lists(st.integers(0, MODULUS - 1) | st.sampled_from(EDGES), min_size=1, max_size=20)
ANY_64_BITS = st.lists(
    st.integers(0, 2**64 - 1) | st.sampled_from([*EDGES, MODULUS, 2**60, 2**64 - 1]),
    min_size=1,
    max_size=20,
)


def _array(numbers: list[int]) -> ring.Residues:
    return np.array(numbers, np.uint64)


@given(RESIDUES, RESIDUES)
def test_sum_difference_and_product_are_those_of_python(left: list[int], right: list[int]) -> None:
    count = min(len(left), len(right))
    left, right = left[:count], right[:count]
    pairs = list(zip(left, right, strict=True))

    assert ring.add(_array(left), _array(right)).tolist() == [(a + b) % MODULUS for a, b in pairs]
    assert ring.subtract(_array(left), _array(right)).tolist() == [
        (a - b) % MODULUS for a, b in pairs
    ]
    assert ring.multiply(_array(left), _array(right)).tolist() == [
        a * b % MODULUS for a, b in pairs
    ]
    assert ring.negate(_array(left)).tolist() == [-a % MODULUS for a in left]


@given(ANY_64_BITS, st.integers(-(2**70), 2**70))
def test_any_64_bit_number_is_reduced_and_scaled_as_in_python(
    numbers: list[int], factor: int
) -> None:
    assert ring.reduce(_array(numbers)).tolist() == [a % MODULUS for a in numbers]
    assert ring.multiply_constant(_array(numbers), factor).tolist() == [
        a * factor % MODULUS for a in numbers
    ]


@given(st.lists(st.integers(-(MODULUS // 2), MODULUS // 2), min_size=1, max_size=20))
def test_centre_undoes_lift(numbers: list[int]) -> None:
    lifted = ring.lift(np.array(numbers, np.int64))

    assert lifted.tolist() == [a % MODULUS for a in numbers]
    assert ring.centre(lifted).tolist() == numbers


@pytest.mark.parametrize("operation", [ring.add, ring.subtract, ring.multiply])
def test_products_of_all_edges_are_exact(operation) -> None:
    grid = np.array(EDGES, np.uint64)
    left, right = np.meshgrid(grid, grid)
    exact = {ring.add: int.__add__, ring.subtract: int.__sub__, ring.multiply: int.__mul__}

    expected = [
        [exact[operation](a, b) % MODULUS for a, b in zip(x, y, strict=True)]
        for x, y in zip(left.tolist(), right.tolist(), strict=True)
    ]

    assert operation(left, right).tolist() == expected


def test_operations_leave_their_inputs_alone() -> None:
    left, right = np.array([[1, 2]], np.uint64), np.array([[3, 4]], np.uint64)
    before = left.copy(), right.copy()

    for operation in (ring.add, ring.subtract, ring.multiply):
        operation(left, right)
    ring.negate(left)
    ring.centre(left)

    assert (left == before[0]).all()
    assert (right == before[1]).all()
