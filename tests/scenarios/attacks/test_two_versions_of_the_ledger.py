"""Hospitals that cheat keep two versions of the ledger alive and show a different S on each.

Every honest hospital answers once. With c = 2T - N colluders the N - c honest ones are enough for
two answers of T - c each, so both keys open and their difference is one hospital's secret: the
bound 2T - N - 1 is tight. With one colluder fewer one of the two sums lacks an answer.
"""

from __future__ import annotations

import pytest

from chaincode.roundkey.shares import interpolate
from network.quorum import hospital_quorum
from tests.scenarios.attacks.adversary import is_opened
from tests.support.sealed_round import SealedRound

HOSPITALS = [4, 5, 7]


def split(hospitals: int, colluders: int) -> tuple[list[str], list[str], list[str], SealedRound]:
    """Return colluders, honest ones shown S, honest ones shown S without a victim, the round."""
    played = SealedRound(hospitals).play()
    msps = list(played.msps)
    bad, honest = msps[:colluders], msps[colluders:]
    wanted = hospital_quorum(hospitals) - colluders
    return bad, honest[:wanted], honest[wanted : 2 * wanted], played


@pytest.mark.parametrize("hospitals", HOSPITALS)
def test_as_many_as_two_quorums_share_can_open_two_sums(hospitals: int) -> None:
    colluders = 2 * hospital_quorum(hospitals) - hospitals
    bad, first, second, played = split(hospitals, colluders)
    victim = first[0]
    without = [msp for msp in played.msps if msp != victim]

    everything = interpolate(played.share_sums([*bad, *first], played.msps))
    rest = interpolate(played.share_sums([*bad, *second], without))

    assert is_opened(played, victim, everything - rest)


@pytest.mark.parametrize("hospitals", HOSPITALS)
def test_one_colluder_fewer_leaves_one_of_two_sums_without_an_answer(hospitals: int) -> None:
    colluders = 2 * hospital_quorum(hospitals) - hospitals - 1
    bad, first, second, played = split(hospitals, colluders)
    victim = first[0]
    without = [msp for msp in played.msps if msp != victim]

    assert len(first) == hospital_quorum(hospitals) - colluders
    assert len(second) < hospital_quorum(hospitals) - colluders

    everything = interpolate(played.share_sums([*bad, *first], played.msps))
    rest = interpolate(played.share_sums([*bad, *second], without))
    assert not is_opened(played, victim, everything - rest)
