"""After a round a hospital serves what its validation patients say, and nothing else leaves it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peer_client.errors import SettingsError
from peer_client.rounds.context import OutOfTimeError, TrainingTask
from peer_client.rounds.ledger_figures import CANDIDATES
from peer_client.serving.choice import ADAPTED, ALONE
from peer_client.serving.in_force import predictor_in_force, served_file
from peer_client.serving.local_training import network_once
from peer_client.serving.patient import patient_answer
from peer_client.serving.predictor import open_predictor
from peer_client.serving.served import export_served
from peer_client.serving.serving import PersonalServing, ServingPlan, served_path
from peer_client.serving.starting_model import exported_shared
from peer_client.storage.study_store import ModelState, StudyStore
from peer_client.studies.study_file import initial_shared
from peer_client.update import first_scales, model_digest
from tests.support.hospitals import MSPS
from tests.support.tiny_network import cohort, study

pytestmark = pytest.mark.tensorflow
STUDY = study()
NETWORK = network_once(STUDY, 1)
MSP = MSPS[0]


class Told:
    """Remembers what was done."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def __call__(self, what: str, done: int, total: int) -> None:
        self.done.append(what)


def nobody(done: int, total: int) -> None:
    """Tell nobody."""


def serving(folder: Path, plan: ServingPlan | None = None, patients: Any = None) -> PersonalServing:
    store = StudyStore(folder)
    wanted = plan or ServingPlan(adapt_steps=2)
    return PersonalServing(STUDY, MSP, patients or cohort(0), store, NETWORK, wanted)


def task(number: int = 1, done: int = 0, start: np.ndarray | None = None) -> TrainingTask:
    return TrainingTask(number, done, initial_shared(STUDY) if start is None else start)


def moved(by: float) -> np.ndarray:
    """Return shared weights that some round might have made."""
    shared = initial_shared(STUDY)
    return (shared * np.float32(1 + by)).astype(np.float32)


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int], Told]:
    folder = tmp_path_factory.mktemp("serving")
    told = Told()
    mine = serving(folder)
    mine.train_alone(task(), nobody)
    return folder, dict(mine.serve(task(), moved(0.01), told)), told


def test_the_figures_name_every_candidate_and_what_is_served(
    chosen: tuple[Path, dict[str, int], Told],
) -> None:
    _, figures, _ = chosen
    names = {f"auc_{name}" for name in CANDIDATES[1:]}
    names |= {f"dice_{name}" for name in CANDIDATES[1:4]}
    assert set(figures) == names | {"served", "served_masks"}
    served = CANDIDATES[figures["served"]]
    assert figures[f"auc_{served}"] >= figures["auc_alone"]


def test_alone_was_trained_in_the_training_phase_and_is_not_trained_again(
    chosen: tuple[Path, dict[str, int], Told],
) -> None:
    _, _, told = chosen
    assert "train alone" not in told.done
    assert "adapt" in told.done


def test_confirming_again_gives_the_same_figures_and_trains_nothing(
    chosen: tuple[Path, dict[str, int], Told],
) -> None:
    folder, figures, _ = chosen
    told = Told()
    assert serving(folder).serve(task(), moved(0.01), told) == figures
    assert told.done == []


def test_two_hospitals_of_the_same_patients_choose_the_same(
    chosen: tuple[Path, dict[str, int], Told], tmp_path: Path
) -> None:
    assert serving(tmp_path).serve(task(), moved(0.01), Told()) == chosen[1]


def test_what_is_served_is_readable_by_its_owner_alone(
    chosen: tuple[Path, dict[str, int], Told],
) -> None:
    folder = chosen[0] / "personal" / "served"
    files = sorted(folder.iterdir())
    assert [each.name for each in files] == ["000001.json", "000001.keras", "000001.npz"]
    assert {each.stat().st_mode & 0o777 for each in files} == {0o600}


def test_predict_decides_with_what_was_chosen_after_the_model_in_force(
    chosen: tuple[Path, dict[str, int], Told],
) -> None:
    folder, figures, _ = chosen
    store = StudyStore(folder)
    predictor = predictor_in_force(STUDY, store, MSP, model_digest(moved(0.01)))

    assert predictor.served is not None
    assert predictor.served.choice.name == CANDIDATES[figures["served"]]
    assert predictor.served.training["round"] == 1
    answer = patient_answer(predictor, np.array([0.0]))
    assert answer.calibrated
    assert (answer.finding, answer.against) == ("bright", "dark")


def test_an_exported_copy_decides_as_the_served_model_does(
    chosen: tuple[Path, dict[str, int], Told], tmp_path: Path
) -> None:
    source = served_path(StudyStore(chosen[0]), 1)
    facts, files = export_served(source, tmp_path / "mine.keras")
    images = cohort(0).test.images[:4]

    copy, original = open_predictor(files[0]), open_predictor(source)

    assert [each.name for each in files] == ["mine.keras", "mine.json", "mine.npz"]
    assert facts["training"]["model_sha256"] == model_digest(moved(0.01))
    np.testing.assert_allclose(copy.read_images(images)[0], original.read_images(images)[0])


def test_no_study_starts_from_what_one_hospital_serves(
    chosen: tuple[Path, dict[str, int], Told],
) -> None:
    source = served_path(StudyStore(chosen[0]), 1)
    with pytest.raises(SettingsError, match="--federated"):
        exported_shared(source, STUDY.weights)


def test_when_the_study_has_moved_on_the_older_choice_is_not_used(
    chosen: tuple[Path, dict[str, int], Told],
) -> None:
    store = StudyStore(chosen[0])
    later = moved(0.5)
    store.write_model(ModelState(2, later, first_scales(STUDY.weights)))

    predictor = predictor_in_force(STUDY, store, MSP, model_digest(later))

    assert predictor.served is None
    assert "round 2 of tiny" in predictor.description


def test_the_parents_choice_is_kept_in_case_the_round_is_rejected(tmp_path: Path) -> None:
    mine, store = serving(tmp_path, ServingPlan(adapt_steps=0)), StudyStore(tmp_path)
    first, second, third = (moved(by) for by in (0.01, 0.02, 0.03))
    mine.serve(task(1, 0), first, Told())
    mine.serve(task(2, 1, first), second, Told())
    mine.serve(task(3, 1, first), third, Told())  # round 2 was rejected

    assert served_file(store, model_digest(first)) == served_path(store, 1)
    assert served_file(store, model_digest(second)) is None
    assert served_file(store, model_digest(third)) == served_path(store, 3)


def test_without_steps_to_adapt_the_adapted_model_is_no_candidate(tmp_path: Path) -> None:
    figures = serving(tmp_path, ServingPlan(adapt_steps=0)).serve(task(), moved(0.01), Told())
    assert f"auc_{ADAPTED}" not in figures
    assert f"auc_{ALONE}" in figures


def test_validation_patients_of_one_class_choose_nothing_and_say_so(tmp_path: Path) -> None:
    patients = cohort(0)
    validation = patients.validation
    one = replace(validation, labels=np.ones_like(validation.labels))
    mine, told = serving(tmp_path, patients=replace(patients, validation=one)), Told()

    mine.train_alone(task(), nobody)
    figures = mine.serve(task(), moved(0.01), told)

    assert figures == {"served": 0}
    assert told.done == ["all validation patients are of one class: the shared model is served"]
    assert not (tmp_path / "personal").exists()


def test_out_of_time_while_adapting_the_choice_is_between_the_others(tmp_path: Path) -> None:
    mine = serving(tmp_path)

    def late(what: str, done: int, total: int) -> None:
        if what == "adapt":
            raise OutOfTimeError

    figures = mine.serve(task(), moved(0.01), late)

    assert figures["served"] > 0
    assert {"auc_alone", "auc_federated", "auc_mixture"} <= set(figures)
    assert f"auc_{ADAPTED}" not in figures
    predictor = predictor_in_force(STUDY, StudyStore(tmp_path), MSP, model_digest(moved(0.01)))
    assert predictor.served is not None
    assert ADAPTED not in predictor.served.vectors


def test_out_of_time_before_two_candidates_were_read_nothing_is_chosen(tmp_path: Path) -> None:
    def late(what: str, done: int, total: int) -> None:
        raise OutOfTimeError

    with pytest.raises(OutOfTimeError):
        serving(tmp_path).serve(task(), moved(0.01), late)

    assert served_file(StudyStore(tmp_path), model_digest(moved(0.01))) is None


def test_a_plan_for_the_last_round_chooses_there_at_equal_steps_and_only_there(
    tmp_path: Path,
) -> None:
    mine = serving(tmp_path, ServingPlan(adapt_steps=0, only_after=1))
    mine.train_alone(task(1, 0), nobody)
    assert mine.serve(task(1, 0), moved(0.01), Told()) == {}
    assert not (tmp_path / "personal").exists()

    steps: list[int] = []
    mine.train_alone(task(2, 1), lambda done, total: steps.append(total))
    figures = mine.serve(task(2, 1), moved(0.02), Told())

    assert set(steps) == {2 * STUDY.local_steps}
    assert figures["served"] > 0
    facts = json.loads(served_path(StudyStore(tmp_path), 2).with_suffix(".json").read_text())
    assert facts["training"]["alone_steps"] == 2 * STUDY.local_steps
