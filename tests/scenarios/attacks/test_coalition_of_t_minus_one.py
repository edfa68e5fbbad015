"""T - 1 hospitals put together all they legally hold; the victim's update stays closed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from chaincode.roundkey.parameters import RING_DEGREE
from chaincode.roundkey.shares import interpolate
from peer_client.sealing import upload
from tests.scenarios.attacks.adversary import is_opened, shares_of
from tests.support.sealed_round import SealedRound

VICTIM = "H001MSP"


def _with_coalition(hospitals: int) -> tuple[SealedRound, tuple[str, ...]]:
    played = SealedRound(hospitals).play()
    return played, played.msps[-(played.parameters.threshold - 1) :]


def _secret_behind(played: SealedRound, dealer: str):
    """A hospital's own secret, which of course it knows: from any T of the shares it dealt."""
    return interpolate(shares_of(played, dealer, played.msps[: played.parameters.threshold]))


@pytest.mark.parametrize("hospitals", [4, 7, 20])
def test_everything_a_coalition_holds_opens_no_single_update(hospitals: int) -> None:
    played, coalition = _with_coalition(hospitals)
    held = shares_of(played, VICTIM, coalition)
    honest_sum = played.share_sum(VICTIM, played.msps)
    round_key = interpolate(
        played.share_sums(played.msps[: played.parameters.threshold], played.msps)
    )
    # All that is left of the others' secrets: the sum of those of the honest.
    rest = round_key - sum(_secret_behind(played, msp) for msp in coalition)
    honest = hospitals - len(coalition)

    keys = {
        "as if the degree were one less": interpolate(held),
        "a share sum taken for a share": interpolate({**held, 1: honest_sum}),
        "the round key": round_key,
        "the sum of the honest secrets": rest,
        "their mean": rest // honest,
    }
    for guess in (0, 1, 40_000):
        missing = np.full(RING_DEGREE, guess, np.uint16)
        keys[f"the missing share guessed as {guess}"] = interpolate({**held, 1: missing})

    assert [name for name, key in keys.items() if is_opened(played, VICTIM, key)] == []


@pytest.mark.parametrize("hospitals", [4, 7, 20])
def test_switched_off_threshold_lets_the_same_coalition_open(
    hospitals: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = upload.deal
    monkeypatch.setattr(
        upload,
        "deal",
        lambda secret, points, threshold, key: really(secret, points, threshold - 1, key),
    )
    played, coalition = _with_coalition(hospitals)

    key = interpolate(shares_of(played, VICTIM, coalition))

    assert is_opened(played, VICTIM, key)


def test_a_coalition_as_large_as_tolerated_leaves_two_honest_updates_in_the_sum() -> None:
    for hospitals in (4, 7, 20):
        parameters = SealedRound(hospitals).parameters
        for contributors in range(parameters.contributors_min, hospitals + 1):
            most = parameters.safety(contributors).pooling

            assert most <= parameters.threshold - 1
            assert contributors - most >= 2


def test_one_colluder_more_than_tolerated_reads_the_last_honest_update() -> None:
    # Three of four contributed; two of them collude: what is left of the sum is the third's.
    played = SealedRound(4).play("H001MSP", "H002MSP", "H003MSP")
    assert played.parameters.safety(3).pooling == 1
    total = sum(played.values.values())

    left = total - played.values["H002MSP"] - played.values["H003MSP"]

    assert (left == played.values[VICTIM]).all()


def test_parameters_do_not_allow_a_smaller_threshold_than_two_thirds() -> None:
    parameters = SealedRound(7).parameters

    assert 3 * parameters.threshold > 2 * 7
    assert dataclasses.replace(parameters).contributors_min >= parameters.threshold
