"""One hospital's view of the in-memory ledger: the round's second home, for simulation and tests.

The same `HospitalLedger` as over Fabric: proposals carry a time, private writes are endorsed by the
owner alone, refusals are the rules' own errors and lost races are `ConflictError`. Peers share one
store here, so levelling is nothing to wait for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping

from chaincode.ledger import Creator
from chaincode.memory_ledger import (
    MVCC_READ_CONFLICT,
    PHANTOM_READ_CONFLICT,
    VALID,
    MemoryCommitError,
    MemoryEndorseError,
    MemoryLedger,
)
from chaincode.records.errors import from_message
from peer_client.ledgers.ledger import (
    ConflictError,
    LedgerBlock,
    LedgerCommit,
    LedgerTransaction,
    OrderingClaim,
    PrivateDataError,
    StepsAwaited,
    is_private_data,
)
from peer_client.ledgers.memory_identity import MemoryMember

CONFLICTS = frozenset({MVCC_READ_CONFLICT, PHANTOM_READ_CONFLICT})


class MemoryHospitalLedger:
    """`HospitalLedger` for one member of a `MemoryLedger`.

    Args:
        ledger: The channel all members share.
        member: Who acts.
        now_s: Unix time of proposals, seconds.
        orderers: MSPs that order the channel (all of them under BFT).
    """

    def __init__(
        self,
        ledger: MemoryLedger,
        member: MemoryMember,
        now_s: Callable[[], float],
        orderers: tuple[str, ...],
    ) -> None:
        self._ledger = ledger
        self._creator = Creator(member.msp_id, member.certificate_pem)
        self._now_s = now_s
        self._orderers = orderers
        self._seen = 0

    @property
    def msp_id(self) -> str:
        """Return the member's MSP."""
        return self._creator.msp_id

    @property
    def channel(self) -> str:
        """Return the channel."""
        return self._ledger.channel

    @property
    def genesis_sha256(self) -> str:
        """Return what stands for the digest of the channel's first block."""
        return self._ledger.genesis_sha256

    def channel_facts(self) -> tuple[tuple[str, str], ...]:
        """Return what the channel is, in words."""
        return self._ledger.facts

    def evaluate(self, function: str, *args: str) -> bytes:
        """Ask the ledger."""
        try:
            return self._ledger.evaluate(
                self._creator, function, *args, timestamp_s=int(self._now_s())
            )
        except MemoryEndorseError as error:
            if is_private_data(error.message):
                raise PrivateDataError(error.message) from error
            raise from_message(error.message) or error from error

    def submit(
        self,
        function: str,
        *args: str,
        transient: Mapping[str, bytes] | None = None,
        own_peer_only: bool = False,
        own_gateway_only: bool = False,
    ) -> LedgerCommit:
        """Submit a transaction; it is committed at once."""
        try:
            done = self._ledger.submit(
                self._creator,
                function,
                *args,
                transient=transient,
                timestamp_s=int(self._now_s()),
                endorsers=(self.msp_id,) if own_peer_only else None,
            )
        except MemoryEndorseError as error:
            raise from_message(error.message) or error from error
        except MemoryCommitError as error:
            if error.code in CONFLICTS:
                raise ConflictError(error.code) from error
            raise
        return LedgerCommit(done.transaction_id, self._ledger.height - 1, done.payload)

    def wait_everywhere(self, transaction_id: str, timeout_s: float) -> tuple[str, ...]:
        """Return nobody: peers share one store."""
        return ()

    def settle(self, timeout_s: float) -> None:
        """Return at once: peers share one store."""

    def wait_change(
        self, timeout_s: float, events: Collection[str] = (), steps: StepsAwaited | None = None
    ) -> None:
        """Return when any block has come since the last call, or after the time."""
        with self._ledger.changed:
            if self._ledger.height == self._seen:
                self._ledger.changed.wait(timeout_s)
            self._seen = self._ledger.height

    def blocks(self, start: int, stop: int | None = None) -> Iterator[LedgerBlock]:
        """Yield blocks, with hashes over their rows as they are in memory."""
        previous = b""
        end = self._ledger.height if stop is None else stop
        for block in self._ledger.blocks[:end]:
            values = repr([row.values for row in block.transactions])
            data = hashlib.sha256((repr(block.transactions) + values).encode()).digest()
            header = hashlib.sha256(block.number.to_bytes(8, "big") + previous + data).digest()
            if block.number >= start:
                yield LedgerBlock(
                    number=block.number,
                    previous_hash=previous,
                    data_hash=data,
                    recomputed_data_hash=data,
                    header_hash=header,
                    transactions=tuple(
                        LedgerTransaction(
                            row.transaction_id,
                            row.creator_msp,
                            row.timestamp_s,
                            row.validation_code == VALID,
                            row.function,
                            writes=row.values,
                        )
                        for row in block.transactions
                    ),
                    size_bytes=len(repr(block.transactions)),
                )
            previous = header

    def proved_blocks(self, start: int = 0) -> Iterator[LedgerBlock]:
        """Yield blocks without a proof: nobody signs what lies in memory."""
        return self.blocks(start)

    def height(self) -> int:
        """Return how many blocks there are."""
        return self._ledger.height

    def ordering(self) -> OrderingClaim:
        """Return how a consortium of these members would be ordered."""
        return OrderingClaim("BFT", self._orderers)

    def close(self) -> None:
        """Do nothing: the channel goes with the process."""
