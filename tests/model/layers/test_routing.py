"""Routing by agreement: worked numbers, and the votes of convolutional capsules."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from routing_by_hand import route, squash

from model.layers import ClassCapsules, ConvolutionalCapsules
from model.layers.routing import route_by_agreement

pytestmark = pytest.mark.tensorflow


def test_one_iteration_is_the_squashed_mean_share_of_the_votes():
    votes = np.array([[[[3.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]]], np.float32)

    answer = route_by_agreement(votes, np.zeros((2, 2), np.float32), iterations=1).numpy()

    # Two parents: each child gives half of its vote. Sums (2, 0) and (0, 1).
    assert np.allclose(answer, [[[0.8, 0.0], [0.0, 0.5]]], atol=1e-5)


@pytest.mark.parametrize("iterations", [1, 2, 3, 5])
def test_routing_follows_the_procedure_of_the_paper(iterations):
    rng = np.random.default_rng(iterations)
    votes = rng.normal(size=(6, 3, 4)).astype(np.float32)
    bias = rng.normal(size=(3, 4)).astype(np.float32)

    answer = route_by_agreement(votes[None], bias, iterations=iterations).numpy()[0]

    assert np.allclose(answer, route(votes, bias, iterations), atol=1e-5)


def test_children_that_agree_win_over_one_that_does_not():
    # Three children vote (1, 0) for both parents' first axis; for parent 0 a fourth agrees, for
    # parent 1 it votes against. Routing makes parent 0 longer than the plain mean does.
    votes = np.zeros((1, 4, 2, 2), np.float32)
    votes[:, :, :, 0] = 1.0
    votes[:, 3, 1, 0] = -1.0

    plain, routed = (
        np.linalg.norm(
            route_by_agreement(votes, np.zeros((2, 2), np.float32), iterations=n).numpy()[0], axis=1
        )
        for n in (1, 4)
    )

    assert routed[0] > plain[0]
    assert routed[1] < plain[1]


def test_routing_gradient_flows_through_the_last_sum_only():
    rng = np.random.default_rng(0)
    votes = tf.constant(rng.normal(size=(1, 5, 2, 3)).astype(np.float32))
    bias = tf.zeros((2, 3))
    with tf.GradientTape() as tape:
        tape.watch(votes)
        loss = tf.reduce_sum(route_by_agreement(votes, bias, iterations=3))
    gradient = tape.gradient(loss, votes).numpy()

    logits = np.zeros((5, 2))
    fixed = votes.numpy()[0]
    for _ in range(2):
        coupling = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        logits = logits + (fixed * squash((coupling[:, :, None] * fixed).sum(0))[None]).sum(-1)
    coupling = tf.constant((np.exp(logits) / np.exp(logits).sum(1, keepdims=True)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(votes)
        total = tf.reduce_sum(coupling[None, :, :, None] * votes, 1)
        squared = tf.reduce_sum(total**2, -1, keepdims=True)
        loss = tf.reduce_sum(total * squared / (1 + squared) / tf.sqrt(squared + 1e-7))

    assert np.allclose(gradient, tape.gradient(loss, votes).numpy(), atol=1e-5)


def test_convolutional_capsules_of_one_place_are_routed_matrix_products():
    rng = np.random.default_rng(1)
    layer = ConvolutionalCapsules(2, 3, kernel_size=1)
    capsules = rng.normal(size=(1, 1, 1, 4, 5)).astype(np.float32)
    answer = layer(capsules).numpy()[0, 0, 0]

    kernel = layer.kernel.numpy()[0, 0]
    votes = (capsules[0, 0, 0] @ kernel).reshape(4, 2, 3)

    assert np.allclose(answer, route(votes, layer.bias.numpy(), 3), atol=1e-5)


def test_convolutional_capsules_with_steps_of_two_vote_by_a_strided_convolution():
    rng = np.random.default_rng(6)
    layer = ConvolutionalCapsules(2, 3, kernel_size=6, strides=2)
    capsules = rng.normal(size=(1, 8, 6, 4, 5)).astype(np.float32)
    answer = layer(capsules).numpy()[0]

    padded = np.pad(capsules[0], ((2, 2), (2, 2), (0, 0), (0, 0)))
    for row, column in np.ndindex(4, 3):
        window = padded[2 * row : 2 * row + 6, 2 * column : 2 * column + 6]
        votes = np.einsum("yxic,yxco->io", window, layer.kernel.numpy()).reshape(4, 2, 3)
        expected = route(votes, layer.bias.numpy(), 3)
        assert np.allclose(answer[row, column], expected, atol=1e-4)


def test_convolutional_capsules_share_their_transformation_over_child_types():
    layer = ConvolutionalCapsules(2, 3)
    capsules = np.random.default_rng(2).normal(size=(1, 5, 5, 4, 5)).astype(np.float32)

    answer = layer(capsules).numpy()
    permuted = layer(capsules[:, :, :, [2, 0, 3, 1]]).numpy()

    assert np.allclose(answer, permuted, atol=1e-5)


def test_class_capsules_of_worked_children():
    rng = np.random.default_rng(5)
    grid = rng.normal(size=(1, 2, 2, 3, 4)).astype(np.float32)
    pooled = rng.normal(size=(1, 2, 5)).astype(np.float32)
    layer = ClassCapsules(2, 6)
    answer = layer([grid, pooled]).numpy()[0]

    mean = grid.mean((3, 4), keepdims=True)
    spread = ((grid - mean) ** 2).mean((3, 4), keepdims=True)
    normal = (grid - mean) / np.sqrt(spread + 1e-5) / np.sqrt(12)
    votes = [
        (normal[0, y, x, i] @ layer.grid_kernel.numpy()[i]).reshape(2, 6)
        for y in range(2)
        for x in range(2)
        for i in range(3)
    ]
    votes += [(pooled[0, j] @ layer.pooled_kernel.numpy()[j]).reshape(2, 6) for j in range(2)]

    assert np.allclose(answer, route(np.stack(votes), np.zeros((2, 6)), 3), atol=1e-5)
