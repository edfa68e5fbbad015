"""Cells of the evidence: each trains one thing, reads it on validation and test, and is kept.

A cell is a JSON file in the cache folder (readings by slice, no pictures) and the weights beside
it. A cell that is there is not made again; a federation also keeps its state after each round. The
cache holds patients' names and weights of networks trained on them: it is no part of the project.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from model.sampling import TrainingSlices
from model.training import OptimiserState
from model.weights import initial_vector, set_vector
from peer_client.ct.cohort import UNLABELLED, Cohort, SliceSet, load_cohort
from peer_client.ct.hospitals import HospitalData
from peer_client.evaluation.readings import Reading, read_slices, thinned
from peer_client.hospital import training_slices
from peer_client.simulation.averaging import FloatAverage, PlainAverage
from peer_client.simulation.federation import (
    FederationState,
    begin,
    run_round,
    whole_vector,
)
from peer_client.simulation.recipe import Recipe
from peer_client.simulation.sites import build_network, reader_of
from peer_client.simulation.steps import adapt, train_alone, train_pooled
from peer_client.study_file import shared_places, weights_of

#: Labelled slices of a patient that are read: neighbours are near copies, and reading them is dear.
SLICES_OF_A_PATIENT = 8


@dataclass(frozen=True)
class World:
    """What a group of cells shares: the data of one rotation, seen one way.

    Attributes:
        hospitals: Name to cohort, in the order of the hospitals' numbers.
        slices: Name to training slices.
        folder: Where the cells lie.
        code: Digest of the programs that made them.
    """

    hospitals: Mapping[str, Cohort]
    slices: Mapping[str, TrainingSlices]
    folder: Path
    code: str

    @property
    def has_masks(self) -> dict[str, bool]:
        """Return for each hospital whether it trains with masks."""
        return {name: mine.has_masks for name, mine in self.slices.items()}


def open_world(
    hospitals: tuple[HospitalData, ...],
    data: Path,
    cache: Path,
    *,
    rotation: int,
    recipe: Recipe,
    name: str = "main",
    code: str = "",
) -> World:
    """Load the cohorts of one rotation."""
    cohorts = {
        hospital.name: load_cohort(
            hospital.rotated(rotation),
            data,
            size_px=recipe.size_px,
            cache=cache / "slices",
            spatial=recipe.spatial,
            signal=recipe.signal,
        )
        for hospital in hospitals
    }
    folder = cache / name / f"r{rotation}s{recipe.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    slices = {name: training_slices(cohort.train) for name, cohort in cohorts.items()}
    return World(cohorts, slices, folder, code)


def code_digest(root: Path) -> str:
    """Return a digest of the programs that decide a cell's numbers."""
    digest = hashlib.sha256()
    for package in ("model", "peer_client/ct", "peer_client/update", "peer_client/simulation"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def alone(world: World, recipe: Recipe, net: Any, hospital: str) -> None:
    """Train one hospital by itself."""
    number = list(world.hospitals).index(hospital)

    def make() -> np.ndarray:
        return train_alone(net, world.slices[hospital], recipe, number, told=tick(hospital))

    cell(world, recipe, net, f"alone-{hospital}", hospital, make)


def federated(world: World, recipe: Recipe, net: Any, tag: str = "federated") -> None:
    """Run the rounds, then read the shared model at each hospital."""
    done = all((world.folder / f"{tag}-{name}.json").exists() for name in world.hospitals)
    if done:
        return
    begun = time.time()
    state, averaging = federation_state(world, recipe, net, tag)
    while state.rounds_done < recipe.rounds:
        state = run_round(net, world.slices, state, recipe, averaging)
        keep_state(world.folder / f"{tag}-state.npz", state, averaging)
        print(world.folder.name, tag, "round", state.rounds_done, f"{time.time() - begun:.0f} s",
              flush=True)  # fmt: skip
    for name in world.hospitals:
        vector = whole_vector(net.manifest, state, name)
        extra = {}
        if averaging.losses:
            extra = {"relative_error": averaging.losses[name].relative_error,
                     "clipped": averaging.losses[name].clipped}  # fmt: skip
        cell(world, recipe, net, f"{tag}-{name}", name, lambda v=vector: v, extra)


def adapted(world: World, recipe: Recipe, net: Any, hospital: str, tag: str = "") -> None:
    """Go on from the shared model at one hospital."""
    number = list(world.hospitals).index(hospital)

    def make() -> np.ndarray:
        with np.load(world.folder / f"federated{tag}-{hospital}.npz") as stored:
            start = stored["vector"]
        return adapt(net, world.slices[hospital], start, recipe, number, told=tick(hospital))

    cell(world, recipe, net, f"adapted{tag}-{hospital}", hospital, make)


def central(world: World, recipe: Recipe, net: Any) -> None:
    """Train on all slices in one place, and read the result at each hospital."""
    vector: list[np.ndarray] = []

    def make() -> np.ndarray:
        if not vector:
            pot = list(world.slices.values())
            vector.append(train_pooled(net, pot, recipe, told=tick("central")))
        return vector[0]

    for name in world.hospitals:
        cell(world, recipe, net, f"central-{name}", name, make)


def cell(
    world: World,
    recipe: Recipe,
    net: Any,
    tag: str,
    hospital: str,
    make: Callable[[], np.ndarray],
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Make one cell, or leave the one that is there."""
    path = world.folder / f"{tag}.json"
    if path.exists():
        return
    begun, cpu = time.time(), time.process_time()
    vector = make()
    trained, cpu = time.time() - begun, time.process_time() - cpu
    set_vector(net, vector)
    cohort = world.hospitals[hospital]
    reader = reader_of(net)
    parts = {"validation": cohort.validation, "test": cohort.test}
    readings = {
        name: as_json(read_slices(reader, thinned(part, SLICES_OF_A_PATIENT)))
        for name, part in parts.items()
    }
    if not world.slices[hospital].has_masks:
        for other in foreign_masks(world, hospital):
            readings[f"masks of {other}"] = as_json(
                read_slices(reader, masks_only(world.hospitals[other].test))
            )
    document = {
        "cell": tag,
        "hospital": hospital,
        "recipe": recipe.to_dict(),
        "code": world.code,
        "seconds_training": round(trained, 1),
        "cpu_seconds_training": round(cpu, 1),
        "readings": readings,
        **(extra or {}),
    }
    np.savez(world.folder / f"{tag}.npz", vector=vector)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(document))
    temporary.replace(path)
    print(world.folder.name, tag, f"{trained:.0f} s, cpu {cpu:.0f} s", flush=True)


def foreign_masks(world: World, hospital: str) -> list[str]:
    """Return another hospital whose expert masks tell what this one's lesion map is worth."""
    return [name for name in world.hospitals if name != hospital and world.slices[name].has_masks][
        :1
    ]


def masks_only(slices: SliceSet) -> SliceSet:
    """Return the slices with masks."""
    return slices.rows(np.unique(slices.mask_index))


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


def federation_state(world: World, recipe: Recipe, net: Any, tag: str) -> tuple[Any, Any]:
    """Return where a federation stands, from its first round or from what was kept."""
    start = initial_vector(net.manifest, recipe.seed)
    shared = [spec for spec in net.manifest if spec.group != "personal"]
    averaging: Any
    if recipe.bits is None:
        averaging = FloatAverage(shared, world.has_masks)
    else:
        rng = np.random.default_rng([recipe.seed, recipe.bits, 99])
        averaging = PlainAverage(
            weights_of(net.manifest, recipe.local_steps), world.has_masks, recipe.bits, rng
        )
    state = begin(net.manifest, list(world.hospitals), start)
    path = world.folder / f"{tag}-state.npz"
    if path.exists():
        state = kept_state(path, list(world.hospitals), averaging)
        print("going on at round", state.rounds_done, "of", path, flush=True)
    assert shared_places(net.manifest).sum() == len(state.shared)
    return state, averaging


def keep_state(path: Path, state: FederationState, averaging: Any) -> None:
    """Keep a federation's state, whole or not at all."""
    arrays = {"shared": state.shared, "rounds_done": np.array(state.rounds_done)}
    for name, vector in state.personal.items():
        arrays[f"personal {name}"] = vector
    for name, mine in state.optimisers.items():
        if mine is not None:
            arrays[f"steps {name}"] = np.array(mine.steps)
            arrays[f"first {name}"], arrays[f"second {name}"] = mine.first, mine.second
    if getattr(averaging, "scales", None) is not None:
        arrays["scales"] = averaging.scales
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, **arrays)
    temporary.replace(path)


def kept_state(path: Path, hospitals: list[str], averaging: Any) -> FederationState:
    """Read what `keep_state` wrote."""
    with np.load(path) as stored:
        if "scales" in stored.files:
            averaging.scales = stored["scales"]
        optimisers: dict[str, OptimiserState | None] = {
            name: OptimiserState(
                int(stored[f"steps {name}"]), stored[f"first {name}"], stored[f"second {name}"]
            )
            for name in hospitals
        }
        personal = {name: stored[f"personal {name}"] for name in hospitals}
        return FederationState(int(stored["rounds_done"]), stored["shared"], personal, optimisers)


def tick(name: str) -> Callable[[int, int], None]:
    """Return a progress callback that prints every 60 steps."""

    def told(done: int, total: int) -> None:
        if done % 60 == 0:
            print("   ", name, done, "of", total, flush=True)

    return told


def floor(world: World) -> None:
    """Fit HOG and logistic regression at each hospital."""
    from evidence_floor import floor_readings

    for name, cohort in world.hospitals.items():
        path = world.folder / f"floor-{name}.json"
        if path.exists():
            continue
        parts = {"validation": cohort.validation, "test": cohort.test}
        thin = {key: thinned(part, SLICES_OF_A_PATIENT) for key, part in parts.items()}
        found = floor_readings(cohort.train, thin)
        document = {
            "cell": path.stem,
            "hospital": name,
            "readings": {key: as_json(reading) for key, reading in found.items()},
        }
        path.write_text(json.dumps(document))


def with_wrong_labels(world: World, hospital: str, *, share: float) -> World:
    """Return the world with a share of one hospital's training patients labelled wrongly."""
    mine = world.slices[hospital]
    labels = {who: int(label) for who, label in zip(mine.patients, mine.labels, strict=True)}
    labelled = sorted(who for who, label in labels.items() if label != UNLABELLED)
    rng = np.random.default_rng(20)
    turned = set(rng.choice(labelled, round(share * len(labelled)), replace=False).tolist())
    wrong = np.array(
        [
            1 - label if who in turned and label != UNLABELLED else label
            for who, label in zip(mine.patients, mine.labels.tolist(), strict=True)
        ]
    )
    slices = TrainingSlices(mine.images, wrong, mine.patients, mine.masks, mine.mask_images)
    return replace(world, slices={**world.slices, hospital: slices})


def network(recipe: Recipe) -> Any:
    """Build the recipe's network."""
    return build_network(recipe)
