"""What a hospital does on its own around the rounds: train alone, adapt, read its patients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peer_client.ct.cohort import Cohort, SliceSet
from peer_client.evaluation.readings import Reading
from peer_client.serving.choice import ADAPTED, ALONE, FEDERATED
from peer_client.serving.local_training import training_slices
from peer_client.serving.predictor import Predictor
from peer_client.simulation.recipe import Recipe
from peer_client.simulation.rounds import Told
from peer_client.simulation.steps import adapt, train_alone
from peer_client.storage.study_store import read_file, write_file

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Homework:
    """One hospital's work outside the rounds.

    Attributes:
        net: Its network; weights are put in as needed.
        cohort: Its patients.
        recipe: How it trains.
        number: Its number, for the draws.
        name: Its name.
        told: Told how far it is.
    """

    net: Any
    cohort: Cohort
    recipe: Recipe
    number: int
    name: str
    told: Told

    def vectors(self, folder: Path, federated: Vector) -> dict[str, Vector]:
        """Return the weights of every model of this hospital; what is in the folder is not redone.

        Args:
            folder: Where they are kept.
            federated: The last shared model with this hospital's personal tensors.
        """
        slices = training_slices(self.cohort.train)

        def alone() -> Vector:
            return train_alone(self.net, slices, self.recipe, self.number, self._telling("alone"))

        def adapted() -> Vector:
            told = self._telling("adapt")
            return adapt(self.net, slices, federated, self.recipe, self.number, told)

        found = {ALONE: _kept(folder / "alone.bin", alone), FEDERATED: federated}
        if self.recipe.adapt_steps:
            found[ADAPTED] = _kept(folder / "adapted.bin", adapted)
        return found

    def readings(self, slices: SliceSet, vectors: Mapping[str, Vector]) -> dict[str, Reading]:
        """Let models read slices.

        Args:
            slices: Of one split.
            vectors: Weights by model.
        """
        from model.weights import set_vector

        found = {}
        for name, vector in vectors.items():
            set_vector(self.net, vector)
            found[name] = Predictor(name, self.net, None).read(slices)
            self.told(self.name, f"{name} read {len(slices)} slices", 1, 1)
        return found

    def _telling(self, what: str) -> Callable[[int, int], None]:
        return lambda done, total: self.told(self.name, what, done, total)


def _kept(path: Path, make: Callable[[], Vector]) -> Vector:
    """Return the vector of a file, making it first where it is not there."""
    content = read_file(path)
    if content is None:
        content = make().astype("<f4").tobytes()
        write_file(path, content)
    return np.frombuffer(content, "<f4").astype(np.float32)
