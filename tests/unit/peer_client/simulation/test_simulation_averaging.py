"""Averaging without encryption is what clients compute around it."""

from __future__ import annotations

import numpy as np
import pytest

from chaincode.records.study import Weight
from peer_client.simulation.averaging import PlainAverage

WEIGHTS = (
    Weight("encoder/kernel", (400,), "all", 100_000_000),
    Weight("decoder/kernel", (50,), "masks", 100_000_000),
)
MASKS = {"a": True, "b": True, "c": True, "d": False}
BEFORE = np.linspace(-1, 1, 450, dtype=np.float32)


def updates(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: BEFORE + rng.normal(0, 0.02, 450).astype(np.float32) for name in MASKS}


def test_quantised_averages_are_the_mean_within_a_step_of_the_grid() -> None:
    after = updates()
    plain = PlainAverage(WEIGHTS, MASKS, 12, np.random.default_rng(0))
    shared = plain.apply(BEFORE, after)
    everyone = np.mean([after[name] for name in MASKS], axis=0)
    masked = np.mean([after[name] for name in "abc"], axis=0)
    assert np.abs(shared - np.r_[everyone[:400], masked[400:]]).max() < 2 * 0.1 / 2047
    assert max(loss.relative_error for loss in plain.losses.values()) < 0.01


def test_fewer_bits_lose_more() -> None:
    losses = []
    for bits in (4, 8):
        plain = PlainAverage(WEIGHTS, MASKS, bits, np.random.default_rng(0))
        plain.apply(BEFORE, updates())
        losses.append(plain.losses["a"].relative_error)
    assert losses[0] > 5 * losses[1]


def test_a_decoder_of_too_few_mask_hospitals_stays_as_it_was() -> None:
    two = {"a": True, "b": True, "c": False, "d": False}
    plain = PlainAverage(WEIGHTS, two, 8, np.random.default_rng(0))
    shared = plain.apply(BEFORE, updates())
    assert (shared[400:] == BEFORE[400:]).all()
    assert (shared[:400] != BEFORE[:400]).any()


def test_scales_of_the_next_round_follow_from_this_one() -> None:
    plain = PlainAverage(WEIGHTS, MASKS, 8, np.random.default_rng(0))
    plain.apply(BEFORE, updates())
    assert plain.scales is not None
    assert plain.scales == pytest.approx([0.08, 0.08], rel=0.15)


def test_a_weight_that_is_not_finite_is_refused() -> None:
    from peer_client.update import WeightListError

    after = updates()
    after["b"][3] = np.nan
    with pytest.raises(WeightListError):
        PlainAverage(WEIGHTS, MASKS, 8, np.random.default_rng(0)).apply(BEFORE, after)
