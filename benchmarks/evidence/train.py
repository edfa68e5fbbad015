"""Makes the cells of a job: trains with the clients' own code, reads validation and test patients.

Rounds are `peer_client.simulation.rounds.plain_rounds` over each hospital's `LocalTraining`, local
training and fine-tuning are `OwnModels`: what a hospital does, without ledger and encryption. Only
pooled training and the average of floats are of this package; no hospital could do either.

Weights stay in the cache, as does what a training keeps while it is under way, so a run that was
stopped goes on with the round it was in. The cache holds patients' names and networks trained on
patients: it is no part of the project.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.cells import Cells, by_patients, key_name
from benchmarks.evidence.data import World, Worlds, foreign_masks, masks_only
from benchmarks.evidence.plan import Job, Trial
from benchmarks.evidence.work import weights_path
from benchmarks.networks import build_network
from chaincode.records.study import Architecture, Study, weights_digest
from model.config import CapsNetConfig
from model.network import SliceNetwork
from model.sampling import TrainingSlices
from model.training import OptimiserState, TrainSettings, train
from model.weights import WeightSpec, initial_vector, set_vector
from peer_client.ct.cohort import Cohort
from peer_client.evaluation.readings import read_slices, thinned
from peer_client.serving.local_training import LocalTraining, training_slices, whole_vector
from peer_client.serving.own_models import OwnModels
from peer_client.serving.predictor import Predictor
from peer_client.simulation.rounds import (
    Average,
    SimulatedHospital,
    plain_rounds,
    quantised_average,
)
from peer_client.simulation.study import simulated_study
from peer_client.storage.study_store import ModelState, StudyStore
from peer_client.studies.study_file import shared_part, shared_places, weights_of
from peer_client.update import (
    QuantisationReport,
    apply_update,
    first_scales,
    model_digest,
    weight_difference,
)

Vector = NDArray[np.float32]
#: Labelled slices of a patient that are read: neighbours are near copies, and reading takes time.
SLICES_OF_A_PATIENT = 8
#: Groups of tensors that a hospital has a part in, by whether it has masks.
GROUPS = {True: frozenset({"all", "masks"}), False: frozenset({"all"})}
#: What is not of a study whose network studies do not have.
NO_STUDY = "comparison"


@dataclass
class Maker:
    """Makes the missing cells of jobs, one network and one fold in memory at a time.

    Attributes:
        worlds: Opens the data.
        cells: Where cells are kept.
        cache: Folder of weights and of what is under way.
        key: Of the patients' names.
        code: Digest of the programs.
        told: Told what is done, in lines.
    """

    worlds: Worlds
    cells: Cells
    cache: Path
    key: bytes
    code: str
    told: Callable[[str], None]
    _key: Any = None
    _net: SliceNetwork | None = field(default=None, repr=False)

    def make(self, job: Job) -> None:
        """Train a job, unless its weights are there, and read and keep its cells."""
        world = self.worlds.open(job)
        if job.kind == "baseline":
            self._baseline(job, world)
            return
        begun = time.monotonic()
        facts: dict[str, Any] = {}
        if all(weights_path(self.cache, cell).exists() for cell in job.cells()):
            vectors = {name: self._weights(cell) for name, cell in self._by_reader(job)}
        elif job.kind == "federated":
            vectors, facts = self._federated(job, world)
        else:
            vectors = dict.fromkeys(job.readers, self._trained(job, world))
        if job.kind == "fine-tuned":
            facts["start"] = weights_name(self._weights(str(job.start())))
        facts["seconds_training"] = round(time.monotonic() - begun, 1)
        for name, cell in self._by_reader(job):
            write_weights(weights_path(self.cache, cell), vectors[name])
            mine = {key: value[name] if key == "curve" else value for key, value in facts.items()
                    if key != "curve" or name in value}  # fmt: skip
            mine["weights"] = weights_name(vectors[name])
            self._read(job, world, name, cell, vectors[name], mine)
        shutil.rmtree(self._work(job), ignore_errors=True)

    def _by_reader(self, job: Job) -> list[tuple[str, str]]:
        return list(zip(job.readers, job.cells(), strict=True))

    def _work(self, job: Job) -> Path:
        return self.cache / "work" / job.name

    def _weights(self, cell: str) -> Vector:
        with np.load(weights_path(self.cache, cell)) as stored:
            vector: Vector = stored["vector"]
        return vector

    def _network(self, trial: Trial) -> SliceNetwork:
        """Return a network of a trial; every training puts its own weights in first."""
        config = CapsNetConfig(size_px=trial.recipe.size_px, personal=trial.personal)
        if self._net is None or self._key != (trial.network, config):
            self._net = None
            self._net, self._key = build_network(trial.network, config), (trial.network, config)
        return self._net

    def _trained(self, job: Job, world: World) -> Vector:
        """Return what is trained at one hospital, or on everything in one place."""
        net, recipe = self._network(job.trial), job.trial.recipe
        told = self._telling(job)
        if job.trained_at is None:
            pot = [training_slices(each.train) for each in world.taking_part.values()]
            return train_pooled(net, pot, job.trial, told)
        study = study_of_trial(list(world.hospitals.values()), job.trial, net.manifest)
        cohort = world.hospitals[job.trained_at]
        own = OwnModels(
            study,
            cohort.hospital.msp_id,
            training_slices(cohort.train),
            self._work(job),
            lambda: net,
            extra_steps=recipe.adapt_steps,
            initial=lambda: initial_vector(net.manifest, recipe.seed),
        )
        if job.kind == "local-only":
            return own.alone(recipe.rounds, told)
        start = job.start()
        if start is None:
            raise ValueError(f"{job.name} starts from nothing")
        return own.adapted(self._weights(start), recipe.rounds, recipe.adapt_steps, told)

    def _federated(self, job: Job, world: World) -> tuple[dict[str, Vector], dict[str, Any]]:
        """Return the shared model as each hospital uses it, and what is known of its rounds."""
        net, recipe = self._network(job.trial), job.trial.recipe
        study = study_of_trial(list(world.taking_part.values()), job.trial, net.manifest)
        initial = initial_vector(net.manifest, recipe.seed)
        first = ModelState(0, shared_part(initial, study.weights), first_scales(study.weights))
        hospitals = {
            name: self._hospital(job, study, name, cohort, net, initial)
            for name, cohort in world.taking_part.items()
        }
        average: Average = partial(float_average, net.manifest)
        rounds = plain_rounds(
            study,
            tuple(hospitals.values()),
            lambda *_: None,
            average=average if job.trial.floats else quantised_average,
            first=first,
            judging=job.curve,
        )
        model = first
        for done in rounds:
            model = done.model
            self.told(f"    {job.name}: round {model.round_number} of {study.rounds}")
        if model is first:  # stopped between the last round and the reading
            kept = next(iter(hospitals.values())).store.read_model(study.rounds)
            assert kept is not None
            model = kept
        places = shared_places(study.weights)
        vectors = {}
        for reader in job.readers:
            # Personal tensors are those of the hospital's first piece; one that had no part in the
            # rounds takes another's.
            pieces = [piece for piece, owner in world.pieces.items() if owner == reader]
            piece = pieces[0] if pieces else next(iter(world.pieces))
            store = hospitals[piece].store
            vectors[reader] = whole_vector(
                study, store, places, model.weights, initial=lambda: initial
            )
        return vectors, {
            "taking_part": len(hospitals),
            **mean_losses(hospitals.values(), study.rounds),
            "curve": curves(hospitals, study.rounds),
        }

    def _hospital(
        self, job: Job, study: Study, name: str, cohort: Cohort, net: SliceNetwork, initial: Vector
    ) -> SimulatedHospital:
        store = StudyStore(self._work(job) / name)
        msp_id = cohort.hospital.msp_id
        trainer = LocalTraining(
            study, msp_id, cohort, store, network=lambda: net, initial=lambda: initial
        )
        return SimulatedHospital(name, msp_id, trainer, store, cohort.hospital.has_masks)

    def _read(
        self,
        job: Job,
        world: World,
        hospital: str,
        cell: str,
        vector: Vector,
        facts: Mapping[str, Any],
    ) -> None:
        """Read a hospital's validation and test patients and keep the cell."""
        net = self._network(job.trial)
        set_vector(net, vector)
        cohort = world.hospitals[hospital]
        reader = Predictor(hospital, net, None).read_images
        readings = {
            part: by_patients(
                read_slices(reader, thinned(slices, SLICES_OF_A_PATIENT), views=job.views),
                self.key,
                hospital,
            )
            for part, slices in (("validation", cohort.validation), ("test", cohort.test))
        }
        if not len(cohort.test.mask_index):
            for other in foreign_masks(world, hospital):
                theirs = masks_only(world.hospitals[other].test)
                reading = read_slices(reader, theirs, views=False)
                readings[f"masks of {other}"] = by_patients(reading, self.key, other)
        self._keep(job, cell, hospital, readings, facts)

    def _baseline(self, job: Job, world: World) -> None:
        """Fit histograms of gradients and logistic regression at each hospital."""
        from benchmarks.evidence.baseline import baseline_readings

        for name, cell in self._by_reader(job):
            cohort = world.hospitals[name]
            parts = {"validation": cohort.validation, "test": cohort.test}
            thin = {part: thinned(slices, SLICES_OF_A_PATIENT) for part, slices in parts.items()}
            found = baseline_readings(cohort.train, thin)
            readings = {part: by_patients(each, self.key, name) for part, each in found.items()}
            self._keep(job, cell, name, readings, {})

    def _keep(
        self,
        job: Job,
        cell: str,
        hospital: str,
        readings: Mapping[str, Any],
        facts: Mapping[str, Any],
    ) -> None:
        always = {
            "cell": job.tag,
            "hospital": hospital,
            "trial": job.trial.to_dict(),
            "code": self.code,
            "key": key_name(self.key),
            "steps": job.steps,
            "views": int(job.views),
        }
        self.cells.write(cell, readings, {**always, **facts})

    def _telling(self, job: Job) -> Callable[[int, int], None]:
        def told(done: int, total: int) -> None:
            if done % 60 == 0:
                self.told(f"    {job.name}: step {done} of {total}")

        return told


def study_of_trial(
    cohorts: Sequence[Cohort], trial: Trial, manifest: Sequence[WeightSpec]
) -> Study:
    """Return the terms of a trial: a simulation's, with the trial's own network.

    Args:
        cohorts: Of the hospitals that take part.
        trial: How they train.
        manifest: The network's tensors.
    """
    recipe = trial.recipe
    usual = simulated_study([cohort.hospital for cohort in cohorts], recipe)
    weights = weights_of(manifest, recipe.local_steps)
    initial = shared_part(initial_vector(manifest, recipe.seed), weights)
    return replace(
        usual,
        architecture=Architecture(NO_STUDY, {"network": trial.network}),
        weights=weights,
        weights_sha256=weights_digest(weights),
        initial_model_sha256=model_digest(initial),
    )


def float_average(
    manifest: Sequence[WeightSpec],
    study: Study,
    has_masks: Mapping[str, bool],
    model: ModelState,
    after: Mapping[str, Vector],
) -> tuple[ModelState, Mapping[str, QuantisationReport]]:
    """Average the changes as they are, each tensor over the hospitals that have a part in it.

    Without the ledger's rule that fewest hospitals must hold a tensor: what quantising costs, and
    what two holders of masks would bring.

    Args:
        manifest: The network's tensors.
        study: The terms.
        has_masks: By MSP, whether a hospital has masks.
        model: Before the round.
        after: By MSP, shared weights after a hospital's steps, float32, shape `(parameters,)`.
    """
    changes = {name: weight_difference(model.weights, vector) for name, vector in after.items()}
    mean = np.zeros(len(model.weights))
    start = 0
    for spec in manifest:
        if spec.group == "personal":
            continue
        part = slice(start, start + spec.size)
        start += spec.size
        holders = [name for name in sorted(after) if spec.group in GROUPS[has_masks[name]]]
        if holders:
            mean[part] = np.mean([changes[name][part] for name in holders], axis=0)
    shared = apply_update(model.weights, mean)
    return ModelState(model.round_number + 1, shared, model.scales), {}


def train_pooled(
    net: SliceNetwork,
    pot: Sequence[TrainingSlices],
    trial: Trial,
    told: Callable[[int, int], None],
) -> Vector:
    """Train one network on all hospitals' slices in one place, a batch of each in turn.

    As many steps as all hospitals together take in the federation. No hospital could do this
    without handing its slices over.

    Returns:
        float32, shape `(values,)`.
    """
    vector = initial_vector(net.manifest, trial.recipe.seed)
    set_vector(net, vector)
    total = trial.recipe.steps * len(pot)
    state = OptimiserState.zero(len(vector))
    for step in range(total):
        settings = TrainSettings(
            steps=1,
            seed=pooled_seed(trial, step % len(pot)),
            first_step=step,
            total_steps=total,
            warm_up_steps=20 * len(pot),
        )
        result = train(net, pot[step % len(pot)], settings, optimiser_state=state)
        vector, state = result.vector, result.optimiser_state
        told(step + 1, total)
    return vector


def pooled_seed(trial: Trial, hospital: int) -> int:
    """Return the seed of one hospital's draws in pooled training, below 2**31."""
    drawn = np.random.SeedSequence([trial.recipe.seed, hospital]).generate_state(1)
    return int(drawn[0] >> 1)


def weights_name(vector: Vector) -> str:
    """Return what cells say of weights: enough to know whether two are the same."""
    return model_digest(vector)[:16]


def write_weights(path: Path, vector: Vector) -> None:
    """Keep weights, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp.npz")
    np.savez(temporary, vector=vector)
    temporary.replace(path)


def curves(
    hospitals: Mapping[str, SimulatedHospital], rounds: int
) -> dict[str, list[tuple[int, float]]]:
    """Return (round, AUC by validation patient) of each round's model that was judged."""
    found: dict[str, list[tuple[int, float]]] = {}
    for name, each in hospitals.items():
        for number in range(1, rounds + 1):
            metrics = each.store.read_facts(number).get("metrics", {})
            if "auc_after" in metrics:
                found.setdefault(name, []).append((number, round(metrics["auc_after"], 4)))
    return found


def mean_losses(hospitals: Any, rounds: int) -> dict[str, float]:
    """Return relative error and share clipped, means over rounds and hospitals; empty without."""
    facts = [each.store.read_facts(number) for each in hospitals for number in range(1, rounds + 1)]
    rows = [each["quantised"] for each in facts if "quantised" in each]
    if not rows:
        return {}
    return {
        key: float(np.mean([row[key] for row in rows])) for key in ("relative_error", "clipped")
    }
