"""The examination every layer takes; a layer's own file adds numbers worked by hand.

Build, output shape, dtype, round trip of the configuration, saving and loading inside a model,
a batch of one, finite gradients at zero and at random input, and one training step that lowers a
loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf


def examine_layer(
    kind: type[keras.layers.Layer],
    arguments: dict,
    input_shapes: Sequence[tuple[int, ...]],
    output_shape: tuple[int, ...],
    folder: Path,
    *,
    weights: int,
) -> None:
    """Examine one layer.

    Args:
        kind: The layer's class.
        arguments: What it is built with.
        input_shapes: Shapes of its inputs without the batch axis; one or several.
        output_shape: Expected shape of its output without the batch axis.
        folder: Where a model may be saved.
        weights: Expected number of trainable tensors.
    """
    rng = np.random.default_rng(0)
    layer = kind(**arguments, name="examined")
    inputs = [keras.Input(shape) for shape in input_shapes]
    given = inputs[0] if len(inputs) == 1 else inputs
    symbolic = layer(given)
    net = keras.Model(given, symbolic)

    assert symbolic.shape == (None, *output_shape)
    assert len(layer.trainable_variables) == weights

    for batch in (3, 1):
        arrays = [rng.normal(size=(batch, *shape)).astype(np.float32) for shape in input_shapes]
        answer = net(arrays[0] if len(arrays) == 1 else arrays)
        assert answer.shape == (batch, *output_shape)
        assert answer.dtype == tf.float32
        assert np.isfinite(answer.numpy()).all()

    again = kind.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert set(arguments) <= set(layer.get_config())

    path = folder / "layer.keras"
    net.save(path)
    loaded = keras.saving.load_model(path)
    arrays = [rng.normal(size=(2, *shape)).astype(np.float32) for shape in input_shapes]
    given_arrays = arrays[0] if len(arrays) == 1 else arrays
    assert np.array_equal(net(given_arrays).numpy(), loaded(given_arrays).numpy())

    for values in ([np.zeros_like(array) for array in arrays], arrays):
        gradients = _gradients(net, values)
        assert all(np.isfinite(gradient).all() for gradient in gradients)

    _examine_training(net, arrays)


def _gradients(net: keras.Model, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Return the gradients of the output's squared sum by input and by weight."""
    tensors = [tf.constant(array) for array in arrays]
    with tf.GradientTape() as tape:
        for tensor in tensors:
            tape.watch(tensor)
        answer = net(tensors[0] if len(tensors) == 1 else tensors, training=True)
        loss = tf.reduce_sum(tf.square(answer - 0.3))
    wanted = [*tensors, *[variable.value for variable in net.trainable_variables]]
    found = tape.gradient(loss, wanted, unconnected_gradients="zero")
    return [gradient.numpy() for gradient in found]


def _examine_training(net: keras.Model, arrays: list[np.ndarray]) -> None:
    """One small step down the gradient lowers the loss."""
    if not net.trainable_variables:
        return
    given = arrays[0] if len(arrays) == 1 else arrays

    def loss() -> float:
        return float(tf.reduce_sum(tf.square(net(given) - 0.3)))

    before = loss()
    gradients = _gradients(net, arrays)[len(arrays) :]
    norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients))
    assert norm > 0
    for variable, gradient in zip(net.trainable_variables, gradients, strict=True):
        variable.assign(variable.value - 1e-3 / norm * gradient)
    assert loss() < before
