"""Train a network for a few steps on one hospital's slices: numpy in, numpy out.

A step's batch is a function of (seed, step number) alone, so training that is cut into rounds, or
killed and resumed from the last round's weights and optimiser state, takes the same steps; on one
thread the weights are the same bit for bit. It refuses to hand back weights that are not finite.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.augmentation import AugmentSettings, augment
from model.errors import DivergedError, TrainingDataError, WeightLayoutError
from model.network import SliceNetwork
from model.sampling import Batch, TrainingSlices, draw_batch
from model.schedule import learning_rate
from model.step import TrainingStep
from model.weights import get_vector, set_vector

LOSS_NAMES: Final = ("class_loss", "auxiliary_loss", "mask_loss", "gradient_norm")


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train.

    Attributes:
        steps: Steps to take now.
        seed: Seed of draws, augmentation and dropout; give each hospital its own.
        first_step: Steps of the schedule taken before (round x steps of a round).
        total_steps: Steps of the whole schedule; None for first_step + steps.
        learning_rate: At the top of the schedule.
        lowest_rate: At its end.
        warm_up_steps: Steps of the rise at its start.
        class_items: Labelled items of a batch.
        mask_items: Items with masks of a batch; none are drawn where there are no masks.
        weight_decay: Decoupled decay of kernels.
        gradient_norm: Longer gradients are cut to this norm.
        augment: Changes made to each slice.
    """

    steps: int
    seed: int = 0
    first_step: int = 0
    total_steps: int | None = None
    learning_rate: float = 1.5e-3
    lowest_rate: float = 1e-5
    warm_up_steps: int = 20
    class_items: int = 12
    mask_items: int = 4
    weight_decay: float = 5e-3
    gradient_norm: float = 2.0
    augment: AugmentSettings = field(default_factory=AugmentSettings)


@dataclass(frozen=True, slots=True)
class OptimiserState:
    """Adam's memory of one hospital; kept between rounds, never sent.

    Attributes:
        steps: Steps since the moments were zero.
        first: Mean of gradients, float32, shape `(values,)` in the order of the weights.
        second: Mean of squared gradients, same shape.
    """

    steps: int
    first: NDArray[np.float32]
    second: NDArray[np.float32]

    @classmethod
    def zero(cls, values: int) -> OptimiserState:
        """Return the state before the first step."""
        return cls(0, np.zeros(values, np.float32), np.zeros(values, np.float32))


@dataclass(frozen=True, slots=True)
class TrainProgress:
    """What a progress callback is told after each step.

    Attributes:
        step: Steps taken of this call, from 1.
        steps: Steps of this call.
        losses: Losses of this step and the gradient's norm, by name.
        seconds: Since the call began.
    """

    step: int
    steps: int
    losses: dict[str, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What training gives back.

    Attributes:
        vector: Weights, float32, shape `(values,)`.
        metrics: Means over the steps of `class_loss`, `auxiliary_loss`, `mask_loss` and
            `gradient_norm`; `seconds`, `seconds_waiting` (for batches) and `steps`.
        optimiser_state: To go on with.
    """

    vector: NDArray[np.float32]
    metrics: dict[str, float]
    optimiser_state: OptimiserState


def train(
    net: SliceNetwork,
    slices: TrainingSlices,
    settings: TrainSettings,
    *,
    progress: Callable[[TrainProgress], None] | None = None,
    optimiser_state: OptimiserState | None = None,
) -> TrainResult:
    """Take `settings.steps` steps from the network's present weights.

    Args:
        net: The network; its weights are changed.
        slices: This hospital's training slices, of the network's size.
        settings: How to train.
        progress: Called after each step; an exception of its stops the training.
        optimiser_state: From the round before; None starts Adam from zero.

    Returns:
        The new weights (also in the network), mean losses and the state to go on with.

    Raises:
        TrainingDataError: The slices are of another size, or have neither labels nor masks.
        WeightLayoutError: The optimiser state is of another network.
        DivergedError: A loss or weight is not finite; the network is as it was before.
    """
    before = get_vector(net)
    state = optimiser_state or OptimiserState.zero(len(before))
    if state.first.shape != before.shape or state.second.shape != before.shape:
        raise WeightLayoutError(
            f"moments of {state.first.shape} and {state.second.shape}", f"shape {before.shape}"
        )
    step = _prepare(net, slices, settings)
    step.set_moments(state.first, state.second)
    _seed_dropout(net, settings)
    total = settings.total_steps or settings.first_step + settings.steps
    seen = np.zeros(len(LOSS_NAMES))
    waiting = 0.0
    begin = time.perf_counter()
    with _Batches(slices, settings, step) as batches:
        for taken in range(1, settings.steps + 1):
            asked = time.perf_counter()
            batch = next(batches)
            waiting += time.perf_counter() - asked
            number = settings.first_step + taken - 1
            rate = learning_rate(
                number,
                total,
                highest=settings.learning_rate,
                lowest=settings.lowest_rate,
                warm_up_steps=settings.warm_up_steps,
            )
            values = step(batch, rate=rate, number=state.steps + taken)
            if not np.isfinite(values).all():
                set_vector(net, before)
                raise DivergedError(number, "a loss or the gradient")
            seen += values
            if progress is not None:
                named = dict(zip(LOSS_NAMES, values.tolist(), strict=True))
                progress(TrainProgress(taken, settings.steps, named, time.perf_counter() - begin))
    seconds = time.perf_counter() - begin
    vector = get_vector(net)
    if not np.isfinite(vector).all():
        set_vector(net, before)
        raise DivergedError(settings.first_step + settings.steps - 1, "a weight")
    metrics = dict(zip(LOSS_NAMES, (seen / max(settings.steps, 1)).tolist(), strict=True))
    metrics |= {"seconds": seconds, "seconds_waiting": waiting, "steps": float(settings.steps)}
    return TrainResult(vector, metrics, _kept(state, step, settings.steps))


def draw_step(
    slices: TrainingSlices, settings: TrainSettings, number: int, class_items: int, mask_items: int
) -> Batch:
    """Draw and augment the batch of one step: a function of the seed and the step's number."""
    rng = np.random.default_rng([settings.seed, number])
    batch = draw_batch(slices, rng, class_items=class_items, mask_items=mask_items)
    return augment(batch, settings.augment, rng)


class _Batches:
    """Batches of the coming steps, the next one made while the present one is trained on."""

    def __init__(self, slices: TrainingSlices, settings: TrainSettings, step: TrainingStep) -> None:
        self._slices = slices
        self._settings = settings
        self._items = (step.class_items, step.mask_items)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._made = self._make()

    def __enter__(self) -> Iterator[Batch]:
        return self._made

    def __exit__(self, *_: object) -> None:
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _make(self) -> Iterator[Batch]:
        first, steps = self._settings.first_step, self._settings.steps
        coming = None
        for number in range(first, first + steps):
            coming = coming or self._submit(number)
            batch = coming.result()
            coming = self._submit(number + 1) if number + 1 < first + steps else None
            yield batch

    def _submit(self, number: int) -> Future[Batch]:
        return self._worker.submit(draw_step, self._slices, self._settings, number, *self._items)


def _prepare(net: SliceNetwork, slices: TrainingSlices, settings: TrainSettings) -> TrainingStep:
    """Return the compiled step for what these slices can teach."""
    size = slices.images.shape[1:3]
    if size != (net.size_px, net.size_px):
        raise TrainingDataError(
            f"this network reads slices of {net.size_px} x {net.size_px} pixels. Received: {size}"
        )
    class_items = settings.class_items if slices.has_labels else 0
    mask_items = settings.mask_items if slices.has_masks else 0
    if not class_items and not mask_items:
        raise TrainingDataError("the slices have neither labels nor masks to learn from")
    key = ("step", class_items, mask_items, settings.gradient_norm, settings.weight_decay)

    def make() -> TrainingStep:
        return TrainingStep(
            net,
            class_items=class_items,
            mask_items=mask_items,
            gradient_norm=settings.gradient_norm,
            weight_decay=settings.weight_decay,
        )

    step: TrainingStep = net.compiled_calls.get(key, make)
    return step


def _seed_dropout(net: SliceNetwork, settings: TrainSettings) -> None:
    """Make the dropout of a step depend on seed and step number alone.

    Keras keeps (seed, draws so far) and draws once a step.
    """
    state = net.encoder.get_layer("dropout").seed_generator.state
    state.assign(np.array([settings.seed % 2**31, settings.first_step], np.int64))


def _kept(state: OptimiserState, step: TrainingStep, steps: int) -> OptimiserState:
    """Return the moments after training; those of tensors that were not trained stay."""
    first, second = state.first.copy(), state.second.copy()
    moments = step.moments()
    first[: len(moments[0])], second[: len(moments[1])] = moments
    return OptimiserState(state.steps + steps, first, second)
