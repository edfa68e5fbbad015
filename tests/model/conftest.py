"""A small network and phantom slices with a lesion that can be learnt in a few steps."""

from __future__ import annotations

import numpy as np
import pytest

from model.config import CapsNetConfig
from model.sampling import TrainingSlices

SMALL = CapsNetConfig(
    size_px=32,
    stem_channels=8,
    stage_channels=16,
    capsule_types=4,
    primary_size=4,
    deep_size=8,
    decoder_size=6,
)


def phantom_slices(
    count: int = 24, *, size: int = 32, seed: int = 0, masks: bool = True
) -> TrainingSlices:
    """Make slices of which every second has a bright disc (class 1), and the discs' masks.

    Args:
        count: Number of slices; two of each patient.
        size: Side in pixels.
        seed: Of the pictures.
        masks: Whether masks are known.
    """
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:size, :size]
    labels = np.arange(count) // 2 % 2
    images = rng.normal(0.3, 0.05, (count, size, size)).astype(np.float32)
    discs = np.zeros((count, size, size), np.uint8)
    for number in np.flatnonzero(labels):
        y, x = rng.uniform(0.3 * size, 0.7 * size, 2)
        disc = (row - y) ** 2 + (column - x) ** 2 < (0.2 * size) ** 2
        kind = 1 + number // 4 % 2
        discs[number][disc] = kind
        images[number][disc] += 0.2 * kind
    covid = np.flatnonzero(labels)
    return TrainingSlices(
        np.clip(images, 0, 1)[..., np.newaxis],
        labels,
        [f"patient {number // 2}" for number in range(count)],
        discs[covid] if masks else np.zeros((0, size, size), np.uint8),
        covid if masks else np.zeros(0, int),
    )


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """TensorFlow takes its number of threads before its first network, once for all tests."""
    import tensorflow as tf

    from model.threads import set_threads

    set_threads(1)
    # TensorFlow starts here, so no test that trains several networks at once can change the number.
    tf.constant(0)


@pytest.fixture
def small_config():
    return SMALL


@pytest.fixture(scope="session")
def small_net():
    """One compiled network for all tests; a test sets the weights it wants."""
    from model.capsnet import build

    return build(SMALL, seed=1)


@pytest.fixture
def fresh_net(small_net):
    """The small network with its initial weights."""
    from model.weights import initial_vector, set_vector

    set_vector(small_net, initial_vector(small_net.manifest, 1))
    return small_net
