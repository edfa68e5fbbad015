"""A training step is timed on a hospital's own slices, and a round foretold from it."""

from __future__ import annotations

import pytest

from peer_client.evaluation.training_step import StepTime, measured_step
from tests.support.tiny_network import cohort

pytestmark = pytest.mark.tensorflow


def test_a_step_is_timed_and_a_round_foretold() -> None:
    told: list[tuple[int, int]] = []

    timed = measured_step(
        cohort(0), size_px=32, local_steps=24, threads=1, told=lambda *each: told.append(each)
    )

    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert timed.step_s > 0
    assert timed.peak_mib > 100
    assert timed.round_s > 24 * timed.step_s


def test_a_forecast_counts_steps_and_both_models_on_validation() -> None:
    timed = StepTime(3.0, 0.5, 0.25, 900, local_steps=10, validation_slices=4, threads=1)

    assert timed.round_s == 10 * 0.5 + 2 * 4 * 0.25
