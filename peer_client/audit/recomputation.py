"""What an auditor proves of a study: its lineage, and every model from the initial one.

Records are read out of the blocks that `peer_client.audit.block_walk` has walked, never asked of a
chaincode. `recompute` walks a study's rounds: each sum is added again from the own peer's chunks,
or taken from a bundle (the summed ciphertext a hospital kept), and compared with the digests in the
records; it is opened under the recorded key; the model it gives must have the digest that was
published. `compare_answer` asks the own peer's chaincode as well, and names the first difference.
Nothing is repaired: a difference raises. A round whose bundle is nowhere to be had is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chaincode.records import keys, register
from chaincode.records.errors import UnknownStudyError
from chaincode.records.round import Aggregate, Round
from chaincode.records.study import Study
from chaincode.records.terms import round_parameters
from peer_client.audit.block_records import BlockRecords
from peer_client.audit.block_walk import AuditProgress, BlockAudit
from peer_client.errors import (
    AnswerContradictedError,
    BundleMissingError,
    ChainBrokenError,
    SumMismatchError,
)
from peer_client.ledgers.ledger import HospitalLedger, query
from peer_client.rounds import lineage
from peer_client.rounds.records import RoundRecords, records_from
from peer_client.rounds.sums import (
    Residues,
    add_contributions,
    check_sum,
    read_contributions,
    sum_from_bytes,
)
from peer_client.sealing.errors import OpeningError
from peer_client.storage.study_store import ModelState, read_file
from peer_client.studies.own_agreement import check_genesis

#: How often the chaincode is asked again where its answer is not that of the blocks. A peer writes
#: a block down before its state, and others go on meanwhile.
_ASKED_AGAIN: Final = 20
_PAUSE_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class RoundCheck:
    """One round of a recomputed lineage.

    Attributes:
        round_number: From 1.
        state: Its state on the ledger.
        source: Where its sum came from: "chunks", "bundle", or "none" for a round without a model.
        parent_sha256: The model it started from.
        model_sha256: The model recomputed; equal to the published one. Empty without a model.
        contributors: MSPs in the sum.
    """

    round_number: int
    state: str
    source: str
    parent_sha256: str
    model_sha256: str
    contributors: tuple[str, ...]


def proved_lineage(records: BlockRecords, study: str) -> dict[str, Any]:
    """Return the chain of models as the blocks have it, in the form of the `lineage` query.

    Args:
        records: Read out of the blocks.
        study: The study.

    Raises:
        UnknownStudyError: The blocks have no such study.
    """
    terms = register.study(records, study)
    return {
        "study": terms.study,
        "study_sha256": terms.sha256,
        "initial_model_sha256": terms.initial_model_sha256,
        "rounds": [_link(records, each) for each in register.rounds(records, study)],
    }


def _link(records: BlockRecords, record: Round) -> dict[str, Any]:
    total = register.found(records, Aggregate, keys.aggregate(record.study, record.round))
    return {
        "study": record.study,
        "round": record.round,
        "state": record.state,
        "parent_sha256": record.parent_sha256,
        "model_sha256": record.model_sha256,
        "changed_at_s": record.changed_at_s,
        "contributors": [each.msp for each in total.contributors] if total else [],
        "refused": dict(total.refused) if total else {},
        "digest": total.digest if total else "",
        "cheating_max": total.cheating_max if total else 0,
        "pooling_max": total.pooling_max if total else 0,
        "reason": record.reason,
    }


def compare_answer(audit: BlockAudit, study: str) -> None:
    """Compare what the own peer's chaincode answers with the blocks.

    Both may move on meanwhile, so an answer counts as equal where it was once what the blocks
    gave; new blocks are walked as they come.

    Raises:
        UnknownStudyError: The blocks have no such study.
        AnswerContradictedError: They stay different; names the first field that is.
    """
    proved = proved_lineage(audit.records, study)
    for _ in range(_ASKED_AGAIN):
        answer = _answer(audit.ledger, study)
        if answer == proved:
            return
        audit.walk()
        proved = proved_lineage(audit.records, study)
        if answer == proved:
            return
        audit.ledger.wait_change(_PAUSE_S)
    raise AnswerContradictedError(*_difference(answer, proved))


def _answer(ledger: HospitalLedger, study: str) -> dict[str, Any]:
    """Return what the chaincode says of a study's lineage, nothing where it knows none."""
    try:
        found: dict[str, Any] = query(ledger, "lineage", study)
    except UnknownStudyError:
        return {}
    return found


def _difference(answer: dict[str, Any], proved: dict[str, Any]) -> tuple[str, str, str]:
    """Return what differs first, and both values in words."""
    name = proved["study"]
    for field in ("study", "study_sha256", "initial_model_sha256"):
        if answer.get(field) != proved[field]:
            return f"{field} of {name}", repr(answer.get(field)), repr(proved[field])
    rounds = answer.get("rounds", [])
    for one, other in zip(rounds, proved["rounds"], strict=False):
        for field, value in other.items():
            if one.get(field) != value:
                what = f"{field} of round {other['round']} of {name}"
                return what, repr(one.get(field)), repr(value)
    return f"the rounds of {name}", f"{len(rounds)}", f"{len(proved['rounds'])}"


def recompute(
    audit: BlockAudit,
    study: Study,
    initial: ModelState,
    *,
    bundles: Sequence[Path] = (),
    progress: AuditProgress | None = None,
    checks: list[RoundCheck] | None = None,
) -> tuple[list[RoundCheck], ModelState]:
    """Recompute every published model of a study from the initial one.

    Args:
        audit: The walked blocks, whose records are what counts, and the auditor's own peer, which
            gives the chunks.
        study: The study's terms, as the blocks have them.
        initial: The model before round 1 (`lineage.initial_model`).
        bundles: Folders of rounds (`000001/sum.bin`), as hospitals keep them.
        progress: Called with (rounds done, rounds).
        checks: Where the rows go as they are proved, so that they are there also after an error.

    Returns:
        One row a round, and the model in force.

    Raises:
        StudyClaimError: The terms are not those in the blocks, or of another channel.
        ChainBrokenError: A sum, a key or a model is not the one recorded.
        BundleMissingError: A published round's sum is nowhere to be had.
    """
    check_genesis(study, audit.ledger)
    if register.study(audit.records, study.study) != study:
        raise ChainBrokenError(f"study {study.study} has other terms in the blocks")
    records = register.rounds(audit.records, study.study)
    model = initial
    rows = [] if checks is None else checks
    for done, record in enumerate(records, start=1):
        check, model = _recompute_round(audit, study, record, model, bundles)
        rows.append(check)
        if progress is not None:
            progress(done, len(records))
    return rows, model


def _recompute_round(
    audit: BlockAudit, study: Study, record: Round, parent: ModelState, bundles: Sequence[Path]
) -> tuple[RoundCheck, ModelState]:
    found = records_from(audit.records, study, record.round)
    if record.state != lineage.PUBLISHED:
        check = RoundCheck(
            record.round, record.state, "none", record.parent_sha256, "", found.contributors
        )
        return check, parent
    try:
        total, source = _sum_of(audit.ledger, study, found, bundles)
        key = register.round_key(audit.records, study.study, record.round)
        model = lineage.opened_model(study, round_parameters(study), found, key, total, parent)
    except (SumMismatchError, OpeningError) as error:
        raise ChainBrokenError(f"round {record.round}: {error}") from error
    lineage.check_published(model, record)
    check = RoundCheck(
        record.round,
        record.state,
        source,
        record.parent_sha256,
        record.model_sha256,
        found.contributors,
    )
    return check, model


def _sum_of(
    ledger: HospitalLedger, study: Study, records: RoundRecords, bundles: Sequence[Path]
) -> tuple[Residues, str]:
    """Return a round's sum, compared with the ledger, and where it came from."""
    parameters = round_parameters(study)
    number = records.record.round
    try:
        uploads = read_contributions(ledger, records, parameters)
        total = add_contributions(uploads, parameters)
        check_sum(total, records, study, ledger.channel)
        return total, "chunks"
    except BundleMissingError as missing:
        for folder in bundles:
            content = read_file(folder / f"{number:06d}" / "sum.bin")
            if content is not None:
                total = sum_from_bytes(content, parameters)
                check_sum(total, records, study, ledger.channel)
                return total, "bundle"
        raise missing
