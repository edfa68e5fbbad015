"""Simulate a consortium: all hospitals of a file in one process, from pictures to served models.

    OUTPUT/settings.json          what is simulated; going on with other settings is refused
    OUTPUT/work/<hospital>/       each hospital's store: models by round, weights trained alone
    OUTPUT/models/<hospital>.*    what each hospital serves (peer_client.serving.served)
    OUTPUT/result.json, report.md figures on test patients, learning curves, example masks

Each step is kept as it ends, so a killed simulation goes on. Test patients are read once, after
everything was chosen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaincode.records.study import Study
from model.decision import fit_decision
from peer_client.ct.cohort import Cohort, SliceSet, load_cohort
from peer_client.ct.hospitals import HospitalData
from peer_client.evaluation.figures import part_figures
from peer_client.evaluation.readings import Reading
from peer_client.reports.report import MaskPicture
from peer_client.rounds.context import TrainingProgress
from peer_client.serving.choice import ADAPTED, ALONE, FEDERATED, choose
from peer_client.serving.local_training import (
    LocalTraining,
    built_network,
    training_slices,
    whole_vector,
)
from peer_client.serving.manifest import manifest_of
from peer_client.serving.own_models import OwnModels, Vector
from peer_client.serving.predictor import Predictor
from peer_client.serving.served import LabelScheme, ServedModel, save_served
from peer_client.simulation.errors import ResumeError
from peer_client.simulation.memory_rounds import memory_rounds
from peer_client.simulation.pages import mask_pictures, write_pages
from peer_client.simulation.result import HospitalResult
from peer_client.simulation.rounds import SimulatedHospital, Told, last_model, plain_rounds
from peer_client.simulation.setting import Setting
from peer_client.simulation.study import ordering_claim, simulated_study
from peer_client.simulation.training_threads import TrainingThreads
from peer_client.storage.study_store import StudyStore, read_file, write_file
from peer_client.studies.study_file import shared_places

if TYPE_CHECKING:
    from model.network import SliceNetwork

#: Networks that may work at the same time, the main thread's among them; TensorFlow is told once in
#: a process, so the number cannot follow `threads`.
NETWORKS_MAX = 16


def simulate(setting: Setting, told: Told) -> tuple[HospitalResult, ...]:
    """Run a simulation, or go on with it.

    Args:
        setting: What to simulate.
        told: Told (hospital, what it does, steps done, steps in all).

    Returns:
        One row a hospital.

    Raises:
        ResumeError: The output folder is of another simulation.
        IntakeError: The data cannot be used.
        RecipeError: The recipe is not one of a study.
    """
    claim_output(setting)
    study = simulated_study(setting.hospitals, setting.recipe)
    build = partial(built_network, study, 1, networks_at_once=NETWORKS_MAX)
    with TrainingThreads(build, setting.threads, told) as threads:
        told = threads.told
        cohorts = {each.name: _cohort(each, setting, told) for each in setting.hospitals}
        hospitals = tuple(
            _simulated(each, cohorts[each.name], study, setting, threads.network)
            for each in setting.hospitals
        )
        for done in _rounds(study, hospitals, setting, threads):
            told("all", f"round {done.model.round_number} of {study.rounds} done", 1, 1)
        shared = last_model(study, hospitals).weights
        manifest = manifest_of(list(cohorts.values()))

        def finish(number: int) -> tuple[HospitalResult, list[MaskPicture]]:
            data, store = setting.hospitals[number], hospitals[number].store
            cohort, net = cohorts[data.name], threads.network()
            reader = partial(_read, net, data.name, told)
            vectors = _vectors(study, setting, data, cohort, store, threads, shared)
            readings = {name: reader(name, vectors[name], cohort.validation) for name in vectors}
            served = ServedModel(
                net=net,
                hospital=data.name,
                labels=LabelScheme(data.label_positive, data.label_negative),
                choice=choose(readings),
                vectors=vectors,
                manifest=manifest,
                training=_training(setting, study),
            )
            path = setting.output / "models" / f"{data.name}.keras"
            save_served(served, path)
            test_alone = reader(ALONE, vectors[ALONE], cohort.test)
            result = _result(served, cohort, test_alone, readings, setting.output, path)
            return result, mask_pictures(served, cohort)

        finished = threads.each(finish, range(len(hospitals)))
    results = [result for result, _ in finished]
    pictures = [picture for _, mine in finished for picture in mine]
    write_pages(setting, study, hospitals, results, pictures)
    return tuple(results)


def claim_output(setting: Setting) -> None:
    """Write the settings to the output folder, or check that they are the same.

    Raises:
        ResumeError: They are not.
    """
    path = setting.output / "settings.json"
    wanted = setting.to_json()
    content = read_file(path)
    if content is None:
        write_file(path, json.dumps(wanted, indent=1, sort_keys=True).encode())
        return
    try:
        found = json.loads(content)
    except ValueError as error:
        raise ResumeError(f"{path} is damaged") from error
    different = sorted(key for key in wanted if found.get(key) != wanted[key])
    if different:
        raise ResumeError(f"{setting.output} holds a simulation with other {', '.join(different)}")


def _cohort(data: HospitalData, setting: Setting, told: Told) -> Cohort:
    return load_cohort(
        data,
        setting.folder,
        size_px=setting.recipe.size_px,
        cache=setting.cache,
        progress=lambda done, total: told(data.name, "pictures normalised", done, total),
        processes=setting.threads,
    )


def _simulated(
    data: HospitalData,
    cohort: Cohort,
    study: Study,
    setting: Setting,
    net: Callable[[], SliceNetwork],
) -> SimulatedHospital:
    store = StudyStore(setting.output / "work" / data.name)
    trainer = LocalTraining(study, data.msp_id, cohort, store, network=net)
    return SimulatedHospital(data.name, data.msp_id, trainer, store, data.has_masks)


def _rounds(
    study: Study,
    hospitals: tuple[SimulatedHospital, ...],
    setting: Setting,
    threads: TrainingThreads,
) -> Any:
    if setting.encryption:
        claim = ordering_claim(setting.hospitals)
        return memory_rounds(study, hospitals, claim, threads.told, start=datetime.now(UTC))
    return plain_rounds(study, hospitals, threads.told, threads.each)


def _vectors(
    study: Study,
    setting: Setting,
    data: HospitalData,
    cohort: Cohort,
    store: StudyStore,
    threads: TrainingThreads,
    shared: Vector,
) -> dict[str, Vector]:
    """Return the weights of every model of a hospital; what is in its files is not trained again.

    The model trained alone takes as many steps as the adapted one did in rounds and after them.
    """

    def telling(what: str) -> TrainingProgress:
        return lambda done, total: threads.told(data.name, what, done, total)

    steps = setting.recipe.adapt_steps
    slices = training_slices(cohort.train)
    own = OwnModels(
        study, data.msp_id, slices, store.personal_folder, threads.network, extra_steps=steps
    )
    federated = whole_vector(study, store, shared_places(study.weights), shared)
    vectors = {ALONE: own.alone(study.rounds, telling("alone")), FEDERATED: federated}
    if steps:
        vectors[ADAPTED] = own.adapted(federated, study.rounds, steps, telling("adapt"))
    return vectors


def _read(
    net: SliceNetwork, hospital: str, told: Told, name: str, vector: Vector, slices: SliceSet
) -> Reading:
    """Let one model read slices."""
    from model.weights import set_vector

    set_vector(net, vector)
    reading = Predictor(name, net, None).read(slices)
    told(hospital, f"{name} read {len(slices)} slices", 1, 1)
    return reading


def _training(setting: Setting, study: Study) -> dict[str, Any]:
    return {
        "recipe": setting.recipe.to_dict(),
        "encryption": "on" if setting.encryption else "off",
        "study_sha256": study.sha256,
        "hospitals": [each.name for each in setting.hospitals],
    }


def _result(
    served: ServedModel,
    cohort: Cohort,
    test_alone: Reading,
    validation: Mapping[str, Reading],
    output: Path,
    path: Path,
) -> HospitalResult:
    """Read the test patients, once, and compute the figures."""
    predictor = Predictor(served.hospital, served.net, served)
    reading = predictor.read(cohort.test)
    mine = validation[ALONE]
    own = fit_decision(mine.patients, mine.logits, mine.labels)
    return HospitalResult(
        hospital=served.hospital,
        serves=served.choice.name,
        auc_validation=served.choice.auc_validation,
        dice_validation=served.choice.dice_validation,
        test=part_figures(
            "test",
            reading,
            decision=served.choice.decision,
        ),
        test_alone=part_figures("test", test_alone, decision=own),
        model=path.relative_to(output).as_posix(),
    )
