"""Primary and pooled capsules, and the tissue of a lesion capsule: worked numbers."""

from __future__ import annotations

import numpy as np
import pytest

from model.layers import PooledCapsules, PrimaryCapsules, TissueProbabilities

pytestmark = pytest.mark.tensorflow


def squash(vectors):
    squared = (vectors**2).sum(-1, keepdims=True)
    return vectors * squared / (1 + squared) / np.sqrt(squared + 1e-7)


def test_primary_capsules_normalise_each_type_over_places_and_size():
    features = np.random.default_rng(1).normal(size=(2, 3, 3, 3)).astype(np.float32) * 50
    layer = PrimaryCapsules(2, 4, kernel_size=1)
    answer = layer(features).numpy()

    mapped = (features @ layer.kernel.numpy()[0, 0]).reshape(2, 3, 3, 2, 4)
    mean = mapped.mean((1, 2, 4), keepdims=True)
    spread = mapped.var((1, 2, 4), keepdims=True)

    assert np.allclose(answer, squash((mapped - mean) / np.sqrt(spread + 1e-3)), atol=1e-4)


def test_primary_capsules_of_patches_read_each_patch_by_itself():
    features = np.random.default_rng(4).normal(size=(1, 4, 4, 3)).astype(np.float32)
    layer = PrimaryCapsules(2, 4, kernel_size=2, strides=2)
    layer.build(features.shape)
    layer.offset.assign(np.arange(8) / 10)
    answer = layer(features).numpy()

    patches = features.reshape(1, 2, 2, 2, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(1, 2, 2, 12)
    mapped = (patches @ layer.kernel.numpy().reshape(12, 8)).reshape(1, 2, 2, 2, 4)
    spread = mapped.var((1, 2, 4), keepdims=True)
    normal = (mapped - mapped.mean((1, 2, 4), keepdims=True)) / np.sqrt(spread + 1e-3)

    assert np.allclose(answer, squash(normal + np.arange(8).reshape(2, 4) / 10), atol=1e-5)


def test_primary_capsules_do_not_depend_on_the_other_slices_of_a_batch():
    features = np.random.default_rng(2).normal(size=(4, 3, 3, 3)).astype(np.float32)
    layer = PrimaryCapsules(2, 4)

    assert np.allclose(layer(features).numpy()[2:3], layer(features[2:3]).numpy(), atol=1e-5)


def test_pooled_capsules_of_worked_features():
    # Mean 2, spread sqrt((1 + 1 + 1 + 1) / 4) = 1: (-1, 1, -1, 1), halved.
    answer = PooledCapsules(2)(np.array([[1.0, 3.0, 1.0, 3.0]], np.float32)).numpy()

    assert np.allclose(answer, [[[-0.5, 0.5], [-0.5, 0.5]]], atol=1e-4)


def test_pooled_capsules_of_channels_that_cannot_be_cut_are_refused():
    with pytest.raises(ValueError, match="multiple of size=4"):
        PooledCapsules(4).build((None, 6))


def test_tissue_of_worked_capsules():
    layer = TissueProbabilities()
    layer.build((None, 1, 2, 2))
    layer.kernel.assign(np.array([[0.0], [np.log(3.0)]]))
    # Lengths 2 and 1 / sqrt(2) are squashed to 4 / 5 and 1 / 3.
    totals = np.array([[[[2.0, 0.0], [0.0, np.sqrt(0.5)]]]], np.float32)
    answer = layer(totals).numpy()[0, 0]

    # Direction (1, 0): half and half. Direction (0, 1): odds of 3 to 1 for consolidation.
    assert np.allclose(answer, [[0.2, 0.4, 0.4], [2 / 3, 1 / 12, 1 / 4]], atol=1e-5)


def test_probability_of_a_lesion_is_the_length_of_the_squashed_capsule():
    totals = np.random.default_rng(5).normal(size=(2, 3, 3, 5)).astype(np.float32)

    answer = TissueProbabilities()(totals).numpy()

    length = np.linalg.norm(squash(totals), axis=-1)
    assert np.allclose(answer[..., 1] + answer[..., 2], length, atol=1e-5)


def test_tissue_probabilities_sum_to_one():
    totals = np.random.default_rng(3).normal(size=(2, 3, 3, 5)).astype(np.float32)

    answer = TissueProbabilities()(totals).numpy()

    assert np.allclose(answer.sum(-1), 1.0, atol=1e-6)
    assert (answer >= 0).all()
