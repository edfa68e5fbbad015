"""What one hospital trains by itself: alone, its steps of a round, its adaptation; and the pot.

Each function is a pure function of weights, slices and recipe: the draws depend on the seed, the
hospital's number and the step, so a simulation that was killed goes on to the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model.sampling import TrainingSlices
from peer_client.serving.own_models import ADAPT_WARM_UP_STEPS
from peer_client.simulation.recipe import Recipe

if TYPE_CHECKING:
    from model.training import OptimiserState

Vector = NDArray[np.float32]
#: Told (steps done, steps in all).
Told = Callable[[int, int], None]


def draw_seed(recipe: Recipe, hospital: int, purpose: int) -> int:
    """Return the seed of one hospital's draws for one purpose; all differ."""
    return int(np.random.SeedSequence([recipe.seed, hospital, purpose]).generate_state(1)[0] >> 1)


def train_alone(
    net: Any, slices: TrainingSlices, recipe: Recipe, hospital: int, told: Told | None = None
) -> Vector:
    """Train from the initial weights with as many steps as a federated and adapted model had."""
    from model.training import TrainSettings, train
    from model.weights import initial_vector, set_vector

    set_vector(net, initial_vector(net.manifest, recipe.seed))
    settings = TrainSettings(
        steps=recipe.steps,
        seed=draw_seed(recipe, hospital, 0),
        learning_rate=recipe.learning_rate,
    )
    return train(net, slices, settings, progress=_teller(told)).vector


def train_round(
    net: Any,
    slices: TrainingSlices,
    start: Vector,
    state: OptimiserState | None,
    recipe: Recipe,
    hospital: int,
    rounds_done: int,
    told: Told | None = None,
) -> tuple[Vector, OptimiserState]:
    """Take a hospital's steps of one round from the shared weights.

    Args:
        net: A network of the recipe; its weights are changed.
        slices: The hospital's training slices.
        start: Weights to start from, float32, shape `(values,)`.
        state: The hospital's optimiser after its last round; None at the first.
        recipe: The recipe.
        hospital: The hospital's number, for the draws.
        rounds_done: Rounds before this one.
        told: Told after each step.

    Returns:
        The weights after the steps, and the optimiser's state.
    """
    from model.training import TrainSettings, train
    from model.weights import set_vector

    set_vector(net, start)
    settings = TrainSettings(
        steps=recipe.local_steps,
        seed=draw_seed(recipe, hospital, 1),
        first_step=rounds_done * recipe.local_steps,
        total_steps=recipe.federated_steps,
        learning_rate=recipe.learning_rate,
    )
    result = train(net, slices, settings, progress=_teller(told), optimiser_state=state)
    return result.vector, result.optimiser_state


def adapt(
    net: Any,
    slices: TrainingSlices,
    start: Vector,
    recipe: Recipe,
    hospital: int,
    told: Told | None = None,
) -> Vector:
    """Go on from the shared weights at one hospital, all tensors, Adam from zero."""
    from model.training import TrainSettings, train
    from model.weights import set_vector

    set_vector(net, start)
    settings = TrainSettings(
        steps=recipe.adapt_steps,
        seed=draw_seed(recipe, hospital, 2),
        learning_rate=recipe.adapt_rate,
        warm_up_steps=ADAPT_WARM_UP_STEPS,
    )
    return train(net, slices, settings, progress=_teller(told)).vector


def train_pooled(
    net: Any, pot: Sequence[TrainingSlices], recipe: Recipe, told: Told | None = None
) -> Vector:
    """Train one network on all hospitals' slices in one place, a batch of each in turn.

    As many steps as all hospitals together take in the federation. For comparison: no hospital
    could do this without handing its slices over.
    """
    from model.training import OptimiserState, TrainSettings, train
    from model.weights import initial_vector, set_vector

    start = initial_vector(net.manifest, recipe.seed)
    set_vector(net, start)
    total = recipe.steps * len(pot)
    state = OptimiserState.zero(len(start))
    for step in range(total):
        settings = TrainSettings(
            steps=1,
            seed=draw_seed(recipe, step % len(pot), 3),
            first_step=step,
            total_steps=total,
            learning_rate=recipe.learning_rate,
            warm_up_steps=20 * len(pot),
        )
        result = train(net, pot[step % len(pot)], settings, optimiser_state=state)
        state = result.optimiser_state
        if told is not None:
            told(step + 1, total)
    return result.vector


def _teller(told: Told | None) -> Any:
    if told is None:
        return None
    return lambda progress: told(progress.step, progress.steps)
