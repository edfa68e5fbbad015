"""After a round: choose what this hospital serves, keep it, and say so on the ledger.

    personal/alone.bin           the model trained alone, with its optimiser
    personal/served/000003.*     what is served after round 3 (peer_client.serving.served)

Candidates are the model trained alone, the round's shared model, and the shared model adapted
here; all read the hospital's validation patients, `choose` decides, and only the figures go out. A
round confirmed again uses what was chosen before. Validation patients of one class cannot decide:
then the shared model is served as it is, and the ledger says that nothing was chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chaincode.records.study import Study
from peer_client.ct.cohort import UNLABELLED, Cohort, SliceSet
from peer_client.evaluation.readings import thinned
from peer_client.evaluation.views import FEW_SLICES
from peer_client.rounds.context import (
    OutOfTimeError,
    ServingProgress,
    TrainingProgress,
    TrainingTask,
)
from peer_client.rounds.ledger_figures import UNCHOSEN, choice_ppm
from peer_client.serving.choice import ADAPTED, ALONE, FEDERATED, choose
from peer_client.serving.local_training import training_slices, whole_vector
from peer_client.serving.manifest import manifest_of
from peer_client.serving.own_models import OwnModels, Vector
from peer_client.serving.predictor import Predictor
from peer_client.serving.served import LabelScheme, ServedModel, read_facts, save_served
from peer_client.storage.study_store import StudyStore
from peer_client.studies.study_file import shared_places
from peer_client.studies.wording import short_name
from peer_client.update import model_digest

if TYPE_CHECKING:
    from model.network import SliceNetwork
    from peer_client.evaluation.readings import Reading


@dataclass(frozen=True, slots=True)
class ServingPlan:
    """When a hospital chooses, and how far it adapts.

    Attributes:
        adapt_steps: Steps from the shared model; 0 leaves that candidate out.
        only_after: Rounds published before the one round to choose in; None for every round.
    """

    adapt_steps: int
    only_after: int | None = None

    def is_due(self, task: TrainingTask) -> bool:
        """Return whether the hospital chooses in a round."""
        return self.only_after is None or task.rounds_done == self.only_after


class PersonalServing:
    """`peer_client.rounds.context.Serving` over a cohort.

    Args:
        study: The study's terms.
        msp_id: This hospital.
        cohort: Its patients.
        store: The study's files.
        network: Gives the network to work in, whose weights are anybody's.
        plan: When to choose.
    """

    def __init__(
        self,
        study: Study,
        msp_id: str,
        cohort: Cohort,
        store: StudyStore,
        network: Callable[[], SliceNetwork],
        plan: ServingPlan,
    ) -> None:
        self._study = study
        self._msp_id = msp_id
        self._cohort = cohort
        self._store = store
        self._network = network
        self._plan = plan
        self._validation = thinned(cohort.validation, FEW_SLICES)
        self._own = OwnModels(
            study, msp_id, training_slices(cohort.train), store.personal_folder, network
        )

    def train_alone(self, task: TrainingTask, progress: TrainingProgress) -> None:
        """Take the steps that the model trained alone lacks, where this round needs them."""
        if self._plan.is_due(task) and can_choose(self._validation):
            self._own.alone(task.rounds_done + 1, progress)

    def serve(
        self, task: TrainingTask, shared: NDArray[np.float32], progress: ServingProgress
    ) -> Mapping[str, int]:
        """Choose what to serve after a round and keep it; return the ledger's figures.

        Args:
            task: The round.
            shared: The shared weights it made, float32, shape `(parameters,)`.
            progress: Told (what is done, steps done, steps).

        Returns:
            In millionths, see `ledger_figures`; empty where this round makes no choice.

        Raises:
            DivergedError: A loss or weight is not finite.
            StoreError: The disk is full.
            OutOfTimeError: The progress raised it before two candidates had been read.
        """
        if not self._plan.is_due(task):
            return {}
        if not can_choose(self._validation):
            progress("all validation patients are of one class: the shared model is served", 0, 0)
            return dict(UNCHOSEN)
        digest = model_digest(shared)
        path = served_path(self._store, task.round_number)
        facts = read_facts(path)
        if facts is None or facts["training"].get("model_sha256") != digest:
            self._choose(task, shared, path, progress)
            facts = read_facts(path)
            assert facts is not None  # noqa: S101 - written a moment ago
            self._forget_others(model_digest(task.start), path)
        choice = facts["choice"]
        return choice_ppm(
            choice["name"],
            choice["mask_member"],
            choice["auc_validation"],
            choice["dice_validation"],
        )

    def _choose(
        self,
        task: TrainingTask,
        shared: NDArray[np.float32],
        path: Path,
        progress: ServingProgress,
    ) -> None:
        def telling(what: str) -> TrainingProgress:
            return lambda done, total: progress(what, done, total)

        places = shared_places(self._study.weights)
        federated = whole_vector(self._study, self._store, places, shared)
        vectors: dict[str, Vector] = {
            ALONE: self._own.alone(task.rounds_done + 1, telling("train alone")),
            FEDERATED: federated,
        }
        readings = {name: self._read(name, vectors[name], progress) for name in vectors}
        steps = self._plan.adapt_steps
        if steps:
            # The dearest candidate comes last: out of time, the others can still be chosen from.
            with suppress(OutOfTimeError):
                adapted = self._own.adapted(federated, task.round_number, steps, telling("adapt"))
                readings[ADAPTED] = self._read(ADAPTED, adapted, progress)
                vectors[ADAPTED] = adapted
        hospital = self._study.hospital(self._msp_id)
        served = ServedModel(
            net=self._network(),
            hospital=short_name(self._msp_id),
            labels=LabelScheme(
                str(self._study.label_scheme.get("positive", "")),
                hospital.label_negative if hospital else "",
            ),
            choice=choose(readings),
            vectors=vectors,
            manifest=manifest_of([self._cohort]),
            training={
                "study": self._study.study,
                "study_sha256": self._study.sha256,
                "round": task.round_number,
                "model_sha256": model_digest(shared),
                "encryption": "on",
                "alone_steps": (task.rounds_done + 1) * self._study.local_steps,
                "adapt_steps": steps if ADAPTED in vectors else 0,
            },
        )
        save_served(served, path)

    def _read(self, name: str, vector: Vector, progress: ServingProgress) -> Reading:
        from model.weights import set_vector

        net = self._network()
        set_vector(net, vector)
        what = f"read validation patients ({name})"
        reader = Predictor(name, net, None)
        return reader.read(self._validation, lambda done, total: progress(what, done, total))

    def _forget_others(self, parent_sha256: str, newest: Path) -> None:
        """Remove what was served before, but for the parent's: this round may be rejected."""
        for path in newest.parent.glob("*.keras"):
            facts = read_facts(path)
            of_parent = facts is not None and facts["training"].get("model_sha256") == parent_sha256
            if path != newest and not of_parent:
                for ending in (".json", ".npz", ".keras"):
                    path.with_suffix(ending).unlink(missing_ok=True)


def can_choose(validation: SliceSet) -> bool:
    """Return whether validation patients are of both classes."""
    return len(set(validation.labels.tolist()) - {UNLABELLED}) == 2


def served_path(store: StudyStore, round_number: int) -> Path:
    """Return where what is served after a round lies."""
    return store.personal_folder / "served" / f"{round_number:06d}.keras"
