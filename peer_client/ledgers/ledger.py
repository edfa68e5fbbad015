"""What a hospital's client needs of a ledger: ask, submit, wait, read blocks.

`HospitalLedger` is the one border between a round and where its records are kept. `FabricLedger`
(peer_client/ledgers/fabric.py) speaks to the hospital's own peer; `MemoryHospitalLedger`
(peer_client/ledgers/memory.py) is one hospital's view of the in-memory ledger. Both raise the
same errors, so that scenarios run on either. Nothing here knows what a round is.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class LedgerCommit:
    """A transaction that the ledger has accepted."""

    transaction_id: str
    block_number: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class LedgerTransaction:
    """One transaction of a block, as an auditor needs it.

    Attributes:
        transaction_id: Its id, empty for a configuration.
        creator_msp: Who sent it.
        timestamp_s: Its time by the sender's clock, seconds since 1970 UTC.
        valid: Whether it changed the state.
        function: Function called.
        arguments: Its arguments, as text.
        writes: Public keys of the chaincode and the values written, in order; None deletes.
    """

    transaction_id: str
    creator_msp: str
    timestamp_s: int
    valid: bool
    function: str
    arguments: tuple[str, ...] = ()
    writes: tuple[tuple[str, bytes | None], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class BlockProof:
    """What was proved of a block before it was given out.

    Attributes:
        signers: MSP of each ordering node proved to have signed it, by number; nobody signs the
            first block, which is this member's own file.
        needed: How many had to sign.
        believed: Transactions left out on the peer's word alone.
    """

    signers: tuple[str, ...]
    needed: int
    believed: int


@dataclass(frozen=True, slots=True)
class LedgerBlock:
    """One block: its place in the chain and what it holds.

    Attributes:
        number: Height, from 0.
        previous_hash: Header hash of the block before, 32 bytes; empty in block 0.
        data_hash: Hash of the block's transactions as its header states it, 32 bytes.
        recomputed_data_hash: The same computed from the transactions received.
        header_hash: Hash of this header, which the next block names.
        transactions: In the block's order.
        size_bytes: Length of the block as stored.
        proof: What was proved of it; None where it was not asked for, or where the ledger has no
            signatures.
    """

    number: int
    previous_hash: bytes
    data_hash: bytes
    recomputed_data_hash: bytes
    header_hash: bytes
    transactions: tuple[LedgerTransaction, ...]
    size_bytes: int
    proof: BlockProof | None = None


@dataclass(frozen=True, slots=True)
class OrderingClaim:
    """How the channel is ordered in fact: the kind, and the members that order."""

    type: str
    consenter_msps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepsAwaited:
    """One step of a round, taken by several members, of which enough are worth waking up for.

    Attributes:
        event: Name of the event that tells of the step.
        members: MSPs whose step is still missing.
        enough: How many of them; at least 1.
    """

    event: str
    members: frozenset[str]
    enough: int

    def are_in(self, events: Collection[tuple[str, str]]) -> bool:
        """Return whether enough of them are among events, given by name and MSP.

        >>> awaited = StepsAwaited("round.update", frozenset({"AMSP", "BMSP"}), 2)
        >>> awaited.are_in({("round.update", "AMSP"), ("round.joined", "BMSP")})
        False
        """
        come = {msp for name, msp in events if name == self.event}
        return len(come & self.members) >= self.enough


class ConflictError(Exception):
    """Another transaction came first (MVCC or phantom read); reading again shows what it did."""


class PrivateDataError(Exception):
    """The own peer may not read, or does not hold (yet), the private value asked for."""


#: What Fabric's peers say of private values that they may not or cannot read (fabric-chaincode-go,
#: core/ledger/kvledger/txmgmt/privacyenabledstate and core/chaincode/handler.go).
PRIVATE_DATA_WORDS = (
    "read access permission on privatedata",
    "private data matching public hash version is not available",
)


def is_private_data(message: str) -> bool:
    """Return whether a peer's message is about a private value it may not or cannot read.

    >>> is_private_data("tx creator does not have read access permission on privatedata in x")
    True
    """
    return any(words in message for words in PRIVATE_DATA_WORDS)


class HospitalLedger(Protocol):
    """One hospital's way to the ledger."""

    @property
    def msp_id(self) -> str:
        """Return the MSP this client acts for."""

    @property
    def channel(self) -> str:
        """Return the channel's name."""

    @property
    def genesis_sha256(self) -> str:
        """Return the SHA-256 of the channel's first block as this member holds it, in hex."""

    def channel_facts(self) -> tuple[tuple[str, str], ...]:
        """Return what the channel is, from its configuration at the own peer.

        Returns:
            Names and values in words, sorted by name: policies, members' roots, ordering nodes, the
            committed chaincode definition and everything else that a hospital must notice changing.
        """

    def evaluate(self, function: str, *args: str) -> bytes:
        """Ask the own peer; nothing is written.

        Raises:
            PrivateDataError: The own peer may not or cannot read a private value.
            RuleError: The chaincode refused (`chaincode.records.errors`).
        """

    def submit(
        self,
        function: str,
        *args: str,
        transient: Mapping[str, bytes] | None = None,
        own_peer_only: bool = False,
        own_gateway_only: bool = False,
    ) -> LedgerCommit:
        """Have a transaction endorsed, ordered and committed at the own peer.

        Args:
            function: Name of the chaincode's function.
            args: Its arguments.
            transient: Bytes that reach the chaincode but not the chain.
            own_peer_only: Let the own peer alone endorse (private writes to the own collection).
            own_gateway_only: The transient bytes are secret before they are on the ledger: send
                them through the own peer's gateway or not at all.

        Raises:
            RuleError: The chaincode refused (`chaincode.records.errors`).
            ConflictError: Another transaction came first.
        """

    def wait_everywhere(self, transaction_id: str, timeout_s: float) -> tuple[str, ...]:
        """Wait until every member's peer has committed; return the members that have not."""

    def wait_change(
        self, timeout_s: float, events: Collection[str] = (), steps: StepsAwaited | None = None
    ) -> None:
        """Return when another member's transaction has set an event, or after the time.

        Args:
            timeout_s: Longest wait, seconds.
            events: Names that count; any where none is given. Events since the last call count too.
            steps: A step that counts as well, once enough members have taken it.
        """

    def settle(self, timeout_s: float) -> None:
        """Wait until the newest transaction seen here is committed at every member's peer.

        The peers that endorse the next transaction then read the same state.
        """

    def blocks(self, start: int, stop: int | None = None) -> Iterator[LedgerBlock]:
        """Yield blocks `start` up to, not including, `stop` (the present height by default)."""

    def proved_blocks(self, start: int = 0) -> Iterator[LedgerBlock]:
        """Yield the blocks from `start` up to the present height, each with its proof.

        On a ledger whose blocks nobody signs they come without one.

        Args:
            start: 0 begins the proof; otherwise how many blocks were proved before.

        Raises:
            UnprovedBlockError: A block does not follow from what the members compared.
        """

    def height(self) -> int:
        """Return how many blocks the own peer has; asked of it alone."""

    def ordering(self) -> OrderingClaim:
        """Return who orders this channel, from its configuration."""

    def close(self) -> None:
        """Let go of connections and threads."""


class Signer(Protocol):
    """A hospital's identity on the consortium."""

    @property
    def certificate_pem(self) -> bytes:
        """Return the certificate, PEM."""

    def sign(self, message: bytes) -> bytes:
        """Return a signature over a message."""


class Roots(Protocol):
    """The certificate roots of the members, as this member's own directory holds them."""

    def __call__(self, msp_id: str) -> Sequence[bytes]:
        """Return a member's roots, PEM; nothing where the member is unknown."""


def query(ledger: HospitalLedger, function: str, *args: str) -> Any:
    """Return the decoded JSON answer of one of the chaincode's queries."""
    return json.loads(ledger.evaluate(function, *args))
