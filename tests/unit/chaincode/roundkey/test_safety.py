import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaincode.roundkey.parameters import HOSPITALS_MAX
from chaincode.roundkey.safety import safety_bounds
from network.quorum import bft_quorum, hospital_quorum


def bounds(hospitals: int, threshold: int | None = None, contributors: int | None = None):
    least = threshold or hospital_quorum(hospitals)
    return safety_bounds(
        hospitals=hospitals,
        threshold=least,
        contributors=contributors or hospitals,
        contributors_min=least,
    )


@pytest.mark.parametrize(
    ("hospitals", "cheating", "pooling"),
    [(4, 1, 2), (5, 2, 3), (7, 2, 4), (10, 3, 6), (20, 7, 13)],
)
def test_bounds_with_every_hospital_contributing(
    hospitals: int, cheating: int, pooling: int
) -> None:
    found = bounds(hospitals)

    assert (found.cheating, found.pooling) == (cheating, pooling)


def test_a_step_of_the_threshold_costs_one_hospital_that_may_be_away() -> None:
    found = [bounds(7, threshold) for threshold in (5, 6, 7)]

    assert [each.cheating for each in found] == [2, 4, 5]
    assert [each.away for each in found] == [2, 1, 0]


@given(st.integers(3, HOSPITALS_MAX), st.data())
def test_cheating_is_never_easier_to_survive_than_pooling(hospitals: int, data) -> None:
    quorum = hospital_quorum(hospitals)
    threshold = data.draw(st.integers(quorum, hospitals))
    contributors = data.draw(st.integers(threshold, hospitals))

    found = bounds(hospitals, threshold, contributors)

    assert found.cheating <= found.pooling <= min(threshold - 1, contributors - 2)
    assert found.cheating <= max(2 * threshold - hospitals - 1, 0)


def test_cheating_ordering_nodes_keep_at_most_three_versions_of_the_ledger_alive() -> None:
    """What the proof rests on for the least threshold, for every possible number of hospitals."""
    for hospitals in range(4, HOSPITALS_MAX + 1):
        most = 2 * hospital_quorum(hospitals) - hospitals - 1
        for cheating in range(1, most + 1):
            assert cheating < bft_quorum(hospitals)
            assert (hospitals - cheating) // (bft_quorum(hospitals) - cheating) <= 3


def test_up_to_seventeen_hospitals_the_bound_is_the_formulas_for_every_threshold() -> None:
    for hospitals in range(4, 18):
        for threshold in range(hospital_quorum(hospitals), hospitals + 1):
            wanted = min(threshold - 1, hospitals - 2, 2 * threshold - hospitals - 1)
            assert bounds(hospitals, threshold).cheating == wanted


def test_what_is_not_proved_is_not_printed() -> None:
    assert bounds(20, 17).cheating < 2 * 17 - 20 - 1
