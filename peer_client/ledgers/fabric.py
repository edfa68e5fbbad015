"""The hospital's ledger on Fabric: its own peer's gateway, and the others' for levelling.

Reads are asked of the own peer alone (each hospital trusts no other); writes
are endorsed as the channel's policy says, private writes by the own peer alone. One thread follows
the chaincode's events; it only wakes whoever waits, it decides nothing. A refusal by the chaincode
leaves here as the rule's own error, a lost race as `ConflictError`, all else as the gateway's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import threading
from collections.abc import Collection, Iterator, Mapping
from types import TracebackType

from chaincode.records.errors import RuleError, from_message
from network.consortium.certificates import read_file
from network.consortium.member import MemberDirectory
from network.consortium.package import build_package
from network.errors import MalformedBytesError, NetworkError, UnprovedBlockError
from network.gateway.contract import Contract
from network.gateway.errors import CommitError, CommitStatusError, EndorseError, EvaluateError
from network.gateway.events import ChaincodeEventStream
from network.gateway.gateway import Gateway
from network.wire.block import Block
from network.wire.identity import Identity
from network.wire.verified_chain import VerifiedChain
from peer_client.ledgers.ledger import (
    BlockProof,
    ConflictError,
    LedgerBlock,
    LedgerCommit,
    LedgerTransaction,
    OrderingClaim,
    PrivateDataError,
    StepsAwaited,
    is_private_data,
)

logger = logging.getLogger(__name__)

#: Codes of a transaction that came too late for what it had read.
CONFLICTS = frozenset({"MVCC_READ_CONFLICT", "PHANTOM_READ_CONFLICT"})
#: Statuses of a call that found no peer to answer it.
AWAY = frozenset({"UNAVAILABLE", "FAILED_PRECONDITION", "DEADLINE_EXCEEDED"})


class FabricLedger:
    """`HospitalLedger` over a member's directory; a context manager.

    Args:
        directory: The member's directory; its `client` user signs.
    """

    def __init__(self, directory: MemberDirectory) -> None:
        description = directory.description()
        self._directory = directory
        self._msp_id: str = description["msp_id"]
        self._gateway: Gateway = directory.connect()
        self._contract: Contract = self._gateway.contract(description["chaincode"])
        self._others: tuple[Gateway, ...] | None = None
        topology = directory.topology()
        is_hospital = topology.member(directory.name).is_hospital
        # An authority runs no chaincode, so its queries are answered by hospitals' peers: it
        # believes none of them further than the blocks of its own peer prove (peer_client/audit).
        self._asks = (self._msp_id,) if is_hospital else ()
        self._package = build_package(directory, topology).package_id if is_hospital else "none"
        self._newest = ""
        self._changed = threading.Condition()
        self._pending: set[tuple[str, str]] = set()  # event's name, MSP
        self._events: ChaincodeEventStream | None = None
        self._proof: VerifiedChain | None = None
        self._follower: threading.Thread | None = None

    @property
    def msp_id(self) -> str:
        """Return the member's MSP."""
        return self._msp_id

    @property
    def channel(self) -> str:
        """Return the channel."""
        return self._gateway.channel

    @property
    def identity(self) -> Identity:
        """Return who signs here."""
        return self._gateway.identity

    @property
    def genesis_sha256(self) -> str:
        """Return the SHA-256 of the channel's first block as this member holds it, in hex."""
        return hashlib.sha256(read_file(self._directory.genesis_block)).hexdigest()

    def channel_facts(self) -> tuple[tuple[str, str], ...]:
        """Return what the channel is, from the own peer alone."""
        from network.consortium.channel_facts import read_channel_facts
        from network.consortium.lifecycle import definition_words

        config = self._gateway.process("cscc", ["GetConfigBlock", self.channel], self.channel)
        return read_channel_facts(
            config,
            genesis_sha256=self.genesis_sha256,
            definition={
                **definition_words(self._gateway, self._contract.chaincode),
                "package by this member's files": self._package,
            },
        )

    def evaluate(self, function: str, *args: str) -> bytes:
        """Ask the own peer."""
        try:
            return self._contract.evaluate(function, *args, organisations=self._asks)
        except EvaluateError as error:
            raise _translated(error) from error

    def submit(
        self,
        function: str,
        *args: str,
        transient: Mapping[str, bytes] | None = None,
        own_peer_only: bool = False,
        own_gateway_only: bool = False,
    ) -> LedgerCommit:
        """Submit a transaction and wait until the own peer has committed it."""
        organisations = (self._msp_id,) if own_peer_only else ()
        try:
            done = self._contract.submit(
                function,
                *args,
                transient=transient,
                organisations=organisations,
                own_gateway_only=own_gateway_only or own_peer_only,
            )
        except EndorseError as error:
            raise _translated(error) from error
        except CommitError as error:
            if error.code in CONFLICTS:
                raise ConflictError(error.code) from error
            raise
        self._newest = done.transaction_id
        return LedgerCommit(done.transaction_id, done.block_number, done.payload)

    def wait_everywhere(self, transaction_id: str, timeout_s: float) -> tuple[str, ...]:
        """Wait until every member's peer has committed a transaction."""
        if self._others is None:
            self._others = self._directory.other_gateways()
        gateways = (self._gateway, *self._others)
        try:
            spread = self._contract.wait_committed(transaction_id, gateways, timeout_s)
        except CommitStatusError as error:
            return tuple(detail.address for detail in error.details)
        return spread.unreachable

    def settle(self, timeout_s: float) -> None:
        """Wait until the newest transaction seen is committed everywhere."""
        if self._newest:
            behind = self.wait_everywhere(self._newest, timeout_s)
            if behind:
                logger.debug("not level after %.1f s: %s", timeout_s, ", ".join(behind))

    def wait_change(
        self, timeout_s: float, events: Collection[str] = (), steps: StepsAwaited | None = None
    ) -> None:
        """Return at the next event of another member that counts, or after the time."""
        if self._follower is None:
            self._events = self._contract.events()
            self._follower = threading.Thread(
                target=self._follow, args=(self._events,), name="ledger-events", daemon=True
            )
            self._follower.start()
        wanted = frozenset(events)

        def come() -> bool:
            if steps is not None and steps.are_in(self._pending):
                return True
            return any(not wanted or name in wanted for name, _ in self._pending)

        with self._changed:
            self._changed.wait_for(come, timeout_s)
            self._pending.clear()

    def _follow(self, events: ChaincodeEventStream) -> None:
        """Note each event and wake whoever waits; a broken stream leaves polling at work."""
        try:
            for event in events:
                self._newest = event.transaction_id
                sender = _sender(event.payload)
                if sender == self._msp_id:
                    continue  # what this client did it knows, and its peer had committed it
                with self._changed:
                    self._pending.add((event.name, sender))
                    self._changed.notify_all()
        except NetworkError as error:
            logger.warning("the peer's events are lost (%s); asking by the clock instead", error)

    def blocks(self, start: int, stop: int | None = None) -> Iterator[LedgerBlock]:
        """Yield blocks from the own peer."""
        end = self._gateway.height() if stop is None else stop
        if start < end:
            for block in self._gateway.blocks(start, end - 1):
                yield ledger_block(block, self._contract.chaincode)

    def proved_blocks(self, start: int = 0) -> Iterator[LedgerBlock]:
        """Yield blocks from the own peer, each proved from this member's own first block on."""
        if start == 0 or self._proof is None:
            self._proof = VerifiedChain(
                read_file(self._directory.genesis_block),
                own_roots={
                    msp_id: self._directory.roots_pem(msp_id)
                    for msp_id in self._directory.description()["roots"]
                },
                chaincode=self._contract.chaincode,
            )
        proof = self._proof
        if proof.height != start:
            raise ValueError(f"{proof.height} blocks are proved; a proof cannot begin at {start}")
        end = self._gateway.height()
        blocks = self._gateway.blocks(start, end - 1) if start < end else iter(())
        while proof.height < end:
            try:
                proved = proof.take(next(blocks))
            except MalformedBytesError as error:
                raise UnprovedBlockError(proof.height, str(error)) from None
            except StopIteration:
                raise UnprovedBlockError(proof.height, "the peer does not give it") from None
            yield ledger_block(
                proved.block,
                self._contract.chaincode,
                BlockProof(proved.signers, proved.needed, proved.believed),
            )

    def height(self) -> int:
        """Return how many blocks the own peer has."""
        return self._gateway.height()

    def ordering(self) -> OrderingClaim:
        """Return who orders the channel, from its configuration at the own peer."""
        from network.consortium.ordering import read_ordering

        config = self._gateway.process("cscc", ["GetConfigBlock", self.channel], self.channel)
        found = read_ordering(config)
        return OrderingClaim(found.type, found.consenter_msps)

    def close(self) -> None:
        """Close every connection; the follower ends with its stream."""
        if self._events is not None:
            self._events.close()
        if self._follower is not None:
            self._follower.join(timeout=5.0)
        for gateway in self._others or ():
            with contextlib.suppress(NetworkError):
                gateway.close()
        self._gateway.close()

    def __enter__(self) -> FabricLedger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _sender(payload: bytes) -> str:
    """Return whose transaction an event tells of, empty where it does not say."""
    try:
        told = json.loads(payload)
    except ValueError:
        return ""
    return str(told.get("msp", "")) if isinstance(told, dict) else ""


def _translated(error: EvaluateError | EndorseError) -> Exception:
    """Return the chaincode's refusal, what is said of private data, else the gateway's error."""
    words = error.refusal
    rule: RuleError | None = from_message(words) if words else None
    if rule is None and is_private_data(str(error)):
        return PrivateDataError(str(error))
    if rule is None and error.code in AWAY:
        error.hint = (
            "The own peer, or one that must endorse, does not answer, and no other member's word "
            "is taken for it: `consortium status` shows who is up, `consortium up --member NAME` "
            "starts a member's nodes."
        )
    return rule if rule is not None else error


def ledger_block(block: Block, chaincode: str, proof: BlockProof | None = None) -> LedgerBlock:
    """Return a block as an auditor needs it, with what this chaincode's transactions wrote."""
    return LedgerBlock(
        number=block.number,
        previous_hash=block.previous_hash,
        data_hash=block.data_hash,
        recomputed_data_hash=block.recomputed_data_hash,
        header_hash=block.header_hash,
        transactions=tuple(
            LedgerTransaction(
                transaction_id=row.transaction_id,
                creator_msp=row.creator_msp,
                timestamp_s=row.timestamp_s,
                valid=row.validation_code == "VALID",
                function=row.function,
                arguments=tuple(arg.decode("utf-8", "replace") for arg in row.args),
                writes=tuple(
                    (write.key, None if write.is_delete else write.value)
                    for write in row.writes
                    if write.namespace == chaincode
                ),
            )
            for row in block.transactions
        ),
        size_bytes=block.size_bytes,
        proof=proof,
    )
