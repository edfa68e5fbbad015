"""Walk over all blocks of the own peer: prove each, count them, and read the records out of them.

What was proved before a fault stays: `report` and `records` tell of it also after an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from peer_client.audit.block_records import BlockRecords
from peer_client.errors import ChainBrokenError
from peer_client.ledgers.ledger import HospitalLedger, LedgerBlock

#: Told (done, in all) while an audit runs.
AuditProgress = Callable[[int, int], None]
#: How often it is told, blocks.
_TOLD_EVERY = 50


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a walk over the blocks found.

    Attributes:
        blocks: How many are proved.
        transactions: How many of them, valid or not.
        invalid: Transactions that were ordered but found invalid.
        believed: Those of them that are left out on the peer's word alone: the reason it gives
            cannot be checked from the blocks.
        bytes: Size of all blocks.
        bytes_by_round: Size of the blocks of each round of the study asked about.
        head: Hash of the newest block's header, hex.
        signed: Blocks whose signatures were proved; None where this ledger has no signatures.
        signers_least: The fewest ordering nodes proved to have signed a block; 0 where none was.
        signers_needed: The most that had to.
    """

    blocks: int
    transactions: int
    invalid: int
    believed: int
    bytes: int
    bytes_by_round: dict[int, int]
    head: str
    signed: int | None
    signers_least: int
    signers_needed: int

    def signature_words(self) -> str:
        """Say what was proved about who ordered the blocks.

        >>> ChainReport(9, 9, 0, 0, 1, {}, "", 8, 3, 3).signature_words()
        'every block after the first is signed by a quorum of the ordering nodes (3 or more)'
        >>> ChainReport(9, 9, 0, 0, 1, {}, "", None, 0, 0).signature_words()
        'signatures not checked: this ledger has no signatures'
        """
        if self.signed is None:
            return "signatures not checked: this ledger has no signatures"
        return (
            "every block after the first is signed by a quorum of the ordering nodes "
            f"({self.signers_least} or more)"
        )


class BlockAudit:
    """The blocks of one peer, as far as they were walked.

    Args:
        ledger: The own peer's.
        study: Count bytes by round of this study.
    """

    def __init__(self, ledger: HospitalLedger, study: str = "") -> None:
        self.ledger = ledger
        self.records = BlockRecords()
        self._study = study
        self._previous: LedgerBlock | None = None
        self._transactions = self._invalid = self._believed = self._bytes = 0
        self._by_round: dict[int, int] = {}
        self._unsigned = False
        self._signers: list[int] = []
        self._needed = 0

    @property
    def height(self) -> int:
        """Return how many blocks were walked."""
        return 0 if self._previous is None else self._previous.number + 1

    def walk(self, progress: AuditProgress | None = None) -> None:
        """Go on to the peer's present height.

        Args:
            progress: Called with (blocks done, blocks in all) now and then.

        Raises:
            UnprovedBlockError: A block does not follow from what the members compared.
            ChainBrokenError: A block was changed, left out, or put in another place.
            RecordRewrittenError: A record that is written once was changed.
        """
        total = self.ledger.height() if progress is not None else 0
        for block in self.ledger.proved_blocks(self.height):
            check_link(block, self._previous)
            self.records.take(block)
            self._count(block)
            if progress is not None and self.height % _TOLD_EVERY == 0:
                progress(self.height, max(total, self.height))

    def _count(self, block: LedgerBlock) -> None:
        self._previous = block
        self._bytes += block.size_bytes
        self._transactions += len(block.transactions)
        self._invalid += sum(not row.valid for row in block.transactions)
        for number in sorted(_rounds_of(block, self._study))[:1]:
            self._by_round[number] = self._by_round.get(number, 0) + block.size_bytes
        if block.proof is None:
            self._unsigned = True
        elif block.number:
            self._believed += block.proof.believed
            self._signers.append(len(block.proof.signers))
            self._needed = max(self._needed, block.proof.needed)

    def report(self) -> ChainReport:
        """Return what was found so far."""
        return ChainReport(
            blocks=self.height,
            transactions=self._transactions,
            invalid=self._invalid,
            believed=self._believed,
            bytes=self._bytes,
            bytes_by_round=dict(self._by_round),
            head=self._previous.header_hash.hex() if self._previous is not None else "",
            signed=None if self._unsigned else len(self._signers),
            signers_least=min(self._signers, default=0),
            signers_needed=self._needed,
        )


def check_chain(
    ledger: HospitalLedger, *, study: str = "", progress: AuditProgress | None = None
) -> ChainReport:
    """Walk all blocks of the own peer, and prove each.

    Args:
        ledger: The peer's ledger.
        study: Count bytes by round of this study.
        progress: Called with (blocks done, blocks in all) now and then.

    Raises:
        UnprovedBlockError: A block does not follow from what the members compared.
        ChainBrokenError: A block was changed, left out, or put in another place.
        RecordRewrittenError: A record that is written once was changed.
    """
    audit = BlockAudit(ledger, study)
    audit.walk(progress)
    return audit.report()


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
