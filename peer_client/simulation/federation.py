"""Federated rounds of several hospitals in one process, without ledger and encryption.

A hospital's optimiser and its personal tensors stay its own between rounds, as they do at a real
client. The state after each round is whole in itself, so a killed simulation goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model.sampling import TrainingSlices
from model.weights import WeightSpec
from peer_client.simulation.recipe import Recipe
from peer_client.simulation.steps import train_round
from peer_client.studies.study_file import shared_places

if TYPE_CHECKING:
    from model.training import OptimiserState

Vector = NDArray[np.float32]


class Averaging(Protocol):
    """Turns the hospitals' weights after a round into the next shared weights."""

    def apply(self, before: Vector, after: Mapping[str, Vector]) -> Vector:
        """Return the shared weights after a round, float32, shape `(parameters,)`."""


@dataclass(slots=True)
class FederationState:
    """Where a federation stands between two rounds.

    Attributes:
        rounds_done: Rounds behind it.
        shared: Shared weights, float32, shape `(parameters,)`.
        personal: Each hospital's personal tensors, float32, shape `(values - parameters,)`.
        optimisers: Each hospital's optimiser.
    """

    rounds_done: int
    shared: Vector
    personal: dict[str, Vector]
    optimisers: dict[str, OptimiserState | None] = field(default_factory=dict)


def begin(
    manifest: Sequence[WeightSpec], hospitals: Sequence[str], vector: Vector
) -> FederationState:
    """Return the state before the first round."""
    places = shared_places(manifest)
    return FederationState(
        0,
        vector[places],
        {name: vector[~places].copy() for name in hospitals},
        dict.fromkeys(hospitals),
    )


def whole_vector(manifest: Sequence[WeightSpec], state: FederationState, hospital: str) -> Vector:
    """Put shared and personal tensors of a hospital together, float32, shape `(values,)`."""
    places = shared_places(manifest)
    vector = np.empty(len(places), np.float32)
    vector[places] = state.shared
    vector[~places] = state.personal[hospital]
    return vector


def run_round(
    net: Any,
    slices: Mapping[str, TrainingSlices],
    state: FederationState,
    recipe: Recipe,
    averaging: Averaging,
    told: Callable[[str, int, int], None] | None = None,
) -> FederationState:
    """Let every hospital take its steps and average what is shared.

    Args:
        net: A network of the recipe; every hospital trains in it in turn.
        slices: Each hospital's training slices, in the order of the hospitals' numbers.
        state: Before the round; unchanged.
        recipe: The recipe.
        averaging: How updates become the next shared weights.
        told: Told (hospital, steps done, steps in all).

    Returns:
        The state after the round.
    """
    places = shared_places(net.manifest)
    after: dict[str, Vector] = {}
    personal: dict[str, Vector] = {}
    optimisers: dict[str, OptimiserState | None] = {}
    for number, (name, mine) in enumerate(slices.items()):

        def tell(done: int, total: int, hospital: str = name) -> None:
            if told is not None:
                told(hospital, done, total)

        vector, optimisers[name] = train_round(
            net,
            mine,
            whole_vector(net.manifest, state, name),
            state.optimisers[name],
            recipe,
            number,
            state.rounds_done,
            tell,
        )
        after[name], personal[name] = vector[places], vector[~places]
    return FederationState(
        state.rounds_done + 1, averaging.apply(state.shared, after), personal, optimisers
    )
