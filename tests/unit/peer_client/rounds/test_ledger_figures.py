"""What leaves a hospital of its validation patients: two decimals, no bounds, nothing of few."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chaincode.records.figures import NUMBERS, STEP_PPM, vote_of
from peer_client.rounds.context import TrainingTask
from peer_client.rounds.ledger_figures import (
    COUNTS,
    MASKED,
    NEGATIVE,
    PATIENTS_MIN,
    POSITIVE,
    ledger_ppm,
)
from tests.support.hospitals import MSPS, MemoryConsortium, TargetTrainer, played_round

EXACT = {
    "auc_before": 812_345, "auc_low_before": 700_000, "auc_high_before": 900_000,
    "auc_after": 837_654, "auc_low_after": 720_000, "auc_high_after": 910_000,
    "dice_before": 512_345, "dice_after": 520_001,
    "auc_alone": 799_999, "dice_alone": 401_000, "served": 4, "served_masks": 1,
    "validation_patients": 40, POSITIVE: 20, NEGATIVE: 20, MASKED: 12,
}  # fmt: skip


def test_figures_leave_with_two_decimals_and_without_bounds_or_counts_by_class() -> None:
    assert ledger_ppm(EXACT) == {
        "auc_before": 810_000, "auc_after": 840_000, "dice_before": 510_000,
        "dice_after": 520_000, "auc_alone": 800_000, "dice_alone": 400_000,
        "served": 4, "served_masks": 1, "validation_patients": 40,
    }  # fmt: skip


@pytest.mark.parametrize("few", [POSITIVE, NEGATIVE])
def test_no_figure_leaves_where_a_class_has_fewer_than_ten_patients(few: str) -> None:
    assert ledger_ppm({**EXACT, few: PATIENTS_MIN - 1}) == {}
    assert ledger_ppm({**EXACT, few: PATIENTS_MIN}) != {}
    unknown = {name: value for name, value in EXACT.items() if name != few}
    assert ledger_ppm(unknown) == {}


def test_no_dice_leaves_of_fewer_than_ten_patients_with_masks() -> None:
    left = ledger_ppm({**EXACT, MASKED: PATIENTS_MIN - 1})

    assert not [name for name in left if name.startswith("dice")]
    assert left["auc_after"] == 840_000


def test_client_and_contract_mean_the_same_by_a_figure() -> None:
    assert STEP_PPM == 10_000
    assert {"served", "served_masks", "validation_patients"} == NUMBERS
    assert COUNTS - {POSITIVE, NEGATIVE, MASKED} == NUMBERS


@pytest.mark.parametrize(("after", "vote"), [(760_000, 1), (750_000, 1), (740_000, 0)])
def test_the_vote_follows_from_the_margin(after: int, vote: int) -> None:
    assert vote_of({"auc_before": 800_000, "auc_after": after}, 50_000) == vote


@dataclass(slots=True)
class FewPatients(TargetTrainer):
    """Judges on nine patients of a class, and exactly."""

    kept: dict[str, int] = field(default_factory=dict)

    def metrics_ppm(self, task: TrainingTask, after: object) -> Mapping[str, int]:
        return {"auc_before": 812_345, "auc_after": 712_345, POSITIVE: 9, NEGATIVE: 30}


def test_a_hospital_with_few_patients_states_its_vote_alone_and_keeps_its_figures(
    tmp_path: Path,
) -> None:
    consortium = MemoryConsortium(tmp_path)
    consortium.agree()
    consortium.trainers[MSPS[0]] = FewPatients(0.0)

    records = played_round(consortium, 1)

    mine = records.confirmations[MSPS[0]]
    assert (mine.metrics_ppm, mine.vote) == ({}, 0)
    assert records.record.state == "PUBLISHED"
    facts = consortium.store(MSPS[0]).read_facts(1)
    assert facts["metrics_ppm"]["auc_after"] == 712_345
    assert facts["vote"] == 0
    assert records.confirmations[MSPS[1]].metrics_ppm["auc_after"] == 800_000
    consortium.close()
