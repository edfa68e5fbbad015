"""The table and pictures at a simulation's end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chaincode.records.round import RoundState
from chaincode.records.study import Study
from chaincode.records.terms import round_parameters
from peer_client.ct.cohort import Cohort
from peer_client.reports.report import MaskPicture, RoundRow, write_report
from peer_client.rounds.ledger_figures import in_words
from peer_client.simulation.recipe import Recipe
from peer_client.simulation.result import HospitalResult
from peer_client.simulation.setting import Setting
from peer_client.storage.study_store import write_file
from peer_client.studies.wording import RESEARCH_USE

if TYPE_CHECKING:
    from peer_client.serving.served import ServedModel
    from peer_client.simulation.rounds import SimulatedHospital

#: Validation slices with masks shown for each hospital.
SHOWN = 4
COLUMNS = ("hospital", "serves", "AUC test", "95 %", "alone", "Dice pooled", "alone", "p")


def table_rows(results: Sequence[HospitalResult]) -> list[tuple[Any, ...]]:
    """Return a row a hospital for `COLUMNS`."""
    return [
        (
            each.hospital,
            in_words(each.serves),
            each.test.auc_patient,
            f"{each.test.auc_patient_low:.2f} to {each.test.auc_patient_high:.2f}",
            each.test_alone.auc_patient,
            each.test.dice_pooled,
            each.test_alone.dice_pooled,
            each.test.permutation_p,
        )
        for each in results
    ]


def result_json(
    recipe: Recipe, results: Sequence[HospitalResult], *, encryption: bool
) -> dict[str, Any]:
    """Return the whole result as plain values."""
    return {
        "encryption": "on" if encryption else "off",
        "recipe": recipe.to_dict(),
        "hospitals": [each.to_json() for each in results],
        "use": RESEARCH_USE,
    }


def write_pages(
    setting: Setting,
    study: Study,
    hospitals: Sequence[SimulatedHospital],
    results: Sequence[HospitalResult],
    pictures: Sequence[MaskPicture],
) -> None:
    """Write result.json and the report with its pictures."""
    document = result_json(setting.recipe, results, encryption=setting.encryption)
    text = json.dumps(document, indent=1, sort_keys=True)
    write_file(setting.output / "result.json", text.encode())
    bounds = round_parameters(study).safety(len(hospitals))
    safe_against = (bounds.cheating, bounds.pooling) if setting.encryption else None
    rounds = []
    for number in range(1, study.rounds + 1):
        facts = {each.msp_id: each.store.read_facts(number) for each in hospitals}
        any_facts = next(iter(facts.values()))
        rounds.append(
            RoundRow(
                round_number=number,
                state=RoundState.PUBLISHED if setting.encryption else "averaged",
                contributors=tuple(facts),
                safe_against=safe_against,
                seconds=any_facts.get("seconds", {}),
                upload_bytes=int(any_facts.get("upload_bytes", 0)),
                metrics={msp: each.get("metrics", {}) for msp, each in facts.items()},
            )
        )
    lines = [
        f"Encryption was {'on' if setting.encryption else 'off: only integers were summed'}.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + " --- |" * len(COLUMNS),
    ]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in table_rows(results)]
    lines += ["", "Test patients of one fold: mind the intervals. Models: `models/`."]
    write_report(setting.output, "Simulation", rounds, masks=pictures, closing=lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def mask_pictures(served: ServedModel, cohort: Cohort) -> list[MaskPicture]:
    """Return some of a hospital's validation slices with masks, as its served model sees them."""
    from model.prediction import predict
    from model.weights import set_vector

    slices = cohort.validation
    if not len(slices.mask_index):
        return []
    count = min(SHOWN, len(slices.mask_index))
    places = np.linspace(0, len(slices.mask_index) - 1, count).round().astype(int)
    rows = slices.mask_index[places]
    set_vector(served.net, served.vectors[served.choice.mask_member])
    _, lesions = predict(served.net, slices.images[rows])
    return [
        MaskPicture(f"{served.hospital} {row}", slices.images[row, :, :, 0], lesion, mask)
        for row, lesion, mask in zip(rows.tolist(), lesions, slices.masks[places], strict=True)
    ]
