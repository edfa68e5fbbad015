"""The models that a hospital trains by itself: one alone, and one adapted from the shared model.

Alone: from the study's initial weights, as many steps as the hospital takes in the rounds, with an
optimiser of its own. Weights and moments are kept in the personal folder after each round's steps,
so a client that was stopped goes on to the same weights, bit for bit on one thread; a round taken
twice trains no further. Adapted: some steps from the shared model, all tensors, Adam from zero; the
newest one is kept. Neither leaves the hospital.

    alone.bin     steps taken (u64), then weights and Adam's moments, float32, little-endian
    adapted.bin   SHA-256 of start, round and steps, then weights, float32
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from chaincode.records.study import Study
from model.sampling import TrainingSlices
from peer_client.errors import StoreError
from peer_client.rounds.context import TrainingProgress
from peer_client.storage.study_store import read_file, write_file
from peer_client.studies.study_file import network_of

if TYPE_CHECKING:
    from model.network import SliceNetwork
    from model.training import OptimiserState, TrainProgress

Vector = NDArray[np.float32]
#: The adaptation's schedule; where the numbers come from: docs/evidence.md.
ADAPT_RATE: Final = 1e-3
ADAPT_WARM_UP_STEPS: Final = 10


@dataclass(frozen=True, slots=True)
class OwnModels:
    """What one hospital trains by itself.

    Attributes:
        study: The study's terms.
        msp_id: The hospital.
        slices: Its training slices.
        folder: Its personal folder.
        network: Gives the network to train in, whose weights are anybody's.
        extra_steps: Steps that the model trained alone takes beyond those of all rounds. With as
            many as an adaptation takes, both have had the same number of steps.
        initial: Gives the whole weights that training alone starts from, for a network that the
            study's terms do not describe; None draws them from the study's seed.
    """

    study: Study
    msp_id: str
    slices: TrainingSlices
    folder: Path
    network: Callable[[], SliceNetwork]
    extra_steps: int = 0
    initial: Callable[[], Vector] | None = None

    def alone(self, rounds: int, progress: TrainingProgress) -> Vector:
        """Return the model trained alone after the steps of so many rounds.

        Args:
            rounds: Rounds' worth of steps; those that are missing are taken now. The extra steps
                are taken after all rounds of the study.
            progress: Told after each step.

        Returns:
            float32, shape `(values,)`.

        Raises:
            DivergedError: A loss or weight is not finite.
            StoreError: What was kept is damaged, or cannot be written.
        """
        from model.training import TrainSettings, train
        from model.weights import set_vector

        vector, state = self._kept()
        in_rounds = self.study.rounds * self.study.local_steps
        wanted = rounds * self.study.local_steps
        wanted += self.extra_steps if rounds >= self.study.rounds else 0
        begun = state.steps
        while state.steps < wanted:
            first = state.steps
            net = self.network()
            set_vector(net, vector)
            settings = TrainSettings(
                steps=min(self.study.local_steps, wanted - first),
                seed=own_seed(self.study, self.msp_id, "alone"),
                first_step=first,
                total_steps=in_rounds + self.extra_steps,
            )

            def told(seen: TrainProgress, before: int = first - begun) -> None:
                progress(before + seen.step, wanted - begun)

            done = train(net, self.slices, settings, progress=told, optimiser_state=state)
            vector, state = done.vector, done.optimiser_state
            arrays = np.stack([vector, state.first, state.second]).astype("<f4")
            write_file(self._path, state.steps.to_bytes(8, "little") + arrays.tobytes())
        return vector

    def adapted(
        self, start: Vector, round_number: int, steps: int, progress: TrainingProgress
    ) -> Vector:
        """Return the model adapted from the shared one; the same start gives the same model.

        Args:
            start: The shared model with this hospital's personal tensors, `(values,)`.
            round_number: The round that made it, for the draws.
            steps: Steps to take.
            progress: Told after each step; not at all where the model is kept.

        Returns:
            float32, shape `(values,)`.

        Raises:
            DivergedError: A loss or weight is not finite.
            StoreError: It cannot be written.
        """
        from model.training import TrainSettings, train
        from model.weights import set_vector

        path = self.folder / "adapted.bin"
        origin = start.astype("<f4").tobytes() + f"{round_number}/{steps}".encode()
        digest = hashlib.sha256(origin).digest()
        content = read_file(path)
        if content is not None and content[:32] == digest and len(content) == 32 + 4 * len(start):
            return np.frombuffer(content[32:], "<f4").astype(np.float32)
        net = self.network()
        set_vector(net, start)
        settings = TrainSettings(
            steps=steps,
            seed=own_seed(self.study, self.msp_id, f"adapted/{round_number}"),
            learning_rate=ADAPT_RATE,
            warm_up_steps=ADAPT_WARM_UP_STEPS,
        )

        def told(seen: TrainProgress) -> None:
            progress(seen.step, seen.steps)

        vector = train(net, self.slices, settings, progress=told).vector
        write_file(path, digest + vector.astype("<f4").tobytes())
        return vector

    @property
    def _path(self) -> Path:
        return self.folder / "alone.bin"

    def _kept(self) -> tuple[Vector, OptimiserState]:
        """Return the model trained alone as it was kept, else the initial weights."""
        from model.training import OptimiserState
        from model.weights import initial_vector, specs

        content = read_file(self._path)
        if content is None:
            if self.initial is not None:
                vector = self.initial()
            else:
                vector = initial_vector(specs(network_of(self.study)), self.study.seed)
            return vector, OptimiserState.zero(len(vector))
        values = sum(weight.size for weight in self.study.weights)
        if len(content) != 8 + 3 * 4 * values:
            raise StoreError(f"{self._path} is damaged; remove it and it is trained again")
        arrays = np.frombuffer(content[8:], "<f4").astype(np.float32).reshape(3, values)
        steps = int.from_bytes(content[:8], "little")
        return arrays[0], OptimiserState(steps, arrays[1], arrays[2])


def own_seed(study: Study, msp_id: str, purpose: str) -> int:
    """Return the seed of one hospital's draws for a purpose, below 2**31."""
    text = f"{study.study}/{study.seed}/{msp_id}/own/{purpose}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little") >> 1
