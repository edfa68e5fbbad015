"""The learning rate depends on the step within the study alone."""

from __future__ import annotations

import pytest

from model.schedule import learning_rate


def test_learning_rate_rises_then_falls_to_the_lowest():
    rates = [
        learning_rate(step, 240, highest=1e-3, lowest=1e-5, warm_up_steps=20) for step in range(241)
    ]

    assert rates[0] == pytest.approx(1e-3 / 20, rel=1e-6)
    assert max(rates) == rates[19]
    assert rates[19:] == sorted(rates[19:], reverse=True)
    assert rates[240] == pytest.approx(1e-5)


def test_learning_rate_beyond_the_end_stays_at_the_lowest():
    assert learning_rate(500, 240, highest=1.0, lowest=0.25, warm_up_steps=0) == 0.25


def test_learning_rate_half_way_is_half_way():
    assert learning_rate(50, 100, highest=1.0, lowest=0.0, warm_up_steps=0) == pytest.approx(0.5)
