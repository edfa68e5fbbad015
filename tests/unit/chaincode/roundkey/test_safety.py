"""The numbers of hospitals that may collude hold, and are the largest that do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from chaincode.roundkey.parameters import HOSPITALS_MAX, RING_DEGREE, SHARE_PRIME
from chaincode.roundkey.safety import SafetyBounds, collusion_words, safety_bounds, safety_words
from chaincode.roundkey.shares import Shares, interpolate
from network.quorum import bft_quorum, hospital_quorum


def bounds_of(hospitals: int, threshold: int, contributors: int | None = None) -> SafetyBounds:
    """The bounds of a sum of all, where no smaller number is given; k is T."""
    return safety_bounds(
        hospitals=hospitals,
        threshold=threshold,
        contributors=hospitals if contributors is None else contributors,
        contributors_min=threshold,
    )


def studies(hospitals_max: int) -> Iterator[tuple[int, int]]:
    """Yield every number of hospitals and every threshold that a study may have."""
    for hospitals in range(3, hospitals_max + 1):
        for threshold in range(hospital_quorum(hospitals), hospitals + 1):
            yield hospitals, threshold


def test_two_groups_of_honest_hospitals_can_answer_exactly_from_2t_minus_n_colluders_on() -> None:
    for hospitals, threshold in studies(60):
        for cheating in range(threshold):
            two_sets = 2 * (threshold - cheating) <= hospitals - cheating

            assert two_sets == (cheating >= 2 * threshold - hospitals)


def test_so_many_cheating_hospitals_as_are_named_never_get_two_sets_opened() -> None:
    for hospitals, threshold in studies(60):
        cheating = bounds_of(hospitals, threshold).cheating

        assert 2 * (threshold - cheating) > hospitals - cheating


def test_the_bound_is_the_formula_for_the_least_threshold_of_any_number_of_hospitals() -> None:
    for hospitals in range(3, HOSPITALS_MAX + 1):
        threshold = hospital_quorum(hospitals)
        for contributors in {threshold, hospitals}:
            found = bounds_of(hospitals, threshold, contributors)

            assert found.pooling == min(threshold - 1, contributors - 2)
            assert found.cheating == min(found.pooling, 2 * threshold - hospitals - 1)


def test_the_bound_is_the_formula_for_every_threshold_of_up_to_17_hospitals() -> None:
    for hospitals, threshold in studies(17):
        for contributors in range(threshold, hospitals + 1):
            found = bounds_of(hospitals, threshold, contributors)

            assert found.cheating == min(found.pooling, 2 * threshold - hospitals - 1)


def test_no_more_is_named_than_the_proof_covers() -> None:
    """At most two hospitals away, or at most three versions of the ledger (docs/security.md)."""
    for hospitals, threshold in studies(120):
        cheating = bounds_of(hospitals, threshold).cheating
        versions = (hospitals - cheating) // max(1, bft_quorum(hospitals) - cheating)

        assert cheating >= 1
        assert hospitals - threshold <= 2 or versions <= 3


def test_a_raised_threshold_stands_more_that_cheat_and_fewer_that_are_away() -> None:
    found = [bounds_of(7, threshold, contributors=7) for threshold in (5, 6, 7)]

    assert found == [SafetyBounds(2, 4, 2), SafetyBounds(4, 5, 1), SafetyBounds(5, 5, 0)]


@pytest.mark.parametrize(("contributors", "pooling"), [(3, 1), (2, 0), (1, -1), (0, -1)])
def test_fewer_contributors_hide_each_other_from_fewer(contributors: int, pooling: int) -> None:
    assert bounds_of(4, 3, contributors).pooling == pooling


class Dealers:
    """Every hospital's secret and the shares of it, by the formula: values of a polynomial."""

    def __init__(self, hospitals: int, threshold: int) -> None:
        rng = np.random.default_rng([hospitals, threshold])
        self.points = range(1, hospitals + 1)
        self.polynomials = rng.integers(0, SHARE_PRIME, (hospitals, threshold, RING_DEGREE))
        self.polynomials[:, 0] = rng.integers(-42, 43, (hospitals, RING_DEGREE)) % SHARE_PRIME

    def share_sum(self, point: int, dealers: set[int]) -> Shares:
        """What the hospital at a point answers for a set of contributors."""
        powers = [pow(point, power, SHARE_PRIME) for power in range(self.polynomials.shape[1])]
        total = sum(
            self.polynomials[dealer - 1][power] * factor
            for dealer in dealers
            for power, factor in enumerate(powers)
        )
        return (total % SHARE_PRIME).astype(np.uint16)

    def secret(self, dealer: int) -> np.ndarray:
        """A dealer's secret, centred."""
        values = self.polynomials[dealer - 1][0]
        return np.where(values > SHARE_PRIME // 2, values - SHARE_PRIME, values)


@pytest.mark.parametrize(
    ("hospitals", "threshold"), [(4, 3), (5, 4), (7, 5), (7, 6), (10, 7), (10, 8)]
)
def test_one_colluder_more_than_named_reads_a_secret_from_two_versions_of_the_ledger(
    hospitals: int, threshold: int
) -> None:
    """Each honest hospital answers once: half of them for all, half for all but the victim."""
    dealers, cheating = Dealers(hospitals, threshold), 2 * threshold - hospitals
    assert bounds_of(hospitals, threshold).cheating <= cheating - 1
    *_, victim = everybody = set(dealers.points)
    colluders = list(dealers.points)[:cheating]
    honest = [point for point in dealers.points if point not in colluders]
    needed = threshold - cheating
    groups = (honest[:needed], honest[needed : 2 * needed])
    assert [len(group) for group in groups] == [needed, needed]

    keys = [
        interpolate({p: dealers.share_sum(p, shown) for p in (*colluders, *group)})
        for group, shown in zip(groups, (everybody, everybody - {victim}), strict=True)
    ]

    assert np.array_equal(keys[0] - keys[1], dealers.secret(victim))


def test_words_are_the_same_for_a_study_and_for_a_sum() -> None:
    assert safety_words(SafetyBounds(3, 4, 2)) == f"{collusion_words(3, 4)}; 2 may be away"
    assert collusion_words(0, 0) == (
        "safe against 0 hospitals that cheat, 0 that only pool what they have"
    )
