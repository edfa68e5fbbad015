"""Cells of the evidence: each trains one thing, reads it on validation and test, and is kept.

A cell is a JSON file in the cache folder (readings by slice, no pictures) and the weights beside
it. A cell that is there is not made again; a federation also keeps its state after each round. The
cache holds patients' names and weights of networks trained on them: it is no part of the project.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from evidence_parts import Job
from evidence_state import ROUNDS_OF_A_CURVE, keep, mean_losses, opened, vector_at
from evidence_worlds import World, Worlds, foreign_masks, masks_only

from model.weights import set_vector
from peer_client.evaluation.readings import Reading, read_slices, thinned
from peer_client.serving.predictor import Predictor
from peer_client.simulation.federation import run_round
from peer_client.simulation.sites import build_network, network_config
from peer_client.simulation.steps import adapt, train_alone, train_pooled

#: Labelled slices of a patient that are read: neighbours are near copies, and reading them is dear.
SLICES_OF_A_PATIENT = 8
#: What a cell's file says anew when its weights are read again.
READ_ANEW = frozenset({"readings", "views"})


@dataclass
class Maker:
    """Makes the missing cells of jobs, one network and one rotation in memory at a time.

    Attributes:
        worlds: Opens the data.
        cache: Where cells lie.
        code: Digest of the programs.
    """

    worlds: Worlds
    cache: Path
    code: str
    _key: Any = None
    _net: Any = field(default=None, repr=False)

    def make(self, job: Job) -> None:
        """Make the cells of a job that are not there."""
        world = self.worlds.open(job)
        if job.kind == "floor":
            self._floor(job, world)
        elif job.kind == "federated":
            self._federated(job, world)
        else:
            self._trained(job, world)

    def _network(self, job: Job) -> Any:
        """Return a network of the job's recipe; every training puts its own weights in first."""
        key = (job.recipe.network, network_config(job.recipe))
        if key != self._key:
            self._net = None
            self._net, self._key = build_network(job.recipe), key
        return self._net

    def _trained(self, job: Job, world: World) -> None:
        net, at = self._network(job), job.trained_at
        number = list(world.hospitals).index(at) if at is not None else -1
        told = tick(job.name)
        begun = time.monotonic()
        trained = [path.with_suffix(".npz") for path in job.cells(self.cache)]
        known = next((path for path in trained if path.exists()), None)
        if known is not None:  # trained, and stopped before it was read everywhere, or to read anew
            vector = vector_of(known)
        elif at is None:
            vector = train_pooled(net, list(world.slices.values()), job.recipe, told)
        elif job.kind == "alone":
            vector = train_alone(net, world.slices[at], job.recipe, number, told)
        else:
            needed = job.needs(self.cache)
            if needed is None:
                raise ValueError(f"{job.name} starts from nothing")
            start = vector_of(needed)
            vector = adapt(net, world.slices[at], start, job.recipe, number, told)
        seconds = time.monotonic() - begun
        for path, name in zip(job.cells(self.cache), job.readers, strict=True):
            self._read(job, world, path, name, vector, {"seconds_training": round(seconds, 1)})

    def _federated(self, job: Job, world: World) -> None:
        trained = {path: path.with_suffix(".npz") for path in job.cells(self.cache)}
        if all(path.exists() for path in trained.values()):  # to be read, or read anew
            for (cell, weights), name in zip(trained.items(), job.readers, strict=True):
                self._read(job, world, cell, name, vector_of(weights), {})
            return
        net, recipe = self._network(job), job.recipe
        path = self.cache / job.folder / job.place / f"{job.tag}-state.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        federation = opened(path, world, recipe, net)
        while federation.state.rounds_done < recipe.rounds:
            begun = time.monotonic()
            federation.renew_noise(recipe)
            federation.state = run_round(
                net, world.slices, federation.state, recipe, federation.averaging
            )
            federation.seconds += time.monotonic() - begun
            federation.note_losses()
            done = federation.state.rounds_done
            if job.curve and (done % ROUNDS_OF_A_CURVE == 0 or done == recipe.rounds):
                federation.note_curve(net, world)
            keep(path, federation)
            print("   ", job.name, "round", done, f"{federation.seconds:.0f} s", flush=True)
        for cell, name in zip(job.cells(self.cache), job.readers, strict=True):
            vector = vector_at(net.manifest, federation.state, world, name)
            extra: dict[str, Any] = {
                "seconds_training": round(federation.seconds, 1),
                "taking_part": len(world.slices),
                **mean_losses(federation.losses),
            }
            if name in federation.curve:
                extra["curve"] = federation.curve[name]
            self._read(job, world, cell, name, vector, extra)

    def _read(
        self,
        job: Job,
        world: World,
        path: Path,
        hospital: str,
        vector: np.ndarray,
        extra: dict[str, Any],
    ) -> None:
        """Read a hospital's validation and test patients and keep the cell, if it is not there.

        What an older reading knew of the training stays.
        """
        if job.has_read(path):
            return
        if path.exists():
            known = json.loads(path.read_text())
            extra |= {key: known[key] for key in known if key not in READ_ANEW}
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp.npz")
        np.savez(temporary, vector=vector)
        temporary.replace(path.with_suffix(".npz"))
        net = self._network(job)
        set_vector(net, vector)
        cohort = world.hospitals[hospital]
        reader = Predictor(hospital, net, None).read_images
        parts = {"validation": cohort.validation, "test": cohort.test}
        readings = {
            name: as_json(read_slices(reader, thinned(part, SLICES_OF_A_PATIENT), views=job.views))
            for name, part in parts.items()
        }
        if not len(cohort.test.mask_index):
            for other in foreign_masks(world, hospital):
                theirs = masks_only(world.hospitals[other].test)
                readings[f"masks of {other}"] = as_json(read_slices(reader, theirs, views=False))
        self._keep(job, path, hospital, readings, {"views": int(job.views), **extra})

    def _floor(self, job: Job, world: World) -> None:
        """Fit HOG and logistic regression at each hospital."""
        from evidence_floor import floor_readings

        for path, name in zip(job.cells(self.cache), job.readers, strict=True):
            if path.exists():
                continue
            cohort = world.hospitals[name]
            parts = {"validation": cohort.validation, "test": cohort.test}
            thin = {key: thinned(part, SLICES_OF_A_PATIENT) for key, part in parts.items()}
            found = floor_readings(cohort.train, thin)
            readings = {key: as_json(reading) for key, reading in found.items()}
            path.parent.mkdir(parents=True, exist_ok=True)
            self._keep(job, path, name, readings, {})

    def _keep(
        self,
        job: Job,
        path: Path,
        hospital: str,
        readings: dict[str, Any],
        extra: dict[str, Any],
    ) -> None:
        document = {
            "cell": job.tag,
            "hospital": hospital,
            "recipe": job.recipe.to_dict(),
            "code": self.code,
            "steps": job.steps,
            "readings": readings,
            **extra,
        }
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(document))
        temporary.replace(path)


def vector_of(path: Path) -> np.ndarray:
    """Return the weights of a cell, float32, shape `(values,)`."""
    with np.load(path) as stored:
        vector: np.ndarray = stored["vector"]
    return vector


def as_json(reading: Reading) -> dict[str, Any]:
    """Return a reading as JSON can hold it."""
    return {
        "patients": list(reading.patients),
        "labels": reading.labels.tolist(),
        "logits": [round(value, 5) for value in reading.logits.tolist()],
        "lesion_share": [round(value, 6) for value in reading.lesion_share.tolist()],
        "mask_patients": list(reading.mask_patients),
        "mask_areas": reading.mask_areas.tolist(),
    }


def tick(name: str) -> Callable[[int, int], None]:
    """Return a progress callback that prints every 60 steps."""

    def told(done: int, total: int) -> None:
        if done % 60 == 0:
            print("   ", name, done, "of", total, flush=True)

    return told
