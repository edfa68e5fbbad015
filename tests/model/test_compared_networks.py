"""The twin and the textbook's capsules: examined, as large, finite, built by their manifests."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest
import tensorflow as tf
from layer_examination import examine_layer
from routing_by_hand import route

from benchmarks.networks import NetworkName, build_network
from benchmarks.networks.textbook import TextbookCapsules, textbook_specs
from model.config import CapsNetConfig
from model.layers import ConvolutionalCapsules
from model.weights import get_vector, initial_vector, specs

pytestmark = pytest.mark.tensorflow

OTHERS: tuple[NetworkName, ...] = ("unet", "textbook")


def test_textbook_capsules_pass_the_examination_of_layers(tmp_path):
    arguments = {"types": 3, "size": 5, "kernel_size": 6, "strides": 2, "iterations": 3}

    examine_layer(TextbookCapsules, arguments, [(8, 6, 2, 4)], (4, 3, 3, 5), tmp_path, weights=2)


def test_textbook_capsules_with_an_argument_below_one_are_refused():
    with pytest.raises(ValueError, match=r"must be at least 1\. Received"):
        TextbookCapsules(types=2, size=4, strides=0)


@pytest.mark.parametrize("kernel_size", [3, 4, 8])
def test_a_window_that_is_not_an_odd_multiple_of_the_strides_is_refused(kernel_size):
    with pytest.raises(ValueError, match="odd multiple of strides"):
        TextbookCapsules(types=2, size=4, kernel_size=kernel_size, strides=2)


def test_textbook_capsules_with_equal_matrices_and_one_place_are_the_convolutional():
    rng = np.random.default_rng(3)
    capsules = rng.normal(size=(2, 1, 1, 4, 5)).astype(np.float32)
    shared, textbook = (
        ConvolutionalCapsules(2, 3, kernel_size=1),
        TextbookCapsules(2, 3, kernel_size=1),
    )
    shared.build(capsules.shape)
    textbook.build(capsules.shape)
    matrix = shared.kernel.numpy()[0, 0].reshape(5, 2, 3)
    textbook.kernel.assign(np.broadcast_to(matrix.transpose(1, 2, 0), (4, 2, 3, 5)))

    assert np.allclose(shared(capsules).numpy(), textbook(capsules).numpy(), atol=1e-5)


def test_textbook_capsules_let_every_child_of_the_window_vote():
    rng = np.random.default_rng(4)
    layer = TextbookCapsules(2, 3, kernel_size=3)
    capsules = rng.normal(size=(1, 3, 3, 4, 5)).astype(np.float32)
    centre = layer(capsules).numpy()[0, 1, 1]

    children = capsules[0].reshape(36, 5)
    votes = np.einsum("nosd,nd->nos", layer.kernel.numpy(), children)

    assert np.allclose(centre, route(votes, layer.bias.numpy(), 3), atol=1e-4)


def test_the_textbooks_manifest_is_the_networks_but_for_the_kernels_of_routed_layers():
    usual, textbook = specs(CapsNetConfig()), textbook_specs(CapsNetConfig())
    different = [spec.name for spec, mine in zip(textbook, usual, strict=True) if spec != mine]

    assert different == ["deep_capsules/kernel", "decoder_capsules/kernel"]
    assert sum(spec.size for spec in textbook) == 600_635  # as before it had a file of its own


@pytest.mark.parametrize("name", OTHERS)
def test_a_built_network_has_the_tensors_of_its_manifest_and_the_weights_of_its_seed(
    name, small_config
):
    net = build_network(name, small_config, seed=9)  # refuses by itself where names differ

    assert np.array_equal(get_vector(net), initial_vector(net.manifest, 9))


@pytest.mark.parametrize("name", OTHERS)
def test_zero_slices_have_finite_answers_and_gradients(name, small_config):
    net = build_network(name, small_config)
    with tf.GradientTape() as tape:
        answer = net(np.zeros((1, 32, 32, 1), np.float32), training=True)
        loss = sum(tf.reduce_sum(tf.square(value - 0.5)) for value in answer.values())
    variables = [variable.value for variable in net.ordered_variables]

    assert all(np.isfinite(value.numpy()).all() for value in answer.values())
    gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
    assert all(np.isfinite(gradient.numpy()).all() for gradient in gradients)


def test_the_twin_is_as_large_as_the_capsule_network():
    sizes = [
        sum(spec.size for spec in build_network(name, CapsNetConfig()).manifest)
        for name in ("capsnet", "unet")
    ]

    assert 0.98 < sizes[1] / sizes[0] < 1.02


@pytest.mark.parametrize("name", ["textbook", "twin"])
def test_examples_in_the_networks_hold(name):
    assert not doctest.testmod(importlib.import_module(f"benchmarks.networks.{name}")).failed
