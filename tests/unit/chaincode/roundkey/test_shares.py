from __future__ import annotations

import time
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaincode.roundkey import ntt, ring, shares
from chaincode.roundkey.expansion import expand
from chaincode.roundkey.parameters import (
    NOISE_BOUND,
    RING_DEGREE,
    SHARE_PRIME,
    RoundParameters,
    derive,
)
from chaincode.roundkey.shares import AggregateKeyError


class SummedRound:
    """What the ledger holds of a summed round: share sums and the summed key check."""

    def __init__(self, hospitals: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.parameters: RoundParameters = derive(hospitals, 8, 1000)
        self.contributors = hospitals
        self.key = self._bounded(rng, NOISE_BOUND * hospitals)
        error = self._bounded(rng, NOISE_BOUND * hospitals)
        scaled = ring.lift(error * self.parameters.plaintext_modulus)
        public = expand("lungs", 1, 1, first=self.parameters.polynomials)[0]
        masked = ring.multiply(public, ntt.forward(ring.lift(self.key)))
        self.check_sum = ring.subtract(ntt.forward(scaled), masked)
        higher = rng.integers(0, SHARE_PRIME, (self.parameters.threshold - 1, RING_DEGREE))
        polynomial = np.vstack([self.key[None, :] % SHARE_PRIME, higher])
        self.share_sums = {
            point: self._evaluate(polynomial, point) for point in range(1, hospitals + 1)
        }

    @staticmethod
    def _bounded(rng: np.random.Generator, bound: int) -> ring.Integers:
        return rng.integers(-bound, bound + 1, RING_DEGREE)

    @staticmethod
    def _evaluate(polynomial: ring.Integers, point: int) -> shares.Shares:
        value = np.zeros(RING_DEGREE, np.int64)
        for row in polynomial[::-1]:
            value = (value * point + row) % SHARE_PRIME
        return value.astype(np.uint16)

    def shift(self, point: int, coordinate: int, amount: int) -> None:
        sums = self.share_sums[point].astype(np.int64)
        sums[coordinate] = (sums[coordinate] + amount) % SHARE_PRIME
        self.share_sums[point] = sums.astype(np.uint16)

    def check(self, key: ring.Integers) -> None:
        shares.check_round_key(
            key,
            self.check_sum,
            study="lungs",
            round_number=1,
            parameters=self.parameters,
            contributors=self.contributors,
        )

    def find(self) -> shares.FoundRoundKey:
        return shares.find_round_key(
            self.share_sums,
            self.check_sum,
            study="lungs",
            round_number=1,
            parameters=self.parameters,
            contributors=self.contributors,
        )


def test_any_t_share_sums_give_the_round_key() -> None:
    played = SummedRound(5)

    for points in combinations(range(1, 6), played.parameters.threshold):
        chosen = {point: played.share_sums[point] for point in points}

        assert (shares.interpolate(chosen) == played.key).all()


def test_t_minus_one_share_sums_give_something_that_is_not_short() -> None:
    played = SummedRound(5)

    for points in combinations(range(1, 6), played.parameters.threshold - 1):
        guess = shares.interpolate({point: played.share_sums[point] for point in points})

        with pytest.raises(AggregateKeyError, match="at most"):
            played.check(guess)


def test_the_right_key_passes_the_key_check() -> None:
    played = SummedRound(4)

    played.check(played.key)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, RING_DEGREE - 1), st.sampled_from([-1, 1]))
def test_a_short_key_that_is_off_by_one_in_one_place_is_refused(place: int, step: int) -> None:
    played = SummedRound(4)
    key = played.key.copy()
    key[place] -= step if abs(key[place] - step) <= 4 * NOISE_BOUND else -step

    with pytest.raises(AggregateKeyError, match="does not open the sum of the key checks"):
        played.check(key)


def test_a_key_beyond_the_contributors_bound_is_refused_before_anything_else() -> None:
    played = SummedRound(4)
    key = played.key.copy()
    key[0] = 4 * NOISE_BOUND + 1

    with pytest.raises(AggregateKeyError, match="at most 168"):
        played.check(key)


def test_a_liar_who_keeps_the_key_short_is_found_and_changes_nothing() -> None:
    played = SummedRound(4)
    played.key[3] = 0
    played = SummedRound(4)
    weight = shares.lagrange_weights((1, 2, 3))[0]
    played.shift(1, 3, pow(weight, -1, SHARE_PRIME))  # moves coefficient 3 of the key by one

    wrong = shares.interpolate({point: played.share_sums[point] for point in (1, 2, 3)})
    found = played.find()

    assert int(np.abs(wrong - played.key).sum()) == 1
    assert (found.round_key == played.key).all()
    assert found.false_senders == (1,)
    assert 1 not in found.senders


@pytest.mark.parametrize("kind", ["everything", "one coefficient", "one loud, five quiet"])
def test_six_liars_of_twenty_are_found_within_three_seconds(kind: str) -> None:
    played = SummedRound(20)
    rng = np.random.default_rng(1)
    liars = (1, 2, 3, 4, 5, 6)
    for liar in liars:
        if kind == "everything" or (kind.startswith("one loud") and liar == 6):
            played.share_sums[liar] = rng.integers(0, SHARE_PRIME, RING_DEGREE).astype(np.uint16)
        else:
            place = 4000 if kind == "one coefficient" else 100 * liar
            played.shift(liar, place, int(rng.integers(1, SHARE_PRIME)))

    started = time.process_time()
    found = played.find()
    seconds = time.process_time() - started

    assert (found.round_key == played.key).all()
    assert seconds < 3
    if kind == "one coefficient":
        # Six numbers of 16 bits may cancel at 0 by accident for one of 38,760 choices.
        assert found.colluders_to_frame <= len(liars)
    else:
        assert found.false_senders == liars


def test_one_liar_alone_is_always_the_one_named() -> None:
    for liar in (1, 2, 3, 4):
        played = SummedRound(4)
        played.shift(liar, 9, 1234)

        found = played.find()

        assert found.false_senders == (liar,)
        assert found.colluders_to_frame == 2


def test_two_liars_in_agreement_can_frame_an_honest_hospital_but_not_change_the_key() -> None:
    # g(x) = x (x - 3) has degree T - 1, is zero at 0 and at hospital 3, and not at hospital 4.
    played = SummedRound(4)
    for liar in (1, 2):
        played.shift(liar, 0, liar * (liar - 3))

    found = played.find()

    assert (found.round_key == played.key).all()
    assert found.senders == (1, 2, 3)
    assert found.false_senders == (4,)
    assert found.colluders_to_frame == 2  # so the verdict holds against one liar, not against two


def test_no_choice_of_senders_gives_a_key_where_too_many_lie() -> None:
    played = SummedRound(4)
    played.shift(1, 0, 5)
    played.shift(2, 0, 7)

    with pytest.raises(AggregateKeyError, match="none of the choices"):
        played.find()


def test_fewer_than_t_share_sums_are_not_searched() -> None:
    played = SummedRound(4)
    played.share_sums = {point: played.share_sums[point] for point in (1, 2)}

    with pytest.raises(AggregateKeyError, match="2 share sums; 3 are needed"):
        played.find()


@pytest.mark.parametrize("points", [(1, 1, 2), (0, 1, 2), (1, 2, SHARE_PRIME)])
def test_points_outside_the_field_or_repeated_are_refused(points: tuple[int, ...]) -> None:
    with pytest.raises(AggregateKeyError, match="evaluation points"):
        shares.lagrange_weights(points)


def test_evaluation_reaches_the_share_of_a_point_that_did_not_send() -> None:
    played = SummedRound(5)
    chosen = {point: played.share_sums[point] for point in (1, 2, 3, 4)}

    assert (shares.evaluate_at(chosen, 5) == played.share_sums[5]).all()
    assert shares.false_senders(played.share_sums, (1, 2, 3, 4)) == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (bytes(8191), "8192 bytes"),
        (bytes(8193), "8192 bytes"),
        (b"", "8192 bytes"),
        (bytes(8190) + (SHARE_PRIME).to_bytes(2, "little"), "below 65521"),
    ],
)
def test_a_malformed_share_sum_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(AggregateKeyError, match=reason):
        shares.read_share_sum(content)


def test_share_sums_and_keys_survive_their_encoding() -> None:
    values = np.arange(RING_DEGREE, dtype=np.uint16)
    key = np.arange(RING_DEGREE, dtype=np.int64) - 2000

    assert (shares.read_share_sum(values.astype("<u2").tobytes()) == values).all()
    assert (shares.read_round_key(shares.write_round_key(key)) == key).all()


def test_a_key_that_does_not_fit_its_encoding_is_refused() -> None:
    with pytest.raises(AggregateKeyError, match="32760"):
        shares.write_round_key(np.full(RING_DEGREE, 32761, np.int64))
    with pytest.raises(AggregateKeyError, match="8192 bytes"):
        shares.read_round_key(bytes(10))


def test_weights_of_many_subsets_are_those_of_each() -> None:
    points = [1, 2, 5, 9, 11]
    chosen = np.array(list(combinations(range(5), 3)))

    weights = shares._weights_of_subsets(points, chosen)

    for row, subset in zip(weights, chosen, strict=True):
        expected = [0] * 5
        for place, weight in zip(
            subset, shares.lagrange_weights([points[i] for i in subset]), strict=True
        ):
            expected[place] = weight
        assert row.tolist() == expected
