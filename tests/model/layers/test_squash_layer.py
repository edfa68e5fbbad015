"""Squash and capsule length: worked numbers, zero."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from model.layers import CapsuleLength, Squash

pytestmark = pytest.mark.tensorflow


def test_squash_of_a_worked_vector():
    # |s| = 5: v = 25 / 26 x (3, 4) / 5.
    answer = Squash()(np.array([[3.0, 4.0]], np.float32)).numpy()

    assert np.allclose(answer, [[25 / 26 * 3 / 5, 25 / 26 * 4 / 5]], atol=1e-6)


def test_squash_keeps_lengths_below_one_and_their_order():
    lengths = np.array([0.01, 0.1, 1.0, 10.0, 1000.0], np.float32)
    vectors = lengths[:, None] * np.array([[0.6, 0.8]], np.float32)

    answer = np.linalg.norm(Squash()(vectors).numpy(), axis=1)

    assert (np.diff(answer) > 0).all()
    assert (answer <= 1).all()
    assert np.allclose(answer, lengths**2 / (1 + lengths**2), atol=1e-4)


def test_squash_of_a_zero_vector_is_zero_and_has_a_finite_gradient():
    zero = tf.zeros((1, 3))
    with tf.GradientTape() as tape:
        tape.watch(zero)
        answer = Squash()(zero)
        loss = tf.reduce_sum(answer)

    assert answer.numpy().tolist() == [[0.0, 0.0, 0.0]]
    assert np.isfinite(tape.gradient(loss, zero).numpy()).all()


def test_capsule_length_of_a_worked_vector():
    answer = CapsuleLength()(np.array([[[3.0, 4.0], [0.0, 0.0]]], np.float32)).numpy()

    assert np.allclose(answer, [[5.0, np.sqrt(1e-7)]], atol=1e-6)


def test_capsule_length_of_zero_has_a_finite_gradient():
    zero = tf.zeros((1, 1, 3))
    with tf.GradientTape() as tape:
        tape.watch(zero)
        loss = tf.reduce_sum(CapsuleLength()(zero))

    assert tape.gradient(loss, zero).numpy().tolist() == [[[0.0, 0.0, 0.0]]]
