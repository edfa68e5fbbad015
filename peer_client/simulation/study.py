"""The study that a simulation's hospitals would have agreed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chaincode.memory_ledger import memory_genesis_sha256
from chaincode.records.study import Study
from model.config import CapsNetConfig
from peer_client.ct.hospitals import HospitalData
from peer_client.ledgers.ledger import OrderingClaim
from peer_client.simulation.recipe import Recipe
from peer_client.storage.study_store import ModelState
from peer_client.studies.study_file import StudyHospitalEntry, StudyPlan, study_of
from peer_client.update import model_digest
from peer_client.update.tensors import NANO

NAME: Final = "simulation"
#: A simulation's clock moves only while every hospital waits, so these never pass by themselves.
DEADLINE_S: Final = 3600
#: Name of the in-memory channel.
CHANNEL: Final = "simulation"
#: Byzantine ordering needs four nodes; a consortium of three hospitals has an authority's.
NODES_MIN: Final = 4


def simulated_study(hospitals: Sequence[HospitalData], recipe: Recipe) -> Study:
    """Return the terms of a simulation.

    Args:
        hospitals: The hospitals of the file.
        recipe: How they train.

    Raises:
        ParameterError: Too few hospitals, or bits that do not make a safe encryption.
    """
    plan = StudyPlan(
        name=NAME,
        title="Simulation",
        network=CapsNetConfig(size_px=recipe.size_px),
        label_positive=hospitals[0].label_positive,
        hospitals=tuple(
            StudyHospitalEntry(each.member, each.has_masks, each.label_negative)
            for each in hospitals
        ),
        bits=recipe.bits,
        threshold=None,
        contributors_min=None,
        rounds=recipe.rounds,
        local_steps=recipe.local_steps,
        seed=recipe.seed,
        join_s=DEADLINE_S,
        submit_s=DEADLINE_S,
        answer_s=DEADLINE_S,
        # Every round's model is taken, so that encryption on and off do the same.
        gate_margin_ppm=1_000_000,
    )
    return study_of(plan, ordering_claim(hospitals), genesis_sha256=memory_genesis_sha256(CHANNEL))


def ordering_claim(hospitals: Sequence[HospitalData]) -> OrderingClaim:
    """Return how a consortium of these hospitals is ordered."""
    names = tuple(each.msp_id for each in hospitals)
    spare = tuple(f"authority{n}MSP" for n in range(max(0, NODES_MIN - len(names))))
    return OrderingClaim("BFT", names + spare)


def continued(study: Study, model: ModelState) -> Study:
    """Return the terms of a study's remaining rounds, starting from a model that is there.

    Args:
        study: The terms from round 1.
        model: Of the last round that was finished.
    """
    nano: NDArray[np.int64] = np.maximum(np.rint(model.scales * NANO).astype(np.int64), 1)
    scales = iter(nano.tolist())
    from chaincode.records.study import weights_digest

    weights = tuple(
        weight if weight.group == "personal" else replace(weight, clip_nano=next(scales))
        for weight in study.weights
    )
    return replace(
        study,
        rounds=study.rounds - model.round_number,
        weights=weights,
        weights_sha256=weights_digest(weights),
        initial_model_sha256=model_digest(model.weights),
    )
