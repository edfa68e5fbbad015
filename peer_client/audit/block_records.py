"""Records read out of blocks: what the valid transactions wrote, and nothing that a peer answers.

`BlockRecords` takes blocks one after the other and gives typed records through
`chaincode.records.register`, as the contract reads them, without running any of it. It also holds
the rule that a record is written once: docs/security.md rests on it, so a transaction that writes
over one, or deletes one, is a fault whoever endorsed it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from typing import Final

from chaincode.records import keys
from chaincode.records.errors import RuleError
from chaincode.records.round import Round, RoundState
from chaincode.records.states import TRANSITIONS
from peer_client.errors import RecordRewrittenError
from peer_client.ledgers.ledger import LedgerBlock, LedgerTransaction

#: What a round's record keeps from its opening to its end.
KEPT: Final = (
    "study",
    "round",
    "opened_at_s",
    "parent_sha256",
    "published_before",
    "opened_before",
    "contributors_before",
)
_MOVES: Final = frozenset(
    (state, following) for (state, _), following in TRANSITIONS.items() if state is not None
)


class BlockRecords:
    """The chaincode's public values after some blocks: `chaincode.ledger.StateReader`."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}
        self._sorted: list[str] = []

    def take(self, block: LedgerBlock) -> None:
        """Apply the valid transactions of the next block.

        Raises:
            RecordRewrittenError: One changes or deletes a record that is written once.
        """
        for transaction in block.transactions:
            if transaction.valid:
                for key, value in transaction.writes:
                    check_written_once(block, transaction, key, self.get_state(key), value)
                    self._write(key, value)

    def _write(self, key: str, value: bytes | None) -> None:
        if value is None:
            self._values.pop(key, None)
            return
        if key not in self._values:
            insort(self._sorted, key)
        self._values[key] = value

    def get_state(self, key: str) -> bytes:
        """Return a public value, ``b""`` when absent."""
        return self._values.get(key, b"")

    def get_states(self, keys: Sequence[str]) -> list[bytes]:
        """Return public values in the order of `keys`, ``b""`` where absent."""
        return [self.get_state(key) for key in keys]

    def states(self, kind: str, *attributes: str) -> Iterator[tuple[str, bytes]]:
        """Yield (key, value) of every composite key with this prefix, in key order."""
        prefix = keys.composite(kind, *attributes)
        for key in self._sorted[bisect_left(self._sorted, prefix) :]:
            if not key.startswith(prefix):
                return
            if key in self._values:
                yield key, self._values[key]


def check_written_once(
    block: LedgerBlock, transaction: LedgerTransaction, key: str, before: bytes, after: bytes | None
) -> None:
    """Prove that a write adds a record, or moves a round along its table of states.

    Args:
        block: Where it is.
        transaction: Whose write it is.
        key: The record's key.
        before: The record there, empty where there is none.
        after: What is written; None deletes.

    Raises:
        RecordRewrittenError: It does neither.
    """
    kind, parts = keys.split(key)
    name = f"the {kind.replace('_', ' ')} of {' '.join(parts)}"
    fault = ""
    if after is None:
        fault = f"{name} is deleted"
    elif before and kind != keys.ROUND:
        fault = f"{name} is written over"
    elif before:
        fault = _round_fault(name, before, after)
    if fault:
        raise RecordRewrittenError(block.number, transaction.transaction_id, fault)


def _round_fault(name: str, before: bytes, after: bytes) -> str:
    """Return what is wrong with a round's next record, nothing where it may follow."""
    try:
        old, new = Round.from_bytes(before), Round.from_bytes(after)
    except RuleError as error:
        return f"{name} is written over by what is no round: {error}"
    if (RoundState(old.state), RoundState(new.state)) not in _MOVES:
        return f"{name} goes from {old.state} to {new.state}"
    changed = [field for field in KEPT if getattr(old, field) != getattr(new, field)]
    if old.joined and (old.joined, old.joined_sha256) != (new.joined, new.joined_sha256):
        changed.append("joined")
    return f"{name} has another {', '.join(changed)} than before" if changed else ""
