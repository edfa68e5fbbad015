from __future__ import annotations

import numpy as np
import pytest

from chaincode.roundkey import ntt, ring
from chaincode.roundkey.parameters import MODULUS, RING_DEGREE


def _uniform(rng: np.random.Generator, *shape: int) -> ring.Residues:
    return rng.integers(0, MODULUS, shape, dtype=np.uint64)


def _reversed_bits(index: int) -> int:
    return int(format(index, "012b")[::-1], 2)


def test_forward_is_evaluation_at_odd_powers_of_the_root_in_reversed_order() -> None:
    polynomial = _uniform(np.random.default_rng(1), RING_DEGREE)
    values = ntt.forward(polynomial)
    coefficients = polynomial.tolist()

    for place in (0, 1, 2, 77, 2048, 4095):
        point = pow(ntt.smallest_root(), 2 * _reversed_bits(place) + 1, MODULUS)
        expected = 0
        for coefficient in reversed(coefficients):  # Horner, in Python's integers
            expected = (expected * point + coefficient) % MODULUS

        assert int(values[place]) == expected


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9])
def test_inverse_undoes_forward_for_every_batch(count: int) -> None:
    polynomials = _uniform(np.random.default_rng(count), count, RING_DEGREE)

    assert (ntt.inverse(ntt.forward(polynomials)) == polynomials).all()


def test_one_polynomial_transforms_as_in_a_batch() -> None:
    polynomials = _uniform(np.random.default_rng(2), 3, RING_DEGREE)
    together = ntt.forward(polynomials)

    for row in range(3):
        assert (ntt.forward(polynomials[row]) == together[row]).all()
        assert (ntt.inverse(together[row]) == polynomials[row]).all()


def test_transforms_leave_their_input_alone() -> None:
    for shape in [(RING_DEGREE,), (1, RING_DEGREE), (8, RING_DEGREE)]:
        polynomials = _uniform(np.random.default_rng(3), *shape)
        before = polynomials.copy()

        ntt.forward(polynomials)
        ntt.inverse(polynomials)

        assert (polynomials == before).all()


def test_product_of_values_is_the_negacyclic_product() -> None:
    rng = np.random.default_rng(4)
    left, right = _uniform(rng, RING_DEGREE), np.zeros(RING_DEGREE, np.uint64)
    right[5], right[RING_DEGREE - 1] = 3, MODULUS - 2

    product = ntt.inverse(ring.multiply(ntt.forward(left), ntt.forward(right)))

    # x^5 rotates by five and x^4095 by 4095; what passes the end comes back negated.
    numbers = left.tolist()
    rotated = [3 * (numbers[i - 5] if i >= 5 else -numbers[i - 5]) for i in range(RING_DEGREE)]
    last = RING_DEGREE - 1
    expected = [
        (rotated[i] - 2 * (numbers[i - last] if i >= last else -numbers[i - last])) % MODULUS
        for i in range(RING_DEGREE)
    ]
    assert product.tolist() == expected


@pytest.mark.parametrize("value", [0, MODULUS - 1])
def test_extreme_coefficients_stay_canonical(value: int) -> None:
    polynomials = np.full((2, RING_DEGREE), value, np.uint64)

    values = ntt.forward(polynomials)

    assert int(values.max()) < MODULUS
    assert (ntt.inverse(values) == polynomials).all()


def test_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="4096"):
        ntt.forward(np.zeros(4095, np.uint64))


def test_root_is_the_smallest_of_its_order() -> None:
    root = ntt.smallest_root()

    assert pow(root, RING_DEGREE, MODULUS) == MODULUS - 1
    assert root == 116777451583545  # SEAL's for this prime
