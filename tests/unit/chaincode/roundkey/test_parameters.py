from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaincode.roundkey.parameters import (
    HOSPITALS_MAX,
    MODULUS,
    NOISE_BOUND,
    RING_DEGREE,
    SHARE_PRIME,
    ParameterError,
    derive,
    is_prime,
    plaintext_modulus,
)

VECTORS = Path(__file__).parents[3] / "vectors" / "roundkey.json"


@settings(max_examples=25, deadline=None)
@given(st.integers(3, HOSPITALS_MAX), st.integers(2, 16), st.integers(1, 10**7))
def test_every_derived_number_keeps_its_bound(hospitals: int, bits: int, parameters: int) -> None:
    p = derive(hospitals, bits, parameters)

    t = p.plaintext_modulus
    # The exact worst case: every error +-42 and every encoded coefficient +-(t - 1)/2.
    assert hospitals * (NOISE_BOUND * t + (t - 1) // 2) < MODULUS // 2
    assert t % (2 * RING_DEGREE) == 1
    assert is_prime(t)
    assert p.field_base**p.fields <= t
    assert hospitals * (p.levels - 1) < p.field_base
    assert p.levels % 2 == 1
    assert p.levels >= 2**bits - 1
    assert (hospitals * (p.levels + 1) + 1) ** p.fields > t
    assert p.polynomials * p.fields * RING_DEGREE >= parameters
    assert (p.polynomials - 1) * p.fields * RING_DEGREE < parameters
    assert 2 * p.threshold > hospitals
    assert 3 * p.threshold > 2 * hospitals
    assert 2 * NOISE_BOUND * hospitals < SHARE_PRIME
    assert p.safety().pooling == min(p.threshold - 1, p.contributors_min - 2)


def test_the_next_plaintext_modulus_would_break_the_bound() -> None:
    for hospitals in (3, 4, 7, 20, 100):
        candidate = plaintext_modulus(hospitals) + 2 * RING_DEGREE
        while not is_prime(candidate):
            candidate += 2 * RING_DEGREE

        assert hospitals * (2 * NOISE_BOUND + 1) * candidate >= MODULUS


def test_parameters_are_the_ones_of_the_vectors() -> None:
    for row in json.loads(VECTORS.read_text())["parameters"]:
        p = derive(row["hospitals"], row["bits"], row["parameters"])

        found = {name: getattr(p, name) for name in row}
        assert found == row


@pytest.mark.parametrize(("hospitals", "bits", "most"), [(4, 8, 1.75), (4, 4, 1.15), (20, 8, 2.35)])
def test_bytes_per_parameter_stay_within_the_promise(
    hospitals: int, bits: int, most: float
) -> None:
    assert derive(hospitals, bits, 10**6).bytes_per_parameter <= most


@pytest.mark.parametrize(
    ("hospitals", "bits", "parameters", "contributors_min", "reason"),
    [
        (2, 8, 10, None, "fewer than 3"),
        (HOSPITALS_MAX + 1, 8, 10, None, "no longer fits"),
        (4, 1, 10, None, "bits"),
        (4, 25, 10, None, "bits"),
        (4, 8, 0, None, "parameters"),
        (4, 8, 2**28 + 1, None, "parameters"),
        (4, 8, 10, 2, "must not be opened"),
        (4, 8, 10, 5, "only 4 hospitals"),
    ],
)
def test_derive_refuses_with_the_reason(
    hospitals: int, bits: int, parameters: int, contributors_min: int | None, reason: str
) -> None:
    with pytest.raises(ParameterError, match=reason):
        derive(hospitals, bits, parameters, contributors_min=contributors_min)


def test_coalition_counts_two_honest_contributors() -> None:
    p = derive(4, 8, 10)

    assert [p.safety(contributors).pooling for contributors in (3, 4)] == [1, 2]


def test_is_prime_agrees_with_trial_division() -> None:
    for number in range(2000):
        divisors = [d for d in range(1, number + 1) if number % d == 0]

        assert is_prime(number) == (len(divisors) == 2)


def test_modulus_and_share_field_are_prime() -> None:
    assert is_prime(MODULUS)
    assert is_prime(SHARE_PRIME)
    assert MODULUS % (2 * RING_DEGREE) == 1
