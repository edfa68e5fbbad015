"""Each hospital's choice and its validation figures stand on the ledger, and change no vote."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from chaincode.records.figures import STEP_PPM
from peer_client.ledgers.ledger import query
from peer_client.reports.report import served_cells
from peer_client.reports.status import study_status
from peer_client.reports.study_report import round_row
from peer_client.rounds.context import ServingProgress, TrainingProgress, TrainingTask
from peer_client.rounds.ledger_figures import CANDIDATES, served_text
from peer_client.serving.in_force import predictor_in_force
from peer_client.serving.local_training import LocalTraining, network_once
from peer_client.serving.serving import PersonalServing, ServingPlan
from peer_client.studies.study import read_study
from peer_client.studies.study_file import initial_shared
from tests.support.hospitals import MSPS, Consortium, FabricConsortium, MemoryConsortium, play
from tests.support.tiny_network import cohort, study

pytestmark = pytest.mark.tensorflow
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module", params=["memory", pytest.param("fabric", marks=pytest.mark.fabric)])
def chosen(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Consortium]:
    """Return hospitals after one round in which each trained, adapted and chose."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    folder = tmp_path_factory.mktemp("chosen")
    name = f"tiny{os.getpid()}-{next(NUMBERS)}"
    # On a network time is real, and one process trains for four hospitals.
    terms = study(name=name, deadline_s=60 if request.param == "memory" else 300)
    made: Consortium
    if request.param == "memory":
        made = MemoryConsortium(folder, terms)
    else:
        network = request.getfixturevalue("network")
        directories = {
            member.msp_id: network.member(member.name) for member in network.topology.hospitals
        }
        made = FabricConsortium(folder, terms, directories, request.getfixturevalue("ledgers"))
    network_of_all = network_once(terms, 1)
    made.agree()
    parts = {}
    for number, msp in enumerate(MSPS):
        patients = cohort(number, masks=terms.hospitals[number].has_masks == 1)
        store = made.store(msp)
        made.trainers[msp] = LocalTraining(terms, msp, patients, store, network=network_of_all)  # type: ignore[assignment]
        plan = ServingPlan(adapt_steps=2)
        serving = PersonalServing(terms, msp, patients, store, network_of_all, plan)
        parts[msp] = made.part(msp, 1, initial=lambda: initial_shared(terms), serving=serving)
    play(made, parts)
    yield made
    made.close()


def test_every_hospitals_choice_and_figures_stand_on_the_ledger(chosen: Consortium) -> None:
    records = chosen.records(1)

    assert records.record.state == "PUBLISHED"
    for msp in MSPS:
        metrics = records.confirmations[msp].metrics_ppm
        served = CANDIDATES[metrics["served"]]
        assert metrics[f"auc_{served}"] >= metrics["auc_alone"]
        assert {"auc_federated", "auc_adapted", "auc_mixture"} <= set(metrics)
        assert ("dice_adapted" in metrics) == (msp != MSPS[1])
        found = query(chosen.ledger(MSPS[-1]), "hospital", msp)
        mine = next(each for each in found["studies"] if each["study"] == chosen.study.study)
        assert served_text(mine["rounds"][0]["metrics_ppm"]).startswith(served)

        predictor = predictor_in_force(
            chosen.study, chosen.store(msp), msp, records.record.model_sha256
        )
        assert predictor.served is not None
        assert predictor.served.choice.name == served


def test_the_vote_follows_from_the_shared_model_alone(chosen: Consortium) -> None:
    margin = chosen.study.gate_margin_ppm
    for confirmation in chosen.records(1).confirmations.values():
        metrics = confirmation.metrics_ppm
        wanted = metrics["auc_after"] >= metrics["auc_before"] - margin
        assert confirmation.vote == int(wanted)


def test_status_says_what_this_hospital_serves_and_why(chosen: Consortium) -> None:
    ledger, store = chosen.ledger(MSPS[0]), chosen.store(MSPS[0])

    found = study_status(
        ledger,
        store,
        read_study(ledger, chosen.study.study),
        chosen.agreement(MSPS[0]),
    )

    metrics = chosen.records(1).confirmations[MSPS[0]].metrics_ppm
    assert found["serves"].startswith(served_text(metrics).split()[0])
    assert abs(found["choice_ppm"]["auc_alone"] - metrics["auc_alone"]) <= STEP_PPM / 2
    assert "auc_after" not in found["choice_ppm"]


def test_a_report_has_a_line_for_each_hospital(chosen: Consortium) -> None:
    row = round_row(chosen.records(1), chosen.store(MSPS[0]), 0)

    head, rows = served_cells([row])

    assert head[0] == "hospital"
    assert [cells[0] for cells in rows] == [msp.removesuffix("MSP") for msp in MSPS]
    assert all(cells[1] == "1" and "AUC" in cells[3] for cells in rows)


class SlowServing:
    """A hospital whose own models take longer than any phase; the clock runs while it works."""

    def __init__(self, consortium: Consortium) -> None:
        self.consortium = consortium
        self.steps: list[int] = []

    def _work(self, progress: TrainingProgress) -> None:
        for step in range(1, 100):
            self.steps.append(step)
            self.consortium.clock.forward(5.0)
            progress(step, 100)

    def train_alone(self, task: TrainingTask, progress: TrainingProgress) -> None:
        self._work(progress)

    def serve(
        self, task: TrainingTask, shared: np.ndarray, progress: ServingProgress
    ) -> Mapping[str, int]:
        self._work(lambda done, total: progress("adapt", done, total))
        return {"served": 1}


def test_a_hospital_whose_own_models_take_too_long_fails_no_round(memory: Consortium) -> None:
    slow = SlowServing(memory)
    parts = memory.parts(1)
    parts[MSPS[0]] = memory.part(MSPS[0], 1, serving=slow)

    play(memory, parts)

    records = memory.records(1)
    assert records.record.state == "PUBLISHED"
    assert records.contributors == MSPS
    assert set(records.confirmations) == set(MSPS)
    assert records.confirmations[MSPS[0]].metrics_ppm["served"] == 0
    # Twice, in the training phase and before confirming, it stopped in time.
    assert slow.steps.count(1) == 2
    assert max(slow.steps) * 5 <= memory.study.deadlines_s.submit
