"""What an auditor checks: the chain of blocks, and every model from the initial one.

`check_chain` walks the blocks of one peer: each names the hash of the one before it, and the hash
of the transactions it holds. `recompute` walks a study's rounds: each sum is added again from the
peer's chunks, or taken from a bundle (the summed ciphertext a hospital kept), and held against the
digests on the ledger; it is opened under the recorded key; the model it gives must have the digest
that was published. Nothing is repaired and nothing is believed: the first difference raises
`ChainBrokenError`. A round whose bundle is nowhere to be had is reported, never passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaincode.records.round import Round
from chaincode.records.study import Study
from chaincode.records.terms import round_parameters
from peer_client import lineage
from peer_client.errors import BundleMissingError, ChainBrokenError, SumMismatchError
from peer_client.ledger import HospitalLedger, LedgerBlock
from peer_client.round_records import RoundRecords, read_round, read_rounds
from peer_client.sealing.errors import OpeningError
from peer_client.store import ModelState, read_file
from peer_client.summing import (
    Residues,
    add_contributions,
    check_sum,
    read_contributions,
    sum_from_bytes,
)

#: Told (done, in all) while an audit runs.
AuditProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a walk over the blocks found.

    Attributes:
        blocks: How many.
        transactions: How many of them, valid or not.
        invalid: Transactions that were ordered but found invalid.
        bytes: Size of all blocks.
        bytes_by_round: Size of the blocks of each round of the study asked about.
        head: Hash of the newest block's header, hex.
    """

    blocks: int
    transactions: int
    invalid: int
    bytes: int
    bytes_by_round: dict[int, int]
    head: str


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


def check_chain(
    ledger: HospitalLedger, *, study: str = "", progress: AuditProgress | None = None
) -> ChainReport:
    """Walk all blocks of the own peer and prove that each continues the one before.

    Args:
        ledger: The peer's ledger.
        study: Count bytes by round of this study.
        progress: Called with (blocks done, 0) now and then.

    Raises:
        ChainBrokenError: A block was changed, left out, or put in another place.
    """
    previous: LedgerBlock | None = None
    blocks = transactions = invalid = size = 0
    by_round: dict[int, int] = {}
    for block in ledger.blocks(0):
        check_link(block, previous)
        previous = block
        blocks += 1
        size += block.size_bytes
        transactions += len(block.transactions)
        invalid += sum(not row.valid for row in block.transactions)
        for number in sorted(_rounds_of(block, study))[:1]:
            by_round[number] = by_round.get(number, 0) + block.size_bytes
        if progress is not None and blocks % 50 == 0:
            progress(blocks, 0)
    head = previous.header_hash.hex() if previous is not None else ""
    return ChainReport(blocks, transactions, invalid, size, by_round, head)


def check_link(block: LedgerBlock, previous: LedgerBlock | None) -> None:
    """Prove that a block holds what its header says and follows another.

    Raises:
        ChainBrokenError: It does not.
    """
    if block.recomputed_data_hash != block.data_hash:
        raise ChainBrokenError(
            f"block {block.number} does not hold the transactions that its header names"
        )
    if block.number != (0 if previous is None else previous.number + 1):
        raise ChainBrokenError(f"block {block.number} is not in its place")
    if previous is not None and block.previous_hash != previous.header_hash:
        raise ChainBrokenError(
            f"block {block.number} does not continue block {previous.number}: the hash it names "
            "is another"
        )


def _rounds_of(block: LedgerBlock, study: str) -> set[int]:
    """Return the rounds of a study that a block's transactions name."""
    return {
        int(row.arguments[1])
        for row in block.transactions
        if len(row.arguments) > 1 and row.arguments[0] == study and row.arguments[1].isdigit()
    }


def recompute(
    ledger: HospitalLedger,
    study: Study,
    initial: ModelState,
    *,
    bundles: Sequence[Path] = (),
    progress: AuditProgress | None = None,
) -> tuple[list[RoundCheck], ModelState]:
    """Recompute every published model of a study from the initial one.

    Args:
        ledger: The auditor's own peer.
        study: The study's terms.
        initial: The model before round 1 (`lineage.initial_model`).
        bundles: Folders of rounds (`000001/sum.bin`), as hospitals keep them.
        progress: Called with (rounds done, rounds).

    Returns:
        One row a round, and the model in force.

    Raises:
        ChainBrokenError: A sum, a key or a model is not the one recorded.
        BundleMissingError: A published round's sum is nowhere to be had.
    """
    records = read_rounds(ledger, study.study)
    model = initial
    checks: list[RoundCheck] = []
    for done, record in enumerate(records, start=1):
        check, model = _recompute_round(ledger, study, record, model, bundles)
        checks.append(check)
        if progress is not None:
            progress(done, len(records))
    return checks, model


def _recompute_round(
    ledger: HospitalLedger,
    study: Study,
    record: Round,
    parent: ModelState,
    bundles: Sequence[Path],
) -> tuple[RoundCheck, ModelState]:
    found = read_round(ledger, study.study, record.round)
    if found is None:  # pragma: no cover - it was listed a moment ago
        raise ChainBrokenError(f"round {record.round} is listed, but the ledger has no record")
    if record.state != lineage.PUBLISHED:
        check = RoundCheck(
            record.round, record.state, "none", record.parent_sha256, "", found.contributors
        )
        return check, parent
    try:
        total, source = _sum_of(ledger, study, found, bundles)
        model = lineage.opened_model(ledger, study, round_parameters(study), found, total, parent)
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
    """Return a round's sum, held against the ledger, and where it came from."""
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
