"""What a contract may ask its peer, as messages, and the answers to it, as Python values.

Message meanings follow fabric-protos peer/chaincode_shim.proto. A reading function gets bytes from
the peer and raises `RemoteProtocolError` where they do not decode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fabric_protos.ledger.queryresult import kv_query_result_pb2
from fabric_protos.peer import chaincode_shim_pb2

from network.errors import MalformedBytesError
from network.shim.errors import LocalProtocolError, RemoteProtocolError
from network.wire.decoding import decode

_TYPES: Final = chaincode_shim_pb2.ChaincodeMessage


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the peer: its chaincode_shim message type and encoded body."""

    kind: int
    body: bytes = field(repr=False)

    @property
    def name(self) -> str:
        """Name of the message type, such as "GET_STATE"."""
        return str(_TYPES.Type.Name(self.kind))


@dataclass(frozen=True, slots=True)
class KeyModification:
    """One change in a key's history.

    Attributes:
        transaction_id: Transaction that made it.
        timestamp_s: Its proposal's time, seconds since 1970.
        value: The value written, empty for a deletion.
        is_delete: Whether the key was deleted.
    """

    transaction_id: str
    timestamp_s: int
    value: bytes = field(repr=False)
    is_delete: bool


@dataclass(frozen=True, slots=True)
class QueryPage:
    """A piece of an iterator's results.

    Attributes:
        results: Encoded results.
        has_more: Whether the iterator is still open at the peer.
        iterator: Its id there.
        bookmark: Where the next page of a paginated query starts.
    """

    results: tuple[bytes, ...] = field(repr=False)
    has_more: bool
    iterator: str
    bookmark: str


def _request(kind: int, build: Callable[[], Any]) -> Request:
    try:
        return Request(kind, bytes(build().SerializeToString()))
    except (TypeError, ValueError) as error:
        # Values that protobuf cannot hold: no text, no bytes, half of a surrogate pair. The text
        # of protobuf's error is left out, it quotes the value.
        name = _TYPES.Type.Name(kind)
        raise LocalProtocolError(f"{name} got a key or value it cannot send") from error


def get_state(key: str, collection: str = "") -> Request:
    """Ask for a value."""
    return _request(
        _TYPES.GET_STATE, lambda: chaincode_shim_pb2.GetState(key=key, collection=collection)
    )


def get_states(keys: Sequence[str], collection: str = "") -> Request:
    """Ask for several values at once (peers of Fabric 3.1 and later)."""
    return _request(
        _TYPES.GET_STATE_MULTIPLE,
        lambda: chaincode_shim_pb2.GetStateMultiple(keys=keys, collection=collection),
    )


def get_private_hash(collection: str, key: str) -> Request:
    """Ask for the SHA-256 of a private value."""
    return _request(
        _TYPES.GET_PRIVATE_DATA_HASH,
        lambda: chaincode_shim_pb2.GetState(key=key, collection=collection),
    )


def get_range(start: str, end: str, *, metadata: bytes = b"") -> Request:
    """Ask for the keys from `start`, included, to `end`, excluded."""
    return _request(
        _TYPES.GET_STATE_BY_RANGE,
        lambda: chaincode_shim_pb2.GetStateByRange(startKey=start, endKey=end, metadata=metadata),
    )


def get_history(key: str) -> Request:
    """Ask for the changes of a key, newest first."""
    return _request(
        _TYPES.GET_HISTORY_FOR_KEY, lambda: chaincode_shim_pb2.GetHistoryForKey(key=key)
    )


def next_page(iterator: str) -> Request:
    """Ask for more of an iterator."""
    return _request(_TYPES.QUERY_STATE_NEXT, lambda: chaincode_shim_pb2.QueryStateNext(id=iterator))


def close_iterator(iterator: str) -> Request:
    """Tell the peer that an iterator is not needed any more."""
    return _request(
        _TYPES.QUERY_STATE_CLOSE, lambda: chaincode_shim_pb2.QueryStateClose(id=iterator)
    )


def page_metadata(page_size: int, bookmark: str) -> bytes:
    """Encode the wish for one page of a range."""
    message = chaincode_shim_pb2.QueryMetadata(pageSize=page_size, bookmark=bookmark)
    return bytes(message.SerializeToString())


@dataclass(frozen=True, slots=True)
class Write:
    """One write, to be sent alone or in a batch.

    Attributes:
        kind: PUT_STATE, DEL_STATE, PURGE_PRIVATE_DATA or PUT_STATE_METADATA.
        key: Key, not empty.
        value: Value; empty where the kind has none.
        collection: Private collection, empty for public state.
        metadata_key: Name of the metadata, for PUT_STATE_METADATA.
    """

    kind: int
    key: str
    value: bytes = field(default=b"", repr=False)
    collection: str = ""
    metadata_key: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.key, str) or not self.key:
            raise LocalProtocolError("a key to write must be text that is not empty")
        if not isinstance(self.value, bytes):
            raise LocalProtocolError(f"a value must be bytes, not {type(self.value).__name__}")


def put(key: str, value: bytes, collection: str = "") -> Write:
    """Write a value."""
    return Write(_TYPES.PUT_STATE, key, value, collection)


def delete(key: str, collection: str = "") -> Write:
    """Delete a key."""
    return Write(_TYPES.DEL_STATE, key, b"", collection)


def purge(collection: str, key: str) -> Write:
    """Delete a private key and, at every member, what was ever written under it."""
    return Write(_TYPES.PURGE_PRIVATE_DATA, key, b"", collection)


def put_metadata(key: str, name: str, value: bytes) -> Write:
    """Write a key's metadata, such as its own endorsement policy."""
    return Write(_TYPES.PUT_STATE_METADATA, key, value, metadata_key=name)


def write_alone(write: Write) -> Request:
    """One write as a message of its own, as peers before Fabric 3 want it."""
    where = {"key": write.key, "collection": write.collection}
    if write.kind == _TYPES.PUT_STATE:
        return _request(write.kind, lambda: chaincode_shim_pb2.PutState(value=write.value, **where))
    if write.kind == _TYPES.DEL_STATE:
        return _request(write.kind, lambda: chaincode_shim_pb2.DelState(**where))
    if write.kind == _TYPES.PURGE_PRIVATE_DATA:
        return _request(write.kind, lambda: chaincode_shim_pb2.PurgePrivateState(**where))
    return _request(
        write.kind,
        lambda: chaincode_shim_pb2.PutStateMetadata(metadata=_metadata(write), **where),
    )


def write_batch(writes: Sequence[Write]) -> Request:
    """Several writes in one message; later ones win over earlier ones of the same key."""

    def build() -> Any:
        return chaincode_shim_pb2.WriteBatchState(rec=[_record(write) for write in writes])

    return _request(_TYPES.WRITE_BATCH_STATE, build)


def _metadata(write: Write) -> Any:
    return chaincode_shim_pb2.StateMetadata(metakey=write.metadata_key, value=write.value)


def _record(write: Write) -> Any:
    kind = _TYPES.Type.Name(write.kind)
    record = chaincode_shim_pb2.WriteRecord(
        key=write.key,
        collection=write.collection,
        type=chaincode_shim_pb2.WriteRecord.Type.Value(kind),
    )
    if write.kind == _TYPES.PUT_STATE_METADATA:
        record.metadata.CopyFrom(_metadata(write))
    else:
        record.value = write.value
    return record


def _read(kind: Any, encoded: bytes, what: str) -> Any:
    try:
        return decode(kind, encoded, what=what)
    except MalformedBytesError as error:
        raise RemoteProtocolError(f"the peer's answer: {error}") from None


def read_values(encoded: bytes, expected: int) -> list[bytes]:
    """Read the answer to `get_states`."""
    values = list(_read(chaincode_shim_pb2.GetStateMultipleResult, encoded, "values").values)
    if len(values) != expected:
        raise RemoteProtocolError(f"asked for {expected} values, the peer sent {len(values)}")
    return values


def read_page(encoded: bytes) -> QueryPage:
    """Read the answer to a range, a history or `next_page`."""
    answer = _read(chaincode_shim_pb2.QueryResponse, encoded, "a query's results")
    metadata = _read(
        chaincode_shim_pb2.QueryResponseMetadata, answer.metadata, "a query's metadata"
    )
    return QueryPage(
        results=tuple(one.resultBytes for one in answer.results),
        has_more=answer.has_more,
        iterator=answer.id,
        bookmark=metadata.bookmark,
    )


def read_pair(encoded: bytes) -> tuple[str, bytes]:
    """Read one result of a range: key and value."""
    pair = _read(kv_query_result_pb2.KV, encoded, "a key and value")
    return str(pair.key), bytes(pair.value)


def read_modification(encoded: bytes) -> KeyModification:
    """Read one result of a history."""
    change = _read(kv_query_result_pb2.KeyModification, encoded, "a change of a key")
    return KeyModification(
        change.tx_id, int(change.timestamp.seconds), bytes(change.value), bool(change.is_delete)
    )
