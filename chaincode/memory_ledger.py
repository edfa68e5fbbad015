"""A whole channel in memory, with Fabric's semantics, for tests and for simulation.

A transaction is simulated against the committed state, which records what it read and what it would
write, and later committed: the two steps may be interleaved with others', as on a network. At
commit the versions of all keys read are compared (MVCC_READ_CONFLICT), ranges are read again
(PHANTOM_READ_CONFLICT) and the endorsers are compared with the policies
(ENDORSEMENT_POLICY_FAILURE): public writes need T of the hospitals (`network.quorum`, as in the
channel's first block), a private collection needs its owner. With a clock, a proposal whose time is
further off than `network.clock.TIME_WINDOW_S` is refused, as by the peers' TimeWindowCheck. Blind
writes do not conflict, a transaction never reads its own writes, private values expire, hashes are
seen by everybody and only valid transactions raise events. It checks no signature and runs no
network; peers' private stores are one store. Sources: Fabric's kvledger/txmgmt/validation, privdata
and fabric-chaincode-go shim/interfaces.go.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from chaincode.ledger import Creator, CreatorLike, Ledger, Modification
from chaincode.records import keys
from chaincode.records.keys import composite
from network.channel_policies import (
    ADMINISTRATORS,
    ADMINS,
    ENDORSEMENT,
    PEERS,
    QuorumPolicy,
    policy_fact,
)
from network.clock import TIME_WINDOW_S
from network.quorum import hospital_quorum

Version = tuple[int, int]  # block and place in it
Handler = Callable[[Ledger, Sequence[bytes]], bytes]

VALID: Final = "VALID"
MVCC_READ_CONFLICT: Final = "MVCC_READ_CONFLICT"
PHANTOM_READ_CONFLICT: Final = "PHANTOM_READ_CONFLICT"
ENDORSEMENT_POLICY_FAILURE: Final = "ENDORSEMENT_POLICY_FAILURE"
DUPLICATE_TXID: Final = "DUPLICATE_TXID"


class MemoryPeerError(Exception):
    """The peer refused a request of the chaincode; the text is Fabric's."""


class MemoryEndorseError(Exception):
    """A proposal was not endorsed: the chaincode or the peer refused it; nothing was written."""

    def __init__(self, transaction_id: str, message: str) -> None:
        super().__init__(message)
        self.transaction_id = transaction_id
        self.message = message


class MemoryCommitError(Exception):
    """A transaction was ordered and found invalid."""

    def __init__(self, transaction_id: str, code: str) -> None:
        super().__init__(f"transaction {transaction_id} failed to commit with status code {code}")
        self.transaction_id = transaction_id
        self.code = code


def memory_genesis_sha256(channel: str) -> str:
    """Return what stands for the digest of an in-memory channel's first block."""
    return hashlib.sha256(channel.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Collection:
    """A private collection.

    Attributes:
        owner: MSP that must endorse its writes.
        members: MSPs whose clients may read and write, and whose peers store it.
        block_to_live: Blocks after which a value expires; 0 keeps it forever.
    """

    owner: str
    members: tuple[str, ...]
    block_to_live: int = 0


@dataclass(frozen=True, slots=True)
class MemoryEvent:
    """An event of a valid transaction."""

    block_number: int
    transaction_id: str
    name: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class MemoryTransaction:
    """One transaction as a block keeps it; `values` has what it wrote publicly, None deletes."""

    transaction_id: str
    creator_msp: str
    timestamp_s: int
    validation_code: str
    function: str
    writes: tuple[str, ...]
    values: tuple[tuple[str, bytes | None], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class MemoryBlock:
    """A block: its number and its transactions."""

    number: int
    transactions: tuple[MemoryTransaction, ...]


@dataclass(slots=True)
class _Private:
    value: bytes
    sha256: bytes
    version: Version
    absent: bool = False


@dataclass(slots=True)
class Simulation:
    """What a simulated transaction read, would write and answered.

    Attributes:
        transaction_id: 64 hex digits.
        creator: Who signed the proposal.
        timestamp_s: Proposal timestamp.
        function: Name of the function called.
        payload: The chaincode's answer.
        reads: Public keys and the version seen, None for an absent key.
        private_reads: The same for (collection, key).
        ranges: Prefixes and the (key, version) found under them.
        writes: Public keys and values; None deletes.
        private_writes: (collection, key) and values; None purges.
        event: Name and payload, or None.
    """

    transaction_id: str
    creator: CreatorLike
    timestamp_s: int
    function: str
    payload: bytes = b""
    reads: dict[str, Version | None] = field(default_factory=dict)
    private_reads: dict[tuple[str, str], Version | None] = field(default_factory=dict)
    ranges: list[tuple[str, tuple[tuple[str, Version], ...]]] = field(default_factory=list)
    writes: dict[str, bytes | None] = field(default_factory=dict)
    private_writes: dict[tuple[str, str], bytes | None] = field(default_factory=dict)
    event: tuple[str, bytes] | None = None


class MemoryLedger:
    """One channel: its state, its blocks, its collections and its policies."""

    def __init__(
        self,
        handler: Handler,
        *,
        hospitals: Sequence[str],
        channel: str = "consortium",
        block_to_live: int = 0,
        clock_s: Callable[[], float] | None = None,
    ) -> None:
        """Make an empty channel.

        Args:
            handler: The chaincode, `chaincode.contract.dispatch.invoke`.
            hospitals: MSPs that endorse; each owns a collection ``updates_<MSP>`` of which all
                are members.
            channel: Its name.
            block_to_live: Of the collections, in blocks; 0 keeps values forever.
            clock_s: The peers' clock, seconds since 1970 UTC; proposals far from it are refused.
                Without one, proposals of any time are taken.
        """
        self.channel = channel
        self._clock_s = clock_s
        self.hospitals = tuple(sorted(hospitals))
        self.collections = {
            keys.collection(msp): Collection(msp, self.hospitals, block_to_live)
            for msp in self.hospitals
        }
        #: What a hospital pins of the channel; a test may change it as administrators would.
        self.facts: tuple[tuple[str, str], ...] = _facts(channel, self.hospitals)
        self.blocks: list[MemoryBlock] = [MemoryBlock(0, ())]
        self.events: list[MemoryEvent] = []
        self.changed = threading.Condition(threading.RLock())
        self._handler = handler
        self._state: dict[str, tuple[bytes, Version]] = {}
        self._private: dict[tuple[str, str], _Private] = {}
        self._expiry: dict[int, list[tuple[str, str, Version]]] = {}
        self._history: dict[str, list[Modification]] = {}
        self._committed: set[str] = set()
        self._proposals = 0

    # --- clients -----------------------------------------------------------------------------

    @property
    def height(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @property
    def genesis_sha256(self) -> str:
        """What stands for the digest of the channel's first block: that of its name."""
        return memory_genesis_sha256(self.channel)

    @property
    def endorsers_needed(self) -> int:
        """How many hospitals must endorse a public write."""
        return hospital_quorum(len(self.hospitals))

    def simulate(
        self,
        creator: CreatorLike,
        function: str,
        *args: str | bytes,
        transient: Mapping[str, bytes] | None = None,
        timestamp_s: int = 0,
    ) -> Simulation:
        """Endorse a proposal: run the chaincode against the committed state.

        Raises:
            MemoryEndorseError: The chaincode or the peer refused.
        """
        parts = [a.encode() if isinstance(a, str) else bytes(a) for a in (function, *args)]
        with self.changed:
            self._proposals += 1
            nonce = self._proposals.to_bytes(24, "big")
            identity = creator.msp_id.encode() + creator.certificate_pem
            transaction_id = hashlib.sha256(nonce + identity).hexdigest()
            simulation = Simulation(transaction_id, creator, timestamp_s, function)
            view = MemoryView(self, simulation, dict(transient or {}))
            self._check_time(simulation)
            try:
                simulation.payload = self._handler(view, parts)
            except Exception as error:
                # The shim's words for any exception of a contract.
                message = f"chaincode response 500, {type(error).__name__}: {error}"
                raise MemoryEndorseError(transaction_id, message) from error
            return simulation

    def evaluate(
        self,
        creator: CreatorLike,
        function: str,
        *args: str | bytes,
        transient: Mapping[str, bytes] | None = None,
        timestamp_s: int = 0,
    ) -> bytes:
        """Run a query and return its answer; nothing is committed.

        Raises:
            MemoryEndorseError: The chaincode or the peer refused.
        """
        return self.simulate(
            creator, function, *args, transient=transient, timestamp_s=timestamp_s
        ).payload

    def submit(
        self,
        creator: CreatorLike,
        function: str,
        *args: str | bytes,
        transient: Mapping[str, bytes] | None = None,
        timestamp_s: int = 0,
        endorsers: Sequence[str] | None = None,
    ) -> Simulation:
        """Simulate a transaction and commit it in a block of its own.

        Raises:
            MemoryEndorseError: The chaincode or the peer refused.
            MemoryCommitError: The transaction is invalid.
        """
        with self.changed:
            simulation = self.simulate(
                creator, function, *args, transient=transient, timestamp_s=timestamp_s
            )
            (code,) = self.commit(simulation, endorsers=endorsers)
        if code != VALID:
            raise MemoryCommitError(simulation.transaction_id, code)
        return simulation

    def commit(
        self, *simulations: Simulation, endorsers: Sequence[str] | None = None
    ) -> tuple[str, ...]:
        """Order transactions into one block, validate them in order and apply the valid ones.

        Args:
            simulations: In the block's order; none makes an empty block, for expiry.
            endorsers: MSPs that endorsed all of them; all hospitals where absent.

        Returns:
            One validation code for each.
        """
        with self.changed:
            number = self.height
            self._expire(number)
            names = self.hospitals if endorsers is None else tuple(endorsers)
            codes = []
            for place, simulation in enumerate(simulations):
                code = self._validate(simulation, names)
                codes.append(code)
                self._committed.add(simulation.transaction_id)
                if code == VALID:
                    self._apply(simulation, (number, place))
            rows = tuple(_row(s, code) for s, code in zip(simulations, codes, strict=True))
            self.blocks.append(MemoryBlock(number, rows))
            self.changed.notify_all()
            return tuple(codes)

    def lose_private(self, collection: str, key: str) -> None:
        """Forget a private value's bytes but keep its hash, as on a peer that never received it."""
        self._private[collection, key].absent = True

    def _check_time(self, simulation: Simulation) -> None:
        """Refuse a proposal outside the peers' time window (core/handlers/auth/filter)."""
        if self._clock_s is None:
            return
        off_s = simulation.timestamp_s - self._clock_s()
        if abs(off_s) > TIME_WINDOW_S:
            raise MemoryEndorseError(
                simulation.transaction_id,
                f"request unauthorized due to incorrect timestamp, it is {off_s:.0f} s off",
            )

    # --- validation --------------------------------------------------------------------------

    def _validate(self, simulation: Simulation, endorsers: Sequence[str]) -> str:
        if simulation.transaction_id in self._committed:
            return DUPLICATE_TXID
        if not self._policies_met(simulation, endorsers):
            return ENDORSEMENT_POLICY_FAILURE
        for key, version in simulation.reads.items():
            if self._version(key) != version:
                return MVCC_READ_CONFLICT
        for place, version in simulation.private_reads.items():
            found = self._private.get(place)
            if (found.version if found else None) != version:
                return MVCC_READ_CONFLICT
        for prefix, seen in simulation.ranges:
            if tuple((key, v) for key, _, v in self._range(prefix)) != seen:
                return PHANTOM_READ_CONFLICT
        return VALID

    def _policies_met(self, simulation: Simulation, endorsers: Sequence[str]) -> bool:
        owners = {self.collections[name].owner for name, _ in simulation.private_writes}
        if not owners <= set(endorsers):
            return False
        # A transaction that writes to collections with their own policy alone is held to those
        # (Fabric, statebased validation): the chaincode's policy counts for all others.
        if simulation.private_writes and not simulation.writes:
            return True
        return len(set(endorsers) & set(self.hospitals)) >= self.endorsers_needed

    def _apply(self, simulation: Simulation, version: Version) -> None:
        for key, value in simulation.writes.items():
            self._history.setdefault(key, []).append(
                Modification(
                    simulation.transaction_id, simulation.timestamp_s, value or b"", value is None
                )
            )
            if value is None:
                self._state.pop(key, None)
            else:
                self._state[key] = (value, version)
        for place, value in simulation.private_writes.items():
            if value is None:
                self._private.pop(place, None)
                continue
            self._private[place] = _Private(value, hashlib.sha256(value).digest(), version)
            life = self.collections[place[0]].block_to_live
            if life:
                self._expiry.setdefault(version[0] + life + 1, []).append((*place, version))
        if simulation.event:
            self.events.append(
                MemoryEvent(version[0], simulation.transaction_id, *simulation.event)
            )

    def _expire(self, number: int) -> None:
        for collection, key, version in self._expiry.pop(number, []):
            found = self._private.get((collection, key))
            if found and found.version == version:
                del self._private[collection, key]

    # --- reading, for views ------------------------------------------------------------------

    def _version(self, key: str) -> Version | None:
        found = self._state.get(key)
        return found[1] if found else None

    def _range(self, prefix: str) -> list[tuple[str, bytes, Version]]:
        return sorted((k, *self._state[k]) for k in self._state if k.startswith(prefix))


def _facts(channel: str, hospitals: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return what a hospital would notice changing, in the words of a channel's configuration."""
    quorum = hospital_quorum(len(hospitals))
    rules = {
        policy_fact(path): QuorumPolicy(quorum, role, tuple(hospitals)).words()
        for role, paths in ((PEERS, ENDORSEMENT), (ADMINISTRATORS, ADMINS))
        for path in paths
    }
    return tuple(sorted({"genesis block": memory_genesis_sha256(channel), **rules}.items()))


def _row(simulation: Simulation, code: str) -> MemoryTransaction:
    private = (f"{collection}/{key}" for collection, key in simulation.private_writes)
    return MemoryTransaction(
        transaction_id=simulation.transaction_id,
        creator_msp=simulation.creator.msp_id,
        timestamp_s=simulation.timestamp_s,
        validation_code=code,
        function=simulation.function,
        writes=tuple(sorted((*simulation.writes, *private))),
        values=tuple(simulation.writes.items()),
    )


class MemoryView:
    """One simulated transaction's view: satisfies `chaincode.ledger.Ledger`."""

    def __init__(
        self, channel: MemoryLedger, simulation: Simulation, transient: Mapping[str, bytes]
    ) -> None:
        self._channel = channel
        self._simulation = simulation
        self._transient = transient

    @property
    def channel(self) -> str:
        """Name of the channel."""
        return self._channel.channel

    @property
    def transaction_id(self) -> str:
        """Identifier of the transaction."""
        return self._simulation.transaction_id

    @property
    def creator(self) -> Creator:
        """Who signed the proposal."""
        creator = self._simulation.creator
        return Creator(creator.msp_id, creator.certificate_pem)

    @property
    def timestamp_s(self) -> int:
        """Proposal timestamp, seconds since 1970 UTC."""
        return self._simulation.timestamp_s

    @property
    def transient(self) -> Mapping[str, bytes]:
        """Transient map."""
        return self._transient

    def get_state(self, key: str) -> bytes:
        """Return a committed public value, ``b""`` when absent."""
        found = self._channel._state.get(key)
        self._simulation.reads[key] = found[1] if found else None
        return found[0] if found else b""

    def get_states(self, keys: Sequence[str]) -> list[bytes]:
        """Return committed public values."""
        return [self.get_state(key) for key in keys]

    def put_state(self, key: str, value: bytes) -> None:
        """Write a public value at commit."""
        if not key or not value:
            raise MemoryPeerError("PUT_STATE failed: the key and the value must not be empty")
        self._simulation.writes[key] = bytes(value)

    def delete_state(self, key: str) -> None:
        """Delete a public value at commit."""
        self._simulation.writes[key] = None

    def states(self, kind: str, *attributes: str) -> Iterator[tuple[str, bytes]]:
        """Yield committed (key, value) under a composite prefix, in key order."""
        prefix = composite(kind, *attributes)
        found = self._channel._range(prefix)
        self._simulation.ranges.append((prefix, tuple((key, v) for key, _, v in found)))
        yield from ((key, value) for key, value, _ in found)

    def states_page(
        self, kind: str, *attributes: str, page_size: int, bookmark: str
    ) -> tuple[list[tuple[str, bytes]], str]:
        """Return one page of committed (key, value) and the next bookmark; not validated."""
        found = [
            (key, value)
            for key, value, _ in self._channel._range(composite(kind, *attributes))
            if key >= bookmark
        ]
        following = found[page_size][0] if len(found) > page_size else ""
        return found[:page_size], following

    def history(self, key: str) -> Iterator[Modification]:
        """Yield the committed changes of a key, newest first."""
        yield from reversed(self._channel._history.get(key, []))

    def get_private(self, collection: str, key: str) -> bytes:
        """Return a committed private value, ``b""`` when absent or expired."""
        self._check_access(collection, "read")
        found = self._note(collection, key)
        if found and found.absent:
            raise MemoryPeerError(
                f"GET_STATE failed: transaction ID: {self.transaction_id}: private data matching "
                "public hash version is not available. Public hash version = {BlockNum: "
                f"{found.version[0]}, TxNum: {found.version[1]}}}, Private data version = <nil>"
            )
        return found.value if found else b""

    def put_private(self, collection: str, key: str, value: bytes) -> None:
        """Write a private value at commit."""
        self._check_access(collection, "write")
        if not key or not value:
            raise MemoryPeerError("PUT_STATE failed: the key and the value must not be empty")
        self._simulation.private_writes[collection, key] = bytes(value)

    def purge_private(self, collection: str, key: str) -> None:
        """Remove a private value at commit."""
        self._check_access(collection, "write")
        self._simulation.private_writes[collection, key] = None

    def private_hash(self, collection: str, key: str) -> bytes:
        """Return the SHA-256 of a committed private value, ``b""`` when absent or expired."""
        self._collection(collection)
        found = self._note(collection, key)
        return found.sha256 if found else b""

    def set_event(self, name: str, payload: bytes) -> None:
        """Set the transaction's one event."""
        if not name:
            raise MemoryPeerError("event name can not be empty string")
        self._simulation.event = (name, bytes(payload))

    def _note(self, collection: str, key: str) -> _Private | None:
        found = self._channel._private.get((collection, key))
        self._simulation.private_reads[collection, key] = found.version if found else None
        return found

    def _collection(self, name: str) -> Collection:
        found = self._channel.collections.get(name)
        if found is None:
            raise MemoryPeerError(f"collection {self.channel}/consortium/{name} could not be found")
        return found

    def _check_access(self, name: str, what: str) -> None:
        if self.creator.msp_id not in self._collection(name).members:
            raise MemoryPeerError(
                f"tx creator does not have {what} access permission on privatedata in "
                f"chaincodeName:consortium collectionName: {name}"
            )
