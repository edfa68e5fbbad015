"""What a network says of slices: class probabilities and lesion maps, as numpy.

Slices are read in batches of one size (the last is padded), so that a network is compiled once.
With `flips` each slice is also read mirrored and the answers are averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from model.errors import TrainingDataError
from model.network import SliceNetwork
from model.sampling import check_images
from model.tensors import Tensor

BATCH: Final = 32

Progress = Callable[[int, int], None]


def predict(
    net: SliceNetwork,
    images: NDArray[np.float32],
    *,
    flips: bool = True,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Predict the class and the lesion of each slice.

    Args:
        net: The network.
        images: float32, shape `(n, size, size, 1)`, in [0, 1], of the network's size.
        flips: Whether to average with the mirrored slice.
        batch: Slices at a time.
        progress: Called with (slices done, slices) after each batch.

    Returns:
        Probability of COVID, float32, shape `(n,)` (not calibrated: see `model.calibration`), and
        probability of lesion at each pixel, float32, shape `(n, size, size)`.

    Raises:
        TrainingDataError: The images are of another size, type or range.
    """
    probabilities, tissue = predict_tissue(net, images, flips=flips, batch=batch, progress=progress)
    return probabilities, tissue[..., 1] + tissue[..., 2]


def predict_tissue(
    net: SliceNetwork,
    images: NDArray[np.float32],
    *,
    flips: bool = True,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Predict as `predict`, with the kind of tissue.

    Returns:
        Probability of COVID, float32, shape `(n,)`, and probabilities of background, ground glass
        and consolidation, float32, shape `(n, size, size, 3)`.
    """

    def both(pictures: Tensor) -> tuple[Tensor, Tensor]:
        scores, _, *features = net.encoder(pictures, training=False)
        return net.probabilities(scores)[:, 1], net.decoder(features, training=False)

    run = net.compiled_calls.get(("predict",), lambda: tf.function(both, autograph=False))
    found, maps = _in_batches(run, net, images, batch, progress, 2 if flips else 1)
    if flips:
        mirrored, mirrored_maps = _in_batches(run, net, images[:, :, ::-1], batch, progress, -2)
        found += mirrored
        maps += mirrored_maps[:, :, ::-1]
        return found / np.float32(2), maps / np.float32(2)
    return found, maps


def predict_scores(
    net: SliceNetwork,
    images: NDArray[np.float32],
    *,
    flips: bool = True,
    batch: int = BATCH,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Score slices without their lesions, two to three times as fast as `predict`.

    Returns:
        Logit of COVID, float32, shape `(n,)`: 10 x (length of the COVID capsule - length of the
        other). Positive means COVID is the likelier; means of it over a patient's slices rank
        patients.
    """

    def score(pictures: Tensor) -> tuple[Tensor]:
        probability = net.probabilities(net.encoder(pictures, training=False)[0])
        return (tf.math.log(probability[:, 1]) - tf.math.log(probability[:, 0]),)

    run = net.compiled_calls.get(("score",), lambda: tf.function(score, autograph=False))
    (found,) = _in_batches(run, net, images, batch, progress, 2 if flips else 1)
    if flips:
        (mirrored,) = _in_batches(run, net, images[:, :, ::-1], batch, progress, -2)
        return (found + mirrored) / np.float32(2)
    return found


def _in_batches(
    run: Callable[[Tensor], tuple[Tensor, ...]],
    net: SliceNetwork,
    images: NDArray[np.float32],
    batch: int,
    progress: Progress | None,
    passes: int,
) -> tuple[NDArray[np.float32], ...]:
    """Run a compiled function; `passes` is 1, 2 (first of two) or -2 (second of two)."""
    check_images(images)
    if images.shape[1:3] != (net.size_px, net.size_px):
        raise TrainingDataError(
            f"this network reads slices of {net.size_px} x {net.size_px} pixels. "
            f"Received: {images.shape[1:3]}"
        )
    parts: list[list[NDArray[np.float32]]] = []
    count = len(images)
    for start in range(0, count, batch):
        chunk = images[start : start + batch]
        padded = np.zeros((batch, *images.shape[1:]), np.float32)
        padded[: len(chunk)] = chunk
        answers = run(tf.constant(padded))
        parts.append([answer.numpy()[: len(chunk)] for answer in answers])
        if progress is not None:
            done = (start + len(chunk)) / abs(passes) + (count / 2 if passes == -2 else 0)
            progress(int(done), count)
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))
