"""The chaincode's side of Fabric's peer conversation, without I/O.

`ShimConnection` takes messages from a peer and answers with events, and turns requests into
messages. It opens no socket, starts no thread and reads no clock; `network.shim.server` does.
Message meanings follow fabric-protos peer/chaincode_shim.proto; the order of states follows
fabric-chaincode-go shim/handler.go. Whatever a peer sends is either understood or refused with
`RemoteProtocolError`, never with anything else. Not thread-safe: the caller holds a lock.

    CREATED --register()--> REGISTERING --REGISTERED--> ESTABLISHED --READY--> READY
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from fabric_protos.common import common_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    chaincode_pb2,
    chaincode_shim_pb2,
    proposal_pb2,
    proposal_response_pb2,
)

from network.errors import MalformedBytesError
from network.shim.errors import LocalProtocolError, RemoteProtocolError
from network.shim.requests import Request
from network.wire.decoding import decode

_TYPES: Final = chaincode_shim_pb2.ChaincodeMessage

#: 100 MiB, the peer's own limit (core/comm/config.go); a larger message would cost the stream.
MAX_MESSAGE_BYTES: Final = 100 * 1024 * 1024
#: Room for type, ids and the event around a body.
_ENVELOPE_BYTES: Final = 64 * 1024
#: A refusal's text is cut here: it travels in error details, which gRPC sends as metadata.
MAX_REFUSAL_CHARACTERS: Final = 2000

OK: Final = 200
REFUSED: Final = 500


class State(enum.Enum):
    """Where the conversation is."""

    CREATED = "created"
    REGISTERING = "registering"
    ESTABLISHED = "established"
    READY = "ready"
    CLOSED = "closed"


#: (state, message type from the peer) -> next state. Anything absent is refused.
TRANSITIONS: Final = MappingProxyType(
    {
        (State.REGISTERING, _TYPES.REGISTERED): State.ESTABLISHED,
        (State.REGISTERING, _TYPES.KEEPALIVE): State.REGISTERING,
        (State.ESTABLISHED, _TYPES.READY): State.READY,
        (State.ESTABLISHED, _TYPES.KEEPALIVE): State.ESTABLISHED,
        (State.READY, _TYPES.KEEPALIVE): State.READY,
        (State.READY, _TYPES.INIT): State.READY,
        (State.READY, _TYPES.TRANSACTION): State.READY,
        (State.READY, _TYPES.RESPONSE): State.READY,
        (State.READY, _TYPES.ERROR): State.READY,
    }
)


@dataclass(frozen=True, slots=True)
class TransactionKey:
    """What names a running transaction: ids are unique in a channel only."""

    channel: str
    transaction_id: str


@dataclass(frozen=True, slots=True)
class PeerAbilities:
    """What the peer can do, from its READY; peers before Fabric 3 send none.

    Attributes:
        write_batch: Takes several writes in one message.
        write_batch_max: At most so many.
        get_multiple: Answers several keys in one message.
        get_multiple_max: At most so many.
    """

    write_batch: bool = False
    write_batch_max: int = 0
    get_multiple: bool = False
    get_multiple_max: int = 0


@dataclass(frozen=True, slots=True)
class ProposalCreator:
    """Who signed the proposal, as the peer has verified it."""

    msp_id: str
    certificate_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Registered:
    """The peer knows this chaincode."""


@dataclass(frozen=True, slots=True)
class PeerReady:
    """The peer may send transactions now."""

    abilities: PeerAbilities


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """The peer wants a sign of life: send `reply` back."""

    reply: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TransactionStarted:
    """A contract is to be run.

    Attributes:
        key: Channel and transaction.
        args: Arguments, function name first.
        creator: Who proposed it.
        timestamp_s: Proposal's time by the proposer's clock, seconds since 1970.
        transient: Data that never reach the ledger.
    """

    key: TransactionKey
    args: tuple[bytes, ...] = field(repr=False)
    creator: ProposalCreator
    timestamp_s: int
    transient: Mapping[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answered:
    """The peer's answer to a transaction's one outstanding request."""

    key: TransactionKey
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """The peer could not do what a transaction asked."""

    key: TransactionKey
    message: str


Event = Registered | PeerReady | KeepAlive | TransactionStarted | Answered | Refused


class ShimConnection:
    """One stream from one peer.

    Args:
        package_id: Id of the chaincode's package as installed, "label:sha256".
    """

    def __init__(self, package_id: str) -> None:
        self._package_id = package_id
        self._state = State.CREATED
        self._abilities = PeerAbilities()
        #: Running transactions, each with the name of the request it waits for.
        self._waiting: dict[TransactionKey, str | None] = {}

    @property
    def state(self) -> State:
        """Where the conversation is."""
        return self._state

    @property
    def abilities(self) -> PeerAbilities:
        """What the peer can do; nothing special before it is ready."""
        return self._abilities

    def register(self) -> bytes:
        """Return the message that opens the conversation: the chaincode speaks first.

        Raises:
            LocalProtocolError: It was opened before.
        """
        if self._state is not State.CREATED:
            raise LocalProtocolError(f"cannot register, the conversation is {self._state.value}")
        self._state = State.REGISTERING
        payload = chaincode_pb2.ChaincodeID(name=self._package_id).SerializeToString()
        return _encode(_TYPES.REGISTER, payload)

    def receive(self, encoded: bytes) -> Event:
        """Take one message from the peer and say what it means.

        Raises:
            RemoteProtocolError: The message is malformed or out of turn. The conversation is
                then over, since peer and chaincode no longer agree on what is running.
        """
        try:
            return self._receive(encoded)
        except MalformedBytesError as error:
            self._state = State.CLOSED
            raise RemoteProtocolError(str(error)) from None
        except RemoteProtocolError:
            self._state = State.CLOSED
            raise

    def _receive(self, encoded: bytes) -> Event:
        message = decode(_TYPES, encoded, what="a message of the peer")
        following = TRANSITIONS.get((self._state, message.type))
        if following is None:
            raise RemoteProtocolError(
                f"the peer sent {_type_name(message.type)} while the conversation is "
                f"{self._state.value}"
            )
        event = self._understand(message, encoded)
        self._state = following
        return event

    def _understand(self, message: Any, encoded: bytes) -> Event:
        key = TransactionKey(message.channel_id, message.txid)
        kind = message.type
        if kind == _TYPES.KEEPALIVE:
            return KeepAlive(encoded)
        if kind == _TYPES.REGISTERED:
            return Registered()
        if kind == _TYPES.READY:
            self._abilities = _read_abilities(message.payload)
            return PeerReady(self._abilities)
        if kind in (_TYPES.TRANSACTION, _TYPES.INIT):
            if key in self._waiting:
                raise RemoteProtocolError(f"transaction {_short(key)} is running already")
            started = _read_transaction(key, message)
            self._waiting[key] = None
            return started
        if self._waiting.get(key) is None:
            raise RemoteProtocolError(f"transaction {_short(key)} got an answer, but asked nothing")
        asked = self._waiting[key]
        self._waiting[key] = None
        if kind == _TYPES.RESPONSE:
            return Answered(key, message.payload)
        return Refused(key, f"{asked}: {message.payload.decode('utf-8', 'replace')}")

    def request(self, key: TransactionKey, request: Request) -> bytes:
        """Return the message with which a transaction asks its peer something.

        Raises:
            LocalProtocolError: The transaction is not running, has an unanswered request already,
                or the message is too large.
        """
        if self._state is not State.READY:
            raise LocalProtocolError(f"cannot ask, the conversation is {self._state.value}")
        if key not in self._waiting:
            raise LocalProtocolError(f"transaction {_short(key)} is not running")
        if self._waiting[key] is not None:
            raise LocalProtocolError(
                f"transaction {_short(key)} still waits for {self._waiting[key]}"
            )
        if len(request.body) > MAX_MESSAGE_BYTES - _ENVELOPE_BYTES:
            raise LocalProtocolError(
                f"{request.name} has {len(request.body)} bytes, a peer takes "
                f"{MAX_MESSAGE_BYTES - _ENVELOPE_BYTES}"
            )
        encoded = _encode(request.kind, request.body, key)
        self._waiting[key] = request.name
        return encoded

    def complete(
        self, key: TransactionKey, payload: bytes, event: tuple[str, bytes] | None = None
    ) -> bytes:
        """Return the message that ends a transaction well, with its event on it.

        Raises:
            LocalProtocolError: The transaction is not running, or the answer is too large; the
                transaction then still runs and can be refused.
        """
        self._check_running(key)
        size = len(payload) + (len(event[0]) + len(event[1]) if event else 0)
        if size > MAX_MESSAGE_BYTES - _ENVELOPE_BYTES:
            raise LocalProtocolError(
                f"the answer has {size} bytes, a peer takes {MAX_MESSAGE_BYTES - _ENVELOPE_BYTES}"
            )
        response = proposal_response_pb2.Response(status=OK, payload=payload)
        announced = None
        if event is not None:
            announced = chaincode_event_pb2.ChaincodeEvent(event_name=event[0], payload=event[1])
        encoded = _encode(_TYPES.COMPLETED, response.SerializeToString(), key, announced)
        del self._waiting[key]
        return encoded

    def refuse(self, key: TransactionKey, message: str) -> bytes:
        """Return the message that ends a transaction with status 500: nothing is written.

        A failed contract still answers COMPLETED; ERROR is for failures of the shim itself
        (fabric-chaincode-go shim/handler.go, "Endorser will handle error contained in Response").

        Raises:
            LocalProtocolError: The transaction is not running.
        """
        self._check_running(key)
        text = message.encode("utf-8", "replace").decode()[:MAX_REFUSAL_CHARACTERS]
        response = proposal_response_pb2.Response(status=REFUSED, message=text)
        encoded = _encode(_TYPES.COMPLETED, response.SerializeToString(), key)
        del self._waiting[key]
        return encoded

    def close(self) -> tuple[TransactionKey, ...]:
        """End the conversation and return the transactions that were running."""
        self._state = State.CLOSED
        running = tuple(self._waiting)
        self._waiting.clear()
        return running

    def _check_running(self, key: TransactionKey) -> None:
        if self._state is not State.READY:
            raise LocalProtocolError(f"cannot answer, the conversation is {self._state.value}")
        if key not in self._waiting:
            raise LocalProtocolError(f"transaction {_short(key)} is not running")


def _encode(
    kind: int, payload: bytes, key: TransactionKey | None = None, event: Any = None
) -> bytes:
    message = _TYPES(
        type=kind,
        payload=payload,
        txid=key.transaction_id if key else "",
        channel_id=key.channel if key else "",
        chaincode_event=event,
    )
    return bytes(message.SerializeToString())


def _short(key: TransactionKey) -> str:
    return repr(key.transaction_id[:16])


def _type_name(kind: int) -> str:
    try:
        return str(_TYPES.Type.Name(kind))
    except ValueError:
        return f"message type {kind}"


def _read_abilities(payload: bytes) -> PeerAbilities:
    given = decode(chaincode_pb2.ChaincodeAdditionalParams, payload, what="the peer's abilities")
    return PeerAbilities(
        write_batch=given.use_write_batch,
        write_batch_max=given.max_size_write_batch,
        get_multiple=given.use_get_multiple_keys,
        get_multiple_max=given.max_size_get_multiple_keys,
    )


def _read_transaction(key: TransactionKey, message: Any) -> TransactionStarted:
    """Read arguments and signed proposal, one layer at a time."""
    given = decode(chaincode_pb2.ChaincodeInput, message.payload, what="a chaincode's arguments")
    proposal = decode(
        proposal_pb2.Proposal, message.proposal.proposal_bytes, what="a transaction's proposal"
    )
    header = decode(common_pb2.Header, proposal.header, what="a proposal's header")
    channel_header = decode(
        common_pb2.ChannelHeader, header.channel_header, what="a proposal's channel header"
    )
    signature_header = decode(
        common_pb2.SignatureHeader, header.signature_header, what="a proposal's signature header"
    )
    creator = decode(
        identities_pb2.SerializedIdentity, signature_header.creator, what="a proposal's creator"
    )
    if not creator.mspid:
        raise RemoteProtocolError(f"transaction {_short(key)} came without a creator")
    payload = decode(
        proposal_pb2.ChaincodeProposalPayload, proposal.payload, what="a proposal's payload"
    )
    return TransactionStarted(
        key=key,
        args=tuple(given.args),
        creator=ProposalCreator(creator.mspid, creator.id_bytes),
        timestamp_s=int(channel_header.timestamp.seconds),
        transient=MappingProxyType(dict(payload.TransientMap)),
    )
