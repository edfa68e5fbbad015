"""One hospital's patients and its network: what a round asks a trainer for.

`LocalTraining` turns the shared weights of a round's parent into this hospital's, by a round's
steps on its own training patients, and judges models on its own validation patients. Tensors that
the study calls personal, and the optimiser's moments, stay in the study's personal folder and are
never returned. A round's seed depends on study, hospital and round, so that an update trained again
after a lost round is another one. TensorFlow is loaded when the first network is built.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from chaincode.records.study import Study
from model.evaluation import auc_interval, patient_scores
from model.overlap import dice
from model.sampling import TrainingSlices
from peer_client.ct.cohort import Cohort, SliceSet
from peer_client.evaluation.readings import thinned
from peer_client.evaluation.views import FEW_SLICES
from peer_client.rounds.context import TrainingProgress, TrainingTask
from peer_client.rounds.ledger_figures import MASKED, NEGATIVE, POSITIVE
from peer_client.storage.study_store import StudyStore, read_file, write_file
from peer_client.studies.study_file import network_of, shared_places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from model.network import SliceNetwork
    from model.training import OptimiserState, TrainProgress

#: Bootstrap draws behind an interval.
DRAWS = 1000


@dataclass(slots=True)
class _Judged:
    """Metrics of the model judged last: the next round's model before training."""

    digest: bytes
    metrics: dict[str, float]


def network_once(study: Study, threads: int) -> Callable[[], SliceNetwork]:
    """Return what gives the study's network, built at the first call.

    Compiling a network takes half a minute and half a gigabyte; every use puts weights in first.

    Args:
        study: The study's terms.
        threads: Processor threads for TensorFlow.
    """
    return cache(lambda: built_network(study, threads))


def built_network(study: Study, threads: int, *, networks_at_once: int = 1) -> SliceNetwork:
    """Build the study's network with its initial weights (imports TensorFlow).

    Args:
        study: The study's terms.
        threads: Processor threads for TensorFlow.
        networks_at_once: Networks of this process that work at the same time.
    """
    from model.capsnet import build
    from model.threads import set_threads

    set_threads(threads, networks_at_once=networks_at_once)
    return build(network_of(study), seed=study.seed)


class LocalTraining:
    """`peer_client.rounds.context.Trainer` over a cohort.

    Args:
        study: The study's terms.
        msp_id: This hospital.
        cohort: Its patients.
        store: The study's files; personal things lie in its personal folder.
        threads: Processor threads for TensorFlow; 1 repeats bit for bit.
        network: Gives the network to train in, whose weights are anybody's; one of its own else.
        initial: Gives the whole weights that the study starts from, for a network that its terms
            do not describe; None draws them from the study's seed.
    """

    def __init__(
        self,
        study: Study,
        msp_id: str,
        cohort: Cohort,
        store: StudyStore,
        *,
        threads: int = 1,
        network: Callable[[], SliceNetwork] | None = None,
        initial: Callable[[], NDArray[np.float32]] | None = None,
    ) -> None:
        self._study = study
        self._msp_id = msp_id
        self._store = store
        self._shared = shared_places(study.weights)
        self._slices = training_slices(cohort.train)
        self._validation = thinned(cohort.validation, FEW_SLICES)
        self._network = network or network_once(study, threads)
        self._initial = initial
        self._judged: _Judged | None = None

    @property
    def net(self) -> SliceNetwork:
        """Return the network, built at its first use."""
        return self._network()

    def train(self, task: TrainingTask, progress: TrainingProgress) -> NDArray[np.float32]:
        """Take a round's steps from the parent model."""
        from model.training import TrainSettings, train
        from model.weights import set_vector

        def told(seen: TrainProgress) -> None:
            progress(seen.step, seen.steps)

        steps = self._study.local_steps
        set_vector(self.net, self.whole(task.start))
        done = train(
            self.net,
            self._slices,
            TrainSettings(
                steps=steps,
                seed=seed_of(self._study, self._msp_id, task.round_number),
                first_step=task.rounds_done * steps,
                total_steps=self._study.rounds * steps,
            ),
            progress=told,
            optimiser_state=self._moments(task.rounds_done),
        )
        self._keep(task, done.vector, done.optimiser_state)
        mine: NDArray[np.float32] = done.vector[self._shared]
        return mine

    def metrics_ppm(self, task: TrainingTask, after: NDArray[np.float32]) -> Mapping[str, int]:
        """Judge the parent and the new model on validation patients: exact, for this hospital.

        With the figures, in millionths, stand how many validation patients there are of each kind;
        `peer_client.rounds.ledger_figures.ledger_ppm` decides what of it leaves the hospital.
        """
        before = self._metrics(task.start)
        now = self._metrics(after)
        named = {f"{name}_before": value for name, value in before.items()}
        named |= {f"{name}_after": value for name, value in now.items()}
        classes = list(self._validation.patient_labels().values())
        return {name: round(1e6 * value) for name, value in named.items()} | {
            "validation_patients": len(set(self._validation.patients)),
            POSITIVE: classes.count(1),
            NEGATIVE: classes.count(0),
            MASKED: len(set(self._validation.with_masks().patients)),
        }

    def whole(self, shared: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return all weights of the network: the shared ones given, the personal ones from here.

        Args:
            shared: float32, shape `(parameters,)`.
        """
        return whole_vector(self._study, self._store, self._shared, shared, initial=self._initial)

    def _metrics(self, shared: NDArray[np.float32]) -> dict[str, float]:
        digest = hashlib.sha256(np.ascontiguousarray(shared, "<f4").tobytes()).digest()
        if self._judged is None or self._judged.digest != digest:
            from model.weights import set_vector

            set_vector(self.net, self.whole(shared))
            self._judged = _Judged(digest, judge(self.net, self._validation))
        return self._judged.metrics

    def _keep(self, task: TrainingTask, vector: NDArray[np.float32], state: OptimiserState) -> None:
        """Keep what stays at home: personal tensors and moments, after this many rounds."""
        folder = self._store.personal_folder
        if not self._shared.all():
            write_file(folder / "weights.bin", vector.astype("<f4").tobytes())
        moments = np.stack([state.first, state.second]).astype("<f4").tobytes()
        name = f"moments-{task.rounds_done + 1:06d}.bin"
        write_file(folder / name, state.steps.to_bytes(8, "little") + moments)
        for old in sorted(folder.glob("moments-*.bin"))[:-2]:
            old.unlink(missing_ok=True)

    def _moments(self, rounds_done: int) -> OptimiserState | None:
        """Return Adam's moments after so many rounds, or nothing to start from zero.

        A round trained twice starts from the same moments both times.
        """
        from model.training import OptimiserState

        content = read_file(self._store.personal_folder / f"moments-{rounds_done:06d}.bin")
        if content is None:
            return None
        both = np.frombuffer(content[8:], "<f4").astype(np.float32).reshape(2, -1)
        return OptimiserState(int.from_bytes(content[:8], "little"), both[0], both[1])


def whole_vector(
    study: Study,
    store: StudyStore,
    places: NDArray[np.bool_],
    shared: NDArray[np.float32],
    *,
    initial: Callable[[], NDArray[np.float32]] | None = None,
) -> NDArray[np.float32]:
    """Return all weights of a hospital's network.

    Args:
        study: The study's terms.
        store: Its files here; personal tensors that were never trained are the initial ones.
        places: Which values are shared, bool, shape `(values,)`.
        shared: float32, shape `(parameters,)`.
        initial: Gives the whole initial weights; None draws them from the study's seed.
    """
    from model.weights import initial_vector, specs

    content = read_file(store.personal_folder / "weights.bin")
    if content is not None:
        vector = np.frombuffer(content, "<f4").astype(np.float32)
    elif initial is not None:
        vector = initial().copy()
    else:
        vector = initial_vector(specs(network_of(study)), study.seed)
    vector[places] = shared
    return vector


def training_slices(slices: SliceSet) -> TrainingSlices:
    """Return a cohort's slices as the model trains on them."""
    return TrainingSlices(
        images=slices.images,
        labels=slices.labels,
        patients=slices.patients,
        masks=slices.masks,
        mask_images=slices.mask_index,
    )


def judge(net: SliceNetwork, slices: SliceSet) -> dict[str, float]:
    """Return `auc` by patient with its 95 % interval, and `dice` where a mask shows a lesion.

    The interval is a bootstrap over patients with fixed draws: the same model, the same figures.

    Args:
        net: The network with the weights to judge.
        slices: Validation slices.
    """
    from model.prediction import predict, predict_scores

    labelled = slices.labelled()
    scores = predict_scores(net, labelled.images, flips=False)
    found = patient_scores(labelled.patients, scores, labelled.labels)
    interval = auc_interval(found.labels, found.scores, rng=np.random.default_rng(0), draws=DRAWS)
    metrics = {"auc": interval.value, "auc_low": interval.low, "auc_high": interval.high}
    masked = slices.with_masks()
    if len(masked) and bool(masked.masks.any()):
        _, lesions = predict(net, masked.images, flips=False)
        metrics["dice"] = dice(lesions, masked.masks).mean
    return metrics


def seed_of(study: Study, msp_id: str, round_number: int) -> int:
    """Return the seed of one hospital's draws in one round, below 2**31."""
    text = f"{study.study}/{study.seed}/{msp_id}/{round_number}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little") >> 1
