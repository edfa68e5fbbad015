"""Every capsule layer takes the same examination."""

from __future__ import annotations

import pytest
from layer_examination import examine_layer

from model import layers

pytestmark = pytest.mark.tensorflow

CASES = {
    "Squash": ({}, [(5, 4)], (5, 4), 0),
    "CapsuleLength": ({}, [(5, 4)], (5,), 0),
    "PrimaryCapsules": (
        {"types": 3, "size": 4, "kernel_size": 3, "strides": 2},
        [(6, 5, 2)],
        (3, 3, 3, 4),
        3,
    ),
    "ConvolutionalCapsules": (
        {"types": 3, "size": 5, "kernel_size": 6, "strides": 2, "iterations": 3},
        [(8, 6, 2, 4)],
        (4, 3, 3, 5),
        2,
    ),
    "GroupNormalization": ({"groups": 2}, [(5, 4, 6)], (5, 4, 6), 2),
    "PooledCapsules": ({"size": 4}, [(12,)], (3, 4), 0),
    "ClassCapsules": (
        {"classes": 2, "size": 6, "iterations": 3},
        [(3, 3, 2, 4), (5, 4)],
        (2, 6),
        3,
    ),
    "TissueProbabilities": ({}, [(4, 3, 5)], (4, 3, 3), 2),
}


@pytest.mark.parametrize("name", CASES)
def test_layer_passes_the_examination(name, tmp_path):
    arguments, input_shapes, output_shape, weights = CASES[name]

    examine_layer(
        getattr(layers, name), arguments, input_shapes, output_shape, tmp_path, weights=weights
    )


def test_every_public_layer_is_examined():
    assert set(CASES) == set(layers.__all__)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("PrimaryCapsules", {"types": 0, "size": 4}),
        ("PrimaryCapsules", {"types": 1, "size": 4, "kernel_size": 0}),
        ("PrimaryCapsules", {"types": 1, "size": 4, "strides": 0}),
        ("ConvolutionalCapsules", {"types": 2, "size": 0}),
        ("ConvolutionalCapsules", {"types": 2, "size": 4, "iterations": 0}),
        ("PooledCapsules", {"size": 0}),
        ("ClassCapsules", {"classes": 2, "size": 4, "iterations": 0}),
    ],
)
def test_layer_with_an_argument_below_one_is_refused(name, arguments):
    with pytest.raises(ValueError, match=r"must be at least 1\. Received"):
        getattr(layers, name)(**arguments)


@pytest.mark.parametrize("kernel_size", [3, 4, 8])
def test_window_that_is_not_an_odd_multiple_of_the_strides_is_refused(kernel_size):
    with pytest.raises(ValueError, match="odd multiple of strides"):
        layers.ConvolutionalCapsules(types=2, size=4, kernel_size=kernel_size, strides=2)


def test_convolutional_capsules_on_a_grid_of_odd_sides_with_steps_of_two_are_refused():
    layer = layers.ConvolutionalCapsules(2, 3, kernel_size=6, strides=2)

    with pytest.raises(ValueError, match="multiples of strides=2"):
        layer.build((None, 6, 7, 4, 5))
