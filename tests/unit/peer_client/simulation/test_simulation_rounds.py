"""Simulated rounds: encryption changes nothing but rounding noise, and a kill costs one round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from chaincode.memory_ledger import memory_genesis_sha256
from chaincode.records.study import (
    Architecture,
    Deadlines,
    Ordering,
    Study,
    StudyHospital,
    Weight,
    weights_digest,
)
from peer_client.ledgers.ledger import OrderingClaim
from peer_client.rounds.context import TrainingProgress, TrainingTask
from peer_client.simulation import rounds as simulation_rounds
from peer_client.simulation.memory_rounds import memory_rounds
from peer_client.simulation.rounds import SimulatedHospital, plain_rounds
from peer_client.simulation.study import CHANNEL, continued
from peer_client.storage.study_store import ModelState, StudyStore
from peer_client.update import first_scales, model_digest

WEIGHTS = (
    Weight("encoder/kernel", (30, 10), "all", 500_000_000),
    Weight("decoder/kernel", (20,), "masks", 500_000_000),
)
START = np.linspace(-1, 1, 320, dtype=np.float32)
MSPS = ("EastMSP", "NorthMSP", "SouthMSP", "WestMSP")
ORDERING = OrderingClaim("BFT", MSPS)
NOW = datetime(2027, 1, 1, tzinfo=UTC)


@dataclass
class Target:
    """Moves a tenth of the way to its target; counts what it was asked."""

    target: float
    asked: list[tuple[int, int]] = field(default_factory=list)

    def train(self, task: TrainingTask, progress: TrainingProgress) -> NDArray[np.float32]:
        self.asked.append((task.round_number, task.rounds_done))
        progress(1, 1)
        moved: NDArray[np.float32] = task.start + np.float32(0.1) * (self.target - task.start)
        return moved.astype(np.float32)

    def metrics_ppm(self, task: TrainingTask, after: NDArray[np.float32]) -> Mapping[str, int]:
        return {"auc_before": 700_000, "auc_after": 800_000}


@pytest.fixture
def study() -> Study:
    return Study(
        genesis_sha256=memory_genesis_sha256(CHANNEL),
        study="simulation",
        title="Simulation",
        architecture=Architecture("test", {}),
        label_scheme={"positive": "COVID-19"},
        hospitals=tuple(
            StudyHospital(msp, point, int(point < 4), "other")
            for point, msp in enumerate(MSPS, start=1)
        ),
        ordering=Ordering("BFT", 4),
        bits=12,
        threshold=3,
        contributors_min=3,
        rounds=2,
        local_steps=4,
        seed=1,
        weights=WEIGHTS,
        weights_sha256=weights_digest(WEIGHTS),
        initial_model_sha256=model_digest(START),
        deadlines_s=Deadlines(60, 60, 60),
        gate_margin_ppm=1_000_000,
    )


@pytest.fixture(autouse=True)
def _initial(monkeypatch: pytest.MonkeyPatch) -> None:
    """The study's network is none that a program could draw."""
    monkeypatch.setattr(simulation_rounds, "initial_shared", lambda study: START)


def hospitals(folder: Path) -> tuple[SimulatedHospital, ...]:
    return tuple(
        SimulatedHospital(msp, msp, Target(float(number)), StudyStore(folder / msp), number < 3)
        for number, msp in enumerate(MSPS)
    )


def told(hospital: str, what: str, done: int, total: int) -> None:
    """Tell nobody."""


def test_plain_rounds_move_to_the_mean_of_the_targets(tmp_path: Path, study: Study) -> None:
    done = list(plain_rounds(study, hospitals(tmp_path), told))
    assert [each.model.round_number for each in done] == [1, 2]
    expected = START + 0.1 * (1.5 - START)
    assert done[0].model.weights[:300] == pytest.approx(expected[:300], abs=2e-3)
    masked = START + 0.1 * (1.0 - START)  # three hospitals have masks
    assert done[0].model.weights[300:] == pytest.approx(masked[300:], abs=2e-3)
    assert done[0].metrics["EastMSP"]["auc_after"] == 0.8


def test_encrypted_and_plain_rounds_give_the_same_models(tmp_path: Path, study: Study) -> None:
    plain = list(plain_rounds(study, hospitals(tmp_path / "plain"), told))
    sealed = list(memory_rounds(study, hospitals(tmp_path / "sealed"), ORDERING, told, start=NOW))
    for one, other in zip(plain, sealed, strict=True):
        assert one.model.weights == pytest.approx(other.model.weights, abs=2e-3)
        assert one.model.scales == pytest.approx(other.model.scales, rel=0.02)
    assert sealed[0].upload_bytes > 0


def test_a_killed_simulation_goes_on_with_the_round_it_was_in(tmp_path: Path, study: Study) -> None:
    whole = list(plain_rounds(study, hospitals(tmp_path / "whole"), told))
    first = plain_rounds(study, hospitals(tmp_path / "cut"), told)
    next(first)
    first.close()
    again = hospitals(tmp_path / "cut")
    rest = list(plain_rounds(study, again, told))
    assert [each.model.round_number for each in rest] == [2]
    assert (rest[0].model.weights == whole[1].model.weights).all()
    trainer = again[0].trainer
    assert isinstance(trainer, Target)
    assert trainer.asked == [(2, 1)]


def test_a_hospital_that_had_trained_is_not_asked_again(tmp_path: Path, study: Study) -> None:
    everybody = hospitals(tmp_path)
    everybody[0].store.write_trained(1, START)
    next(plain_rounds(study, everybody, told))
    trainer = everybody[0].trainer
    assert isinstance(trainer, Target)
    assert trainer.asked == []


def test_an_encrypted_simulation_goes_on_on_a_new_channel(tmp_path: Path, study: Study) -> None:
    first = memory_rounds(study, hospitals(tmp_path), ORDERING, told, start=NOW)
    next(first)
    first.close()
    again = hospitals(tmp_path)
    rest = list(memory_rounds(study, again, ORDERING, told, start=NOW))
    assert [each.model.round_number for each in rest] == [2]
    trainer = again[0].trainer
    assert isinstance(trainer, Target)
    assert trainer.asked == [(2, 1)]  # the study's own count, not the channel's


def test_a_finished_simulation_does_nothing(tmp_path: Path, study: Study) -> None:
    list(plain_rounds(study, hospitals(tmp_path), told))
    assert list(plain_rounds(study, hospitals(tmp_path), told)) == []
    assert list(memory_rounds(study, hospitals(tmp_path), ORDERING, told, start=NOW)) == []


def test_a_continued_study_starts_from_the_model_that_is_there(study: Study) -> None:
    model = ModelState(1, START * 2, first_scales(study.weights) * 3)
    terms = continued(study, model)
    assert terms.rounds == 1
    assert terms.initial_model_sha256 == model_digest(START * 2)
    assert first_scales(terms.weights) == pytest.approx(model.scales)
    assert replace(terms, weights=study.weights).weights_sha256 != study.weights_sha256
