"""Losses: worked numbers, and what does not count."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from model import losses

pytestmark = pytest.mark.tensorflow


def tissue(*pixels):
    """One slice of one row of pixels, each (background, ground glass, consolidation)."""
    return tf.constant(np.array(pixels, np.float32)[None, None])


def codes(*values):
    return np.array(values, np.uint8)[None, None]


def test_margin_loss_of_worked_lengths():
    # Slice 0, class 0: (0.9 - 0.7)^2 + 0.5 (0.4 - 0.1)^2 = 0.085. Slice 1, class 1: nothing.
    lengths = tf.constant([[0.7, 0.4], [0.05, 0.95]])

    assert float(losses.margin_loss(np.array([0, 1]), lengths)) == pytest.approx(0.085 / 2, 1e-5)


def test_margin_loss_has_its_plateau_at_equal_lengths_of_063():
    lengths = tf.fill((2, 2), 1.9 / 3)

    # The least that equal lengths can reach: (0.9 - l)^2 + 0.5 (l - 0.1)^2 at l = 19/30.
    expected = (0.9 - 1.9 / 3) ** 2 + 0.5 * (1.9 / 3 - 0.1) ** 2
    assert float(losses.margin_loss(np.array([0, 1]), lengths)) == pytest.approx(expected, 1e-5)


def test_cross_entropy_of_equal_logits_is_log_two():
    assert float(losses.cross_entropy(np.array([0, 1]), tf.zeros((2, 2)))) == pytest.approx(
        math.log(2), 1e-6
    )


def test_capsule_class_loss_adds_twice_the_margin_and_the_cross_entropy():
    lengths = tf.constant([[0.6, 0.5]])
    margin = 0.3**2 + 0.5 * 0.4**2

    found = float(losses.capsule_class_loss(np.array([0]), lengths))

    assert found == pytest.approx(2 * margin + math.log(1 + math.exp(-1.0)), 1e-5)


def test_tissue_loss_of_worked_pixels():
    # Two lesion pixels (one of each kind) and one of background.
    answer = tissue((0.2, 0.6, 0.2), (0.2, 0.2, 0.6), (0.9, 0.1, 0.0))
    masks = codes(1, 2, 0)

    entropy = -(2 * math.log(0.8) + 2 * math.log(0.8) + math.log(0.9)) / 3
    dice = 1 - (2 * 1.6 + 20) / (2 + 1.7 + 20)
    kind = -0.5 * (math.log(0.75) + math.log(0.75))

    assert float(losses.tissue_loss(masks, answer)) == pytest.approx(entropy + dice + kind, 1e-4)


def test_tissue_loss_of_a_mask_without_kinds_does_not_look_at_the_kind():
    masks = codes(3, 3, 0)
    ground = tissue((0.2, 0.8, 0.0), (0.2, 0.8, 0.0), (0.9, 0.1, 0.0))
    dense = tissue((0.2, 0.0, 0.8), (0.2, 0.0, 0.8), (0.9, 0.0, 0.1))

    assert float(losses.tissue_loss(masks, ground)) == pytest.approx(
        float(losses.tissue_loss(masks, dense)), abs=1e-6
    )


def test_tissue_loss_falls_as_the_lesion_is_found():
    masks = codes(1, 1, 0, 0)
    values = [
        float(losses.tissue_loss(masks, tissue(*[(1 - p, p, 0.0)] * 2, *[(p, 1 - p, 0.0)] * 2)))
        for p in (0.1, 0.5, 0.9, 0.99)
    ]

    assert values == sorted(values, reverse=True)


def test_tissue_loss_of_certain_pixels_is_finite():
    answer = tissue((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    with tf.GradientTape() as tape:
        tape.watch(answer)
        loss = losses.tissue_loss(codes(2, 0, 1), answer)

    assert np.isfinite(float(loss))
    assert np.isfinite(tape.gradient(loss, answer).numpy()).all()
