"""A starting model whose tensors were made by hand is told by its statistics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from model.config import CapsNetConfig
from model.weights import initial_vector, specs
from peer_client.serving.starting_statistics import TensorStatistics, starting_statistics
from peer_client.studies.study_file import shared_part, weights_of

MANIFEST = weights_of(specs(CapsNetConfig()), 24)
Vector = NDArray[np.float32]


def drawn(seed: int) -> Vector:
    return shared_part(initial_vector(specs(CapsNetConfig()), seed), MANIFEST)


def tensor(vector: Vector, name: str) -> Vector:
    """Return one tensor of a vector, which writes into it; its last axis are outputs."""
    place = 0
    for weight in MANIFEST:
        if weight.name == name:
            return vector[place : place + weight.size].reshape(-1, weight.shape[-1])
        place += weight.size
    raise AssertionError(name)


def found(start: Vector) -> dict[str, TensorStatistics]:
    return {each.name: each for each in starting_statistics(MANIFEST, start, drawn(1))}


def test_another_draw_has_no_unusual_tensor() -> None:
    assert {each.outlying for each in found(drawn(2)).values()} == {()}
    assert len(found(drawn(2))) == len(MANIFEST)


def test_a_model_that_training_has_moved_has_no_unusual_tensor() -> None:
    moves = np.random.default_rng(3).normal(0, 0.05, drawn(1).shape)

    assert {each.outlying for each in found((drawn(2) + moves).astype(np.float32)).values()} == {()}


def zeros(kernel: Vector) -> None:
    kernel[::2] = 0


def wide(kernel: Vector) -> None:
    kernel *= 4


def narrow(kernel: Vector) -> None:
    kernel /= 4


def one_huge_value(kernel: Vector) -> None:
    kernel[3, 3] = 100 * np.max(np.abs(kernel))


def repeated_outputs(kernel: Vector) -> None:
    kernel[:, :8] = kernel[:, :1] * np.linspace(1, 2, 8)


def repeated_inputs(kernel: Vector) -> None:
    kernel[: len(kernel) // 4] = kernel[0]


def rank_one(kernel: Vector) -> None:
    kernel[:] = np.outer(kernel[:, 0], kernel[0]) / 0.1
    kernel += np.random.default_rng(1).normal(0, 1e-3, kernel.shape)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (zeros, "zeros"),
        (wide, "spread"),
        (narrow, "spread"),
        (one_huge_value, "largest"),
        (repeated_outputs, "repeated"),
        (repeated_inputs, "repeated"),
        (rank_one, "rank one"),
    ],
)
def test_a_tensor_made_by_hand_is_named(change: Callable[[Vector], None], word: str) -> None:
    start = drawn(2)
    change(tensor(start, "residual_1/kernel"))

    unusual = {name: each.outlying for name, each in found(start).items() if each.outlying}

    assert set(unusual) == {"residual_1/kernel"}
    assert word in unusual["residual_1/kernel"]


def test_an_offset_that_no_training_reaches_is_named() -> None:
    """An offset that leaves one unit alive for one kind of picture only (Fishing)."""
    start = drawn(2)
    tensor(start, "class_capsules/bias")[0, 0] = 50

    assert found(start)["class_capsules/bias"].outlying == ("moved by 50",)
