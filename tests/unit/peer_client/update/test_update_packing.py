from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaincode.roundkey.parameters import RING_DEGREE, derive
from peer_client.update import PackedRangeError, pack, unpack


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([(3, 16), (4, 8), (4, 4), (7, 6), (20, 8), (50, 2)]),
    st.integers(1, 60_000),
    st.integers(0, 2**32),
)
def test_sums_of_packed_updates_unpack_to_sums(
    study: tuple[int, int], count: int, seed: int
) -> None:
    hospitals, bits = study
    parameters = derive(hospitals, bits, count)
    rng = np.random.default_rng(seed)
    updates = rng.integers(0, parameters.levels, (hospitals, count))
    updates[:, 0] = parameters.levels - 1  # the largest sum of all

    slots = sum(pack(update, parameters) for update in updates)

    assert int(slots.max()) < parameters.plaintext_modulus
    opened = unpack(slots, count, parameters, contributors=hospitals)
    assert (opened == updates.sum(axis=0)).all()


def test_value_goes_to_its_field_slot_and_polynomial() -> None:
    parameters = derive(4, 8, 5 * RING_DEGREE + 1)
    values = np.zeros(parameters.parameters, np.int64)
    values[2 * RING_DEGREE + 7] = 9
    values[5 * RING_DEGREE] = 3

    slots = pack(values, parameters)

    assert slots.shape == (2, RING_DEGREE)
    assert int(slots[0, 7]) == 9 * parameters.field_base**2
    assert int(slots[1, 0]) == 3
    assert int(np.count_nonzero(slots)) == 2


def _packed(count: int = 100):
    parameters = derive(4, 8, count)
    return parameters, pack(np.full(count, parameters.levels - 1), parameters)


def test_field_above_what_the_counted_updates_reach_is_refused() -> None:
    parameters, slots = _packed()
    three = 3 * slots

    assert int(unpack(three, 100, parameters, contributors=3).max()) == 3 * 318
    with pytest.raises(PackedRangeError, match="2 updates reach at most 636"):
        unpack(three, 100, parameters, contributors=2)


def test_padding_that_is_not_zero_is_refused() -> None:
    parameters, slots = _packed()
    slots[0, 100] = 1

    with pytest.raises(PackedRangeError, match="padding"):
        unpack(slots, 100, parameters, contributors=4)


def test_value_above_the_last_field_is_refused() -> None:
    parameters, slots = _packed()
    slots[0, 0] = parameters.field_base**parameters.fields

    with pytest.raises(PackedRangeError, match="more than its fields"):
        unpack(slots, 100, parameters, contributors=4)
