import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.quorum import hospital_quorum


@given(st.integers(1, 10_000))
def test_two_quorums_share_more_than_a_third_of_the_hospitals(hospitals: int) -> None:
    quorum = hospital_quorum(hospitals)
    assert 3 * (2 * quorum - hospitals) > hospitals
    assert quorum <= hospitals


def test_there_is_no_quorum_of_nobody() -> None:
    with pytest.raises(ValueError, match="0 hospitals"):
        hospital_quorum(0)
