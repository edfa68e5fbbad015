"""A tiny capsule network, a study of it, and hospitals' slices that it can learn in a few steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from chaincode.memory_ledger import memory_genesis_sha256
from chaincode.records.study import (
    Architecture,
    Deadlines,
    Ordering,
    Study,
    StudyHospital,
    weights_digest,
)
from model.config import CapsNetConfig
from model.weights import specs
from peer_client.ct.cohort import Cohort, SliceSet
from peer_client.studies.study_file import architecture_config, initial_shared, weights_of
from peer_client.update import model_digest
from tests.support.hospitals import CHANNEL, MSPS

SIZE = 32
NETWORK = CapsNetConfig(
    size_px=SIZE,
    stem_channels=8,
    stage_channels=16,
    capsule_types=4,
    primary_size=4,
    deep_size=4,
    decoder_size=4,
    personal=("class_capsules",),
)


def study(*, name: str = "tiny", deadline_s: int = 60) -> Study:
    weights = weights_of(specs(NETWORK), 2)
    unfinished = Study(
        study=name,
        genesis_sha256=memory_genesis_sha256(CHANNEL),
        title="A tiny network",
        architecture=Architecture("capsnet", architecture_config(NETWORK)),
        label_scheme={"positive": "bright"},
        hospitals=tuple(
            StudyHospital(msp, point, int(point != 2), "dark")
            for point, msp in enumerate(MSPS, start=1)
        ),
        ordering=Ordering("BFT", 4),
        bits=8,
        threshold=3,
        contributors_min=3,
        rounds=2,
        local_steps=4,
        seed=5,
        weights=weights,
        weights_sha256=weights_digest(weights),
        initial_model_sha256="0" * 64,
        deadlines_s=Deadlines(deadline_s, deadline_s, deadline_s),
        gate_margin_ppm=1_000_000,
    )
    digest = model_digest(initial_shared(unfinished))
    return replace(unfinished, initial_model_sha256=digest)


def slices(seed: int, patients: int = 6, *, masks: bool = True) -> SliceSet:
    """Return three slices of each patient; the bright square is the finding, and its mask."""
    rng = np.random.default_rng(seed)
    count = 3 * patients
    images = rng.uniform(0.2, 0.4, (count, SIZE, SIZE, 1)).astype(np.float32)
    labels = np.repeat(np.arange(patients) % 2, 3).astype(np.int64)
    images[labels == 1, 8:16, 8:16] += np.float32(0.5)
    marked = np.flatnonzero(labels == 1) if masks else np.zeros(0, np.int64)
    drawn = np.zeros((len(marked), SIZE, SIZE), np.uint8)
    drawn[:, 8:16, 8:16] = 1
    names = tuple(f"p{seed}-{patient}" for patient in range(patients) for _ in range(3))
    return SliceSet(
        images=images,
        labels=labels,
        patients=names,
        files=tuple(f"{name}-{n}" for n, name in enumerate(names)),
        parts=("part",) * count,
        masks=drawn,
        mask_index=marked,
        lung_found=np.ones(count, np.bool_),
        digests=np.zeros((count, 32), np.uint8),
        fingerprints=np.zeros((count, 32), np.uint8),
    )


def cohort(number: int, *, masks: bool = True) -> Cohort:
    """Return one hospital's patients; for validation enough that figures of them may leave it."""
    return Cohort(
        hospital=None,  # type: ignore[arg-type] - only the slices are read
        train=slices(10 + number, masks=masks),
        validation=slices(20 + number, 20, masks=masks),
        test=slices(30 + number, masks=masks),
    )
