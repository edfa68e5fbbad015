"""Group normalisation: the library's function, in an order of our own."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from model.layers import GroupNormalization

pytestmark = pytest.mark.tensorflow


def both(shape, groups, seed):
    """Return our layer and the library's with the same drawn weights."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=shape[-1]).astype(np.float32) for _ in range(2)]
    layers = [GroupNormalization(groups), keras.layers.GroupNormalization(groups)]
    for layer in layers:
        layer.build(shape)
        layer.set_weights(weights)
    return layers


def with_gradients(layer, inputs, wanted):
    """Return the output, and the gradients of its product with `wanted`."""
    inputs = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        output = layer(inputs)
        loss = tf.reduce_sum(output * wanted)
    variables = [layer.gamma.value, layer.beta.value]
    return output.numpy(), [part.numpy() for part in tape.gradient(loss, [inputs, *variables])]


@pytest.mark.parametrize(
    ("shape", "groups", "centre"),
    [
        ((3, 5, 4, 16), 8, 0.0),
        ((1, 1, 1, 8), 2, 3.0),
        ((2, 9, 9, 6), 6, 50.0),
        ((2, 3, 3, 4), 1, 1),
    ],
)
def test_group_normalisation_is_the_librarys_function_and_gradient(shape, groups, centre):
    rng = np.random.default_rng(5)
    inputs = rng.normal(centre, 2, shape).astype(np.float32)
    wanted = rng.normal(size=shape).astype(np.float32)
    ours, theirs = (with_gradients(layer, inputs, wanted) for layer in both(shape, groups, 6))

    assert np.allclose(ours[0], theirs[0], atol=2e-4)
    for mine, other in zip(ours[1], theirs[1], strict=True):
        assert np.allclose(mine, other, atol=2e-4, rtol=1e-3)


def test_group_normalisation_of_worked_numbers():
    layer = GroupNormalization(2, epsilon=0.0)
    # Two places, two groups of two channels: 0, 2, 0, 2 has mean 1 and spread 1; so has 4, 6, 6, 4.
    answer = layer(np.array([[[[0, 2, 4, 6], [0, 2, 6, 4]]]], np.float32)).numpy()

    assert np.allclose(answer, [[[[-1, 1, -1, 1], [-1, 1, 1, -1]]]], atol=1e-6)


def test_group_normalisation_of_one_value_everywhere_is_its_shift_with_a_finite_gradient():
    layer = GroupNormalization(2)
    layer.build((None, 3, 3, 4))
    layer.beta.assign(np.array([1.0, 2.0, 3.0, 4.0]))
    output, gradients = with_gradients(layer, np.full((2, 3, 3, 4), 7, np.float32), 1.0)

    assert np.allclose(output, np.broadcast_to([1.0, 2.0, 3.0, 4.0], (2, 3, 3, 4)), atol=1e-5)
    assert all(np.isfinite(part).all() for part in gradients)
