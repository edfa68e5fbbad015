"""The federated rounds of a simulation, one after the other, kept so that a kill costs one round.

Encryption off: each hospital's trainer takes its steps, and the round's integers are summed and
applied by the clients' own code (`peer_client.simulation.averaging`). Encryption on: the same
trainers sit behind complete clients over a ledger in memory
(`peer_client.simulation.memory_rounds`). Rounding noise aside, both give the same models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chaincode.records.study import Study
from peer_client.rounds.context import Trainer, TrainingProgress, TrainingTask
from peer_client.simulation.averaging import PlainAverage
from peer_client.storage.study_store import ModelState, StudyStore
from peer_client.studies.study_file import initial_shared
from peer_client.update import QuantisationReport, first_scales

#: Told (hospital, what it does, steps done, steps in all).
Told = Callable[[str, str, int, int], None]
#: Turns (study, who has masks by MSP, model, weights by MSP after their steps) into the next model,
#: and says what quantising took from each hospital's update.
Average = Callable[
    [Study, Mapping[str, bool], ModelState, Mapping[str, NDArray[np.float32]]],
    tuple[ModelState, Mapping[str, QuantisationReport]],
]
#: Does something for each hospital and returns what was found, in their order.
Each = Callable[[Callable[["SimulatedHospital"], Any], Sequence["SimulatedHospital"]], list[Any]]


@dataclass(frozen=True, slots=True)
class SimulatedHospital:
    """One hospital of a simulation.

    Attributes:
        name: Name in tables.
        msp_id: Its MSP.
        trainer: Its patients and network.
        store: Its files.
        has_masks: Whether it has masks.
    """

    name: str
    msp_id: str
    trainer: Trainer
    store: StudyStore
    has_masks: bool


@dataclass(frozen=True, slots=True)
class RoundDone:
    """A finished round.

    Attributes:
        model: The shared model it made.
        metrics: By MSP, as fractions: `auc_after` and others on validation patients.
        upload_bytes: Of one hospital; 0 without encryption.
        seconds: By phase, of the hospital that took longest in it; empty without encryption.
    """

    model: ModelState
    metrics: Mapping[str, Mapping[str, float]]
    upload_bytes: int
    seconds: Mapping[str, float]


def last_model(
    study: Study, hospitals: tuple[SimulatedHospital, ...], first: ModelState | None = None
) -> ModelState:
    """Return the newest model that every hospital has, the first one if there is none.

    Args:
        study: The terms.
        hospitals: All hospitals.
        first: The model before round 1; None takes the study's own.
    """
    common = set.intersection(*(set(each.store.model_rounds()) for each in hospitals))
    if common:
        model = hospitals[0].store.read_model(max(common))
        if model is not None:
            return model
    return first or ModelState(0, initial_shared(study), first_scales(study.weights))


def one_by_one(
    act: Callable[[SimulatedHospital], Any], hospitals: Sequence[SimulatedHospital]
) -> list[Any]:
    """Do something for each hospital, one after the other."""
    return [act(each) for each in hospitals]


def quantised_average(
    study: Study,
    has_masks: Mapping[str, bool],
    model: ModelState,
    after: Mapping[str, NDArray[np.float32]],
) -> tuple[ModelState, Mapping[str, QuantisationReport]]:
    """Average as clients do, without the encryption; the round's number decides the noise.

    Args:
        study: The terms.
        has_masks: By MSP, whether a hospital has masks.
        model: Before the round.
        after: By MSP, shared weights after a hospital's steps, float32, shape `(parameters,)`.

    Returns:
        The next model, and what quantising took, by MSP.
    """
    number = model.round_number + 1
    noise = np.random.default_rng([study.seed, number])
    average = PlainAverage(study.weights, has_masks, study.bits, noise, model.scales)
    shared = average.apply(model.weights, after)
    following = average.scales if average.scales is not None else model.scales
    return ModelState(number, shared, following), average.losses


def plain_rounds(
    study: Study,
    hospitals: tuple[SimulatedHospital, ...],
    told: Told,
    for_each: Each = one_by_one,
    *,
    average: Average = quantised_average,
    first: ModelState | None = None,
    judging: bool = True,
) -> Iterator[RoundDone]:
    """Run the rounds that are missing without encryption; yield each as it ends.

    Args:
        study: The terms.
        hospitals: All hospitals.
        told: Told how far each hospital is.
        for_each: Lets hospitals work, one by one or at the same time.
        average: How the hospitals' weights become the next model.
        first: The model before round 1, for a network that the study's terms do not describe; None
            takes the study's own.
        judging: Whether each round's model is judged on validation patients.
    """
    model = last_model(study, hospitals, first)
    has_masks = {each.msp_id: each.has_masks for each in hospitals}
    while model.round_number < study.rounds:
        number = model.round_number + 1
        task = TrainingTask(number, model.round_number, model.weights)
        vectors = for_each(partial(_trained, task, told), hospitals)
        after = {each.msp_id: vector for each, vector in zip(hospitals, vectors, strict=True)}
        model, losses = average(study, has_masks, model, after)
        metrics: dict[str, dict[str, float]] = {each.msp_id: {} for each in hospitals}
        if judging:
            judged = for_each(partial(_judged, task, model.weights), hospitals)
            metrics = {each.msp_id: found for each, found in zip(hospitals, judged, strict=True)}
        for each in hospitals:
            facts: dict[str, Any] = {"metrics": metrics[each.msp_id]}
            if each.msp_id in losses:
                facts["quantised"] = asdict(losses[each.msp_id])
            each.store.write_facts(number, facts)
            each.store.write_model(model)
            each.store.forget_upload(number)
        yield RoundDone(model, metrics, 0, {})


def _trained(task: TrainingTask, told: Told, each: SimulatedHospital) -> NDArray[np.float32]:
    """Return a hospital's weights after its steps of a round, from its files if they are there."""
    number = task.round_number
    trained = each.store.read_trained(number)
    if trained is None:
        trained = each.trainer.train(task, _telling(told, each.name, number))
        each.store.write_trained(number, trained)
    return trained


def _judged(
    task: TrainingTask, shared: NDArray[np.float32], each: SimulatedHospital
) -> dict[str, float]:
    """Return a hospital's metrics of a round's model."""
    return fractions(each.trainer.metrics_ppm(task, shared))


def _telling(told: Told, name: str, number: int) -> TrainingProgress:
    return lambda done, total: told(name, f"round {number}", done, total)


def fractions(ppm: Mapping[str, int]) -> dict[str, float]:
    """Return metrics in millionths as fractions; counts stay.

    >>> fractions({"auc_after": 750000, "validation_patients": 20})
    {'auc_after': 0.75, 'validation_patients': 20.0}
    """
    return {
        name: value / 1e6 if name.endswith(("_before", "_after")) else float(value)
        for name, value in ppm.items()
    }
