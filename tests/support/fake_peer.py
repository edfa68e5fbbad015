"""A peer to test the chaincode side against: over plain bytes, or over gRPC on loopback.

`FakePeer` is the peer's half of the conversation without I/O, with a ledger of its own that has
Fabric's semantics: reads see committed values only, writes count once the transaction is
completed with status 200, iterators come in batches, private values have hashes. `DialledPeer`
speaks for it over a real gRPC stream.

>>> from network.shim.protocol import ShimConnection
>>> peer = FakePeer()
>>> connection = ShimConnection("federation_1:abc")
>>> [type(connection.receive(m)).__name__ for m in peer.take(connection.register())]
['Registered', 'PeerReady']
"""

from __future__ import annotations

import hashlib
import queue
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.ledger.queryresult import kv_query_result_pb2
from fabric_protos.peer import (
    chaincode_pb2,
    chaincode_shim_pb2,
    proposal_pb2,
    proposal_response_pb2,
)

from network.wire.identity import serialize_identity

T = chaincode_shim_pb2.ChaincodeMessage
CHANNEL = "consortium"
#: 2026-11-25 00:00:00 UTC, the time of every proposal of these tests.
PROPOSED_AT = datetime(2026, 11, 25, tzinfo=UTC)


def signed_proposal(
    transient: Mapping[str, bytes], msp_id: str, certificate_pem: bytes
) -> proposal_pb2.SignedProposal:
    """Build what a client would have proposed, as far as a chaincode looks at it."""
    channel_header = common_pb2.ChannelHeader(channel_id=CHANNEL)
    channel_header.timestamp.FromDatetime(PROPOSED_AT)
    header = common_pb2.Header(
        channel_header=channel_header.SerializeToString(),
        signature_header=common_pb2.SignatureHeader(
            creator=serialize_identity(msp_id, certificate_pem)
        ).SerializeToString(),
    )
    payload = proposal_pb2.ChaincodeProposalPayload(TransientMap=dict(transient))
    proposal = proposal_pb2.Proposal(
        header=header.SerializeToString(), payload=payload.SerializeToString()
    )
    return proposal_pb2.SignedProposal(proposal_bytes=proposal.SerializeToString())


@dataclass
class Outcome:
    """How a transaction ended."""

    status: int
    message: str
    payload: bytes
    event: tuple[str, bytes] | None


@dataclass
class _Running:
    writes: list[tuple[int, str, str, bytes, str]] = field(default_factory=list)
    iterators: dict[str, list[bytes]] = field(default_factory=dict)


class FakePeer:
    """The peer's half of the conversation.

    Args:
        write_batch: Whether it takes batches, as peers of Fabric 3 do.
        get_multiple: Whether it answers several keys at once, as peers of Fabric 3.1 do.
        batch_rows: Results of an iterator that travel in one message.
        batch_max: Most writes, or keys, in one message.
    """

    def __init__(
        self,
        *,
        write_batch: bool = True,
        get_multiple: bool = True,
        batch_rows: int = 2,
        batch_max: int = 100,
    ) -> None:
        self.write_batch = write_batch
        self.get_multiple = get_multiple
        self.batch_rows = batch_rows
        self.batch_max = batch_max
        self.package_id = ""
        self.state: dict[str, bytes] = {}
        self.metadata: dict[tuple[str, str], bytes] = {}
        self.private: dict[tuple[str, str], bytes] = {}
        self.history: dict[str, list[kv_query_result_pb2.KeyModification]] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.keepalives = 0
        #: Collections this peer's member has no part in: reads are refused as a peer words it.
        self.foreign_collections: set[str] = set()
        #: Names of the requests seen, in order.
        self.asked: list[str] = []
        self._running: dict[tuple[str, str], _Running] = {}

    def begin(
        self,
        transaction_id: str,
        *args: str | bytes,
        transient: Mapping[str, bytes] | None = None,
        msp_id: str = "NorthMSP",
        certificate_pem: bytes = b"a certificate",
        channel: str = CHANNEL,
        kind: int = T.TRANSACTION,
    ) -> bytes:
        """Start a transaction and return the message that asks the chaincode to run it."""
        self._running[channel, transaction_id] = _Running()
        encoded = [arg.encode() if isinstance(arg, str) else arg for arg in args]
        return T(
            type=kind,
            payload=chaincode_pb2.ChaincodeInput(args=encoded).SerializeToString(),
            txid=transaction_id,
            channel_id=channel,
            proposal=signed_proposal(transient or {}, msp_id, certificate_pem),
        ).SerializeToString()

    def keepalive(self) -> bytes:
        """Return a request for a sign of life."""
        return T(type=T.KEEPALIVE).SerializeToString()

    def take(self, encoded: bytes) -> list[bytes]:
        """Take a message of the chaincode and return the answers."""
        message = T.FromString(encoded)
        if message.type == T.REGISTER:
            self.package_id = chaincode_pb2.ChaincodeID.FromString(message.payload).name
            params = chaincode_pb2.ChaincodeAdditionalParams(
                use_write_batch=self.write_batch,
                max_size_write_batch=self.batch_max if self.write_batch else 0,
                use_get_multiple_keys=self.get_multiple,
                max_size_get_multiple_keys=self.batch_max if self.get_multiple else 0,
            )
            return [
                T(type=T.REGISTERED).SerializeToString(),
                T(type=T.READY, payload=params.SerializeToString()).SerializeToString(),
            ]
        if message.type == T.KEEPALIVE:
            self.keepalives += 1
            return []
        if message.type == T.COMPLETED:
            self._complete(message)
            return []
        return [self._answer(message).SerializeToString()]

    def _complete(self, message: Any) -> None:
        running = self._running.pop((message.channel_id, message.txid))
        response = proposal_response_pb2.Response.FromString(message.payload)
        event = None
        if message.HasField("chaincode_event"):
            event = (message.chaincode_event.event_name, message.chaincode_event.payload)
        self.outcomes[message.txid] = Outcome(
            response.status, response.message, response.payload, event
        )
        if response.status == 200:
            for write in running.writes:
                self._apply(message.txid, *write)

    def _apply(
        self, transaction_id: str, kind: int, key: str, collection: str, value: bytes, name: str
    ) -> None:
        if kind == T.PUT_STATE_METADATA:
            self.metadata[key, name] = value
            return
        if collection:
            if kind == T.PUT_STATE:
                self.private[collection, key] = value
            else:
                self.private.pop((collection, key), None)
            return
        deleted = kind != T.PUT_STATE
        if deleted:
            self.state.pop(key, None)
        else:
            self.state[key] = value
        change = kv_query_result_pb2.KeyModification(
            tx_id=transaction_id, value=value, is_delete=deleted
        )
        change.timestamp.FromDatetime(PROPOSED_AT)
        self.history.setdefault(key, []).insert(0, change)

    def _answer(self, message: Any) -> Any:
        self.asked.append(T.Type.Name(message.type))
        reply = T(type=T.RESPONSE, txid=message.txid, channel_id=message.channel_id)
        try:
            running = self._running[message.channel_id, message.txid]
            reply.payload = self._result(message.type, message.payload, running)
        except (KeyError, PermissionError) as error:
            reply.type = T.ERROR
            reply.payload = str(error).encode()
        return reply

    def _read(self, key: str, collection: str) -> bytes:
        if collection in self.foreign_collections:
            raise PermissionError(
                "private data matching public hash version is not available. Public hash "
                "version = {BlockNum: 549, TxNum: 0}, Private data version = <nil>"
            )
        if collection:
            return self.private.get((collection, key), b"")
        return self.state.get(key, b"")

    def _result(self, kind: int, payload: bytes, running: _Running) -> bytes:
        p = chaincode_shim_pb2
        if kind == T.GET_STATE:
            ask = p.GetState.FromString(payload)
            return self._read(ask.key, ask.collection)
        if kind == T.GET_STATE_MULTIPLE:
            many = p.GetStateMultiple.FromString(payload)
            if not self.get_multiple or len(many.keys) > self.batch_max:
                raise PermissionError("too many keys")
            values = [self._read(key, many.collection) for key in many.keys]
            return p.GetStateMultipleResult(values=values).SerializeToString()
        if kind == T.GET_PRIVATE_DATA_HASH:
            ask = p.GetState.FromString(payload)
            value = self.private.get((ask.collection, ask.key))
            return hashlib.sha256(value).digest() if value is not None else b""
        if kind == T.GET_STATE_BY_RANGE:
            return self._range(p.GetStateByRange.FromString(payload), running)
        if kind == T.GET_HISTORY_FOR_KEY:
            changes = self.history.get(p.GetHistoryForKey.FromString(payload).key, [])
            return self._batch([one.SerializeToString() for one in changes], running)
        if kind == T.QUERY_STATE_NEXT:
            iterator = p.QueryStateNext.FromString(payload).id
            return self._batch(running.iterators.pop(iterator), running, iterator)
        if kind == T.QUERY_STATE_CLOSE:
            del running.iterators[p.QueryStateClose.FromString(payload).id]
            return b""
        self._write(kind, payload, running)
        return b""

    def _write(self, kind: int, payload: bytes, running: _Running) -> None:
        p = chaincode_shim_pb2
        if kind == T.WRITE_BATCH_STATE:
            records = p.WriteBatchState.FromString(payload).rec
            if not self.write_batch or len(records) > self.batch_max:
                raise PermissionError("too many writes")
            for one in records:
                if one.type == T.PUT_STATE_METADATA:
                    value, name = one.metadata.value, one.metadata.metakey
                else:
                    value, name = one.value, ""
                running.writes.append((one.type, one.key, one.collection, value, name))
        elif kind == T.PUT_STATE:
            put = p.PutState.FromString(payload)
            running.writes.append((kind, put.key, put.collection, put.value, ""))
        elif kind == T.PUT_STATE_METADATA:
            meta = p.PutStateMetadata.FromString(payload)
            running.writes.append(
                (kind, meta.key, meta.collection, meta.metadata.value, meta.metadata.metakey)
            )
        elif kind in (T.DEL_STATE, T.PURGE_PRIVATE_DATA):
            gone = p.DelState.FromString(payload)  # PurgePrivateState has the same fields
            running.writes.append((kind, gone.key, gone.collection, b"", ""))
        else:
            raise PermissionError(f"this peer does not do {T.Type.Name(kind)}")

    def _range(self, ask: Any, running: _Running) -> bytes:
        start, bookmark, size = ask.startKey, "", 0
        if ask.metadata:
            wish = chaincode_shim_pb2.QueryMetadata.FromString(ask.metadata)
            start, size = wish.bookmark or start, wish.pageSize
        rows = [
            (key, value)
            for key, value in sorted(self.state.items())
            if start <= key and (not ask.endKey or key < ask.endKey)
        ]
        if size and len(rows) > size:
            bookmark, rows = rows[size][0], rows[:size]
        encoded = [
            kv_query_result_pb2.KV(key=key, value=value).SerializeToString() for key, value in rows
        ]
        metadata = b""
        if size:
            metadata = chaincode_shim_pb2.QueryResponseMetadata(
                fetched_records_count=len(rows), bookmark=bookmark
            ).SerializeToString()
        return self._batch(encoded, running, metadata=metadata)

    def _batch(
        self, rows: list[bytes], running: _Running, iterator: str = "", metadata: bytes = b""
    ) -> bytes:
        now, later = rows[: self.batch_rows], rows[self.batch_rows :]
        iterator = iterator or f"iterator {len(self.asked)}"
        if later:
            running.iterators[iterator] = later
        return chaincode_shim_pb2.QueryResponse(
            results=[chaincode_shim_pb2.QueryResultBytes(resultBytes=one) for one in now],
            has_more=bool(later),
            id=iterator,
            metadata=metadata,
        ).SerializeToString()


class DialledPeer:
    """A `FakePeer` at the other end of a gRPC stream.

    Args:
        peer: The peer.
        target: "host:port" of the chaincode service.
        credentials: TLS, or None for plain text.
        hold: Answers are held back until so many wait, then sent in a shuffled order.
        rng: Source of that order.
    """

    def __init__(
        self,
        peer: FakePeer,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        hold: int = 1,
        rng: random.Random | None = None,
    ) -> None:
        self.peer = peer
        self.target = target
        self._hold = hold
        self._rng = rng or random.Random(0)
        self._held: list[bytes] = []
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self.error: grpc.RpcError | None = None
        self.ended = False
        options = [
            ("grpc.max_receive_message_length", 100 << 20),
            ("grpc.max_send_message_length", 100 << 20),
        ]
        if credentials is None:
            self._channel = grpc.insecure_channel(target, options)
        else:
            self._channel = grpc.secure_channel(target, credentials, options)
        connect = self._channel.stream_stream("/protos.Chaincode/Connect")
        self._call = connect(self._messages())
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _messages(self) -> Iterator[bytes]:
        while (message := self._outgoing.get()) is not None:
            yield message

    def _read(self) -> None:
        try:
            for message in self._call:
                with self._changed:
                    was_known = self.peer.package_id != ""
                    self._held += self.peer.take(message)
                    if not was_known or len(self._held) >= self._hold:
                        self._release()
                    self._changed.notify_all()
        except grpc.RpcError as error:
            self.error = error
        finally:
            with self._changed:
                self.ended = True
                self._changed.notify_all()

    def _release(self) -> None:
        if len(self._held) >= self._hold > 1:
            self._rng.shuffle(self._held)
        for message in self._held:
            self._outgoing.put(message)
        self._held = []

    def send(self, message: bytes) -> None:
        """Send any bytes."""
        self._outgoing.put(message)

    def start(self, transaction_id: str, *args: str | bytes, **more: Any) -> None:
        """Start a transaction, once the chaincode has registered, without waiting for its end."""
        self.wait_for(lambda: self.peer.package_id != "" or self.ended)
        with self._changed:
            message = self.peer.begin(transaction_id, *args, **more)
        self._outgoing.put(message)

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait until something holds about the peer."""
        with self._changed:
            assert self._changed.wait_for(condition, timeout_s), "the peer waited in vain"

    def outcome(self, transaction_id: str) -> Outcome:
        """Wait for a transaction's end."""
        self.wait_for(lambda: transaction_id in self.peer.outcomes or self.ended)
        return self.peer.outcomes[transaction_id]

    def run(self, transaction_id: str, *args: str | bytes, **more: Any) -> Outcome:
        """Run a transaction to its end."""
        self.start(transaction_id, *args, **more)
        return self.outcome(transaction_id)

    def hang_up(self) -> None:
        """Cut the stream, as a peer that dies."""
        self._call.cancel()

    def close(self) -> None:
        """Leave nothing behind."""
        self._outgoing.put(None)
        self._call.cancel()
        self._reader.join(5)
        self._channel.close()


def outcomes_of(peer: DialledPeer, transaction_ids: Sequence[str]) -> list[Outcome]:
    """Wait for several transactions' ends."""
    return [peer.outcome(one) for one in transaction_ids]
