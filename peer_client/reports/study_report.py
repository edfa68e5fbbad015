"""Gather a report: rounds from the ledger, seconds from the own store, masks from own patients.

Reads only. What each hospital confirmed is on the ledger and is shown as it stands there; how long
phases took is this hospital's own view.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from peer_client.audit.block_walk import AuditProgress, check_chain
from peer_client.ct.cohort import SliceSet
from peer_client.ledgers.ledger import HospitalLedger
from peer_client.reports.report import MaskPicture, RoundRow
from peer_client.rounds.ledger_figures import COUNTS
from peer_client.rounds.records import RoundRecords, read_round, read_rounds
from peer_client.storage.study_store import StudyStore

if TYPE_CHECKING:
    from model.network import SliceNetwork


def round_rows(
    ledger: HospitalLedger,
    store: StudyStore,
    study: str,
    *,
    progress: AuditProgress | None = None,
) -> list[RoundRow]:
    """Return one row for each round of a study.

    Args:
        ledger: The own peer's ledger; its blocks are walked for their sizes.
        store: The study's files here, for seconds by phase.
        study: The study.
        progress: Called while blocks are read.

    Raises:
        UnprovedBlockError: A block does not follow from what the members compared.
        ChainBrokenError: The blocks do not continue each other.
        RecordRewrittenError: A record that is written once was changed.
    """
    sizes = check_chain(ledger, study=study, progress=progress).bytes_by_round
    rows = []
    for record in read_rounds(ledger, study):
        found = read_round(ledger, study, record.round)
        if found is not None:
            rows.append(round_row(found, store, sizes.get(record.round, 0)))
    return rows


def safe_against(records: RoundRecords) -> tuple[int, int] | None:
    """Return how many hospitals may cheat, and pool, without learning more than a round's sum."""
    total = records.aggregate
    return None if total is None else (total.cheating_max, total.pooling_max)


def round_row(records: RoundRecords, store: StudyStore, ledger_bytes: int) -> RoundRow:
    """Return one round as a report shows it."""
    number = records.record.round
    return RoundRow(
        round_number=number,
        state=records.record.state,
        contributors=records.contributors,
        safe_against=safe_against(records),
        seconds=store.read_facts(number).get("seconds", {}),
        ledger_bytes=ledger_bytes,
        upload_bytes=max((each.upload_bytes for each in records.updates.values()), default=0),
        metrics={
            msp: {
                name: float(value) if name in COUNTS else value / 1e6
                for name, value in each.metrics_ppm.items()
            }
            for msp, each in records.confirmations.items()
        },
        votes={msp: each.vote for msp, each in records.confirmations.items()},
    )


def mask_pictures(net: SliceNetwork, slices: SliceSet, count: int = 8) -> list[MaskPicture]:
    """Return slices with predicted and marked lesions, spread over patients.

    Without a number beside them: what a network says of one slice is no probability of a patient.

    Args:
        net: The network with its weights.
        slices: Validation or test slices.
        count: How many at most.
    """
    from model.prediction import predict

    shown = slices.with_masks()
    title = "lesion (outline: marked)"
    if not len(shown):  # a hospital without masks: pictures of patients with the finding
        shown = slices.rows(np.flatnonzero(slices.labels == 1))
        title = "lesion (never marked here)"
    if not len(shown):
        return []
    first_of: dict[str, int] = {}
    for row, patient in enumerate(shown.patients):
        first_of.setdefault(patient, row)
    rows = sorted(first_of.values())[:count]
    chosen = shown.rows(np.array(rows, np.int64))
    _, lesions = predict(net, chosen.images)
    truth_of = dict(zip(chosen.mask_index.tolist(), chosen.masks, strict=True))
    return [
        MaskPicture(
            title,
            chosen.images[row, :, :, 0],
            lesions[row],
            truth_of.get(row),
        )
        for row in range(len(chosen))
    ]
