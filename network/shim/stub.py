"""What a contract sees of the ledger while one transaction runs.

`LedgerStub` fits the `Ledger` protocol that the contract declares. Its semantics are Fabric's and
worth knowing (fabric-chaincode-go shim/interfaces.go): a read never sees this transaction's own
writes; an absent key, a deleted one and an expired private value read as `b""`; ranges are
checked again at commit (a key that appeared in between makes the transaction invalid), pages of
`states_page` and `history` are not and serve queries only. A contract uses the stub from the one
thread it was called in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from network.shim import requests
from network.shim.errors import LocalProtocolError
from network.shim.protocol import PeerAbilities, ProposalCreator, TransactionStarted
from network.shim.requests import KeyModification, Request, Write
from network.shim.written import WrittenValues

Result = TypeVar("Result")

#: Sent when a batch reaches this size, so that no message comes near the peer's limit.
BATCH_BYTES: Final = 32 * 1024 * 1024
#: Separates the parts of a composite key (fabric-chaincode-go shim/stub.go).
_SEPARATOR: Final = "\x00"
#: Largest code point; the end of a prefix's range.
_LAST: Final = "\U0010ffff"
#: A range with an empty start must skip the composite keys, which begin with U+0000.
_FIRST_SIMPLE: Final = "\x01"
#: Metadata that holds a key's own endorsement policy (state-based endorsement).
_VALIDATION_PARAMETER: Final = "VALIDATION_PARAMETER"


class LedgerStub:
    """One transaction's view of the ledger.

    Args:
        started: The transaction.
        abilities: What the peer can do.
        ask: Sends a request and waits for the answer's payload; raises `PeerError` where the peer
            refuses, `PeerHungUpError` where the stream ends.
        written: Private values that this process wrote before; they need not be sent back to it.
        batch_bytes: Writes are sent once they reach this size.
    """

    def __init__(
        self,
        started: TransactionStarted,
        abilities: PeerAbilities,
        ask: Callable[[Request], bytes],
        *,
        written: WrittenValues | None = None,
        batch_bytes: int = BATCH_BYTES,
    ) -> None:
        self._started = started
        self._abilities = abilities
        self._ask_peer = ask
        self._written = written
        self._batch_max_bytes = batch_bytes
        self._batch: list[Write] = []
        self._batch_bytes = 0
        self._abandoned: list[str] = []
        self._event: tuple[str, bytes] | None = None

    @property
    def args(self) -> tuple[bytes, ...]:
        """Arguments, function name first."""
        return self._started.args

    @property
    def channel(self) -> str:
        """Channel the transaction runs on."""
        return self._started.key.channel

    @property
    def transaction_id(self) -> str:
        """The transaction's id."""
        return self._started.key.transaction_id

    @property
    def creator(self) -> ProposalCreator:
        """Who proposed the transaction, as the peer has verified it."""
        return self._started.creator

    @property
    def timestamp_s(self) -> int:
        """Proposal's time, seconds since 1970: set by the proposer, the same for all endorsers."""
        return self._started.timestamp_s

    @property
    def transient(self) -> Mapping[str, bytes]:
        """Data that reach the endorsers and never the ledger."""
        return self._started.transient

    @property
    def event(self) -> tuple[str, bytes] | None:
        """Name and payload set by `set_event`."""
        return self._event

    def get_state(self, key: str) -> bytes:
        """Return a key's committed value, `b""` where absent."""
        return self._ask(requests.get_state(key))

    def get_states(self, keys: Sequence[str]) -> list[bytes]:
        """Return the committed values of several keys, in order."""
        return self._get_many(keys, "")

    def put_state(self, key: str, value: bytes) -> None:
        """Write a key; seen by other transactions once this one is committed."""
        self._write(requests.put(key, value))

    def delete_state(self, key: str) -> None:
        """Delete a key."""
        self._write(requests.delete(key))

    def set_key_policy(self, key: str, policy: bytes) -> None:
        """Give a key an endorsement policy of its own (an encoded SignaturePolicyEnvelope)."""
        self._write(requests.put_metadata(key, _VALIDATION_PARAMETER, policy))

    def states(self, kind: str, *attributes: str) -> Iterator[tuple[str, bytes]]:
        """Yield the keys that begin with this composite prefix, with values, sorted by key.

        Only what is committed: this transaction's own writes are not among them.
        """
        start, end = composite_range(kind, *attributes)
        return self._iterate(requests.get_range(start, end), requests.read_pair)

    def simple_states(self, start: str = "", end: str = "") -> Iterator[tuple[str, bytes]]:
        """Yield plain keys from `start`, included, to `end`, excluded; empty means all."""
        return self._iterate(requests.get_range(start or _FIRST_SIMPLE, end), requests.read_pair)

    def states_page(
        self, kind: str, *attributes: str, page_size: int, bookmark: str = ""
    ) -> tuple[list[tuple[str, bytes]], str]:
        """Return one page of `states` and the bookmark of the next, empty at the end.

        Not checked again at commit: for queries only.
        """
        if page_size < 1:
            raise LocalProtocolError(f"a page has at least 1 row, not {page_size}")
        start, end = composite_range(kind, *attributes)
        metadata = requests.page_metadata(page_size, bookmark)
        page = requests.read_page(self._ask(requests.get_range(start, end, metadata=metadata)))
        rows = [requests.read_pair(one) for one in page.results]
        while page.has_more:
            following = requests.read_page(self._ask(requests.next_page(page.iterator)))
            rows += [requests.read_pair(one) for one in following.results]
            if not following.has_more:
                break
        return rows, page.bookmark

    def history(self, key: str) -> Iterator[KeyModification]:
        """Yield a key's changes, newest first. Not checked at commit: for queries only."""
        return self._iterate(requests.get_history(key), requests.read_modification)

    def get_private(self, collection: str, key: str) -> bytes:
        """Return a private value, `b""` where absent or expired.

        Raises:
            PeerError: The peer's member is not in the collection, or the value has not arrived
                (one that this process wrote has).
        """
        if self._written is not None:
            known = self._written.find(self.private_hash(collection, key))
            if known is not None:
                return known
        return self._ask(requests.get_state(key, collection))

    def get_privates(self, collection: str, keys: Sequence[str]) -> list[bytes]:
        """Return several private values of one collection, in order."""
        return self._get_many(keys, collection)

    def put_private(self, collection: str, key: str, value: bytes) -> None:
        """Write a private value; the chain gets its hash alone."""
        self._write(requests.put(key, value, _named(collection)))
        if self._written is not None:
            self._written.keep(value)

    def delete_private(self, collection: str, key: str) -> None:
        """Delete a private value; older versions stay with the members until they expire."""
        self._write(requests.delete(key, _named(collection)))

    def purge_private(self, collection: str, key: str) -> None:
        """Delete a private value and every older version, at every member."""
        self._write(requests.purge(_named(collection), key))

    def private_hash(self, collection: str, key: str) -> bytes:
        """Return a private value's SHA-256, `b""` where absent or expired; any member may ask."""
        return self._ask(requests.get_private_hash(_named(collection), key))

    def set_event(self, name: str, payload: bytes) -> None:
        """Announce an event with this transaction; a transaction has one, the last set wins."""
        if not name:
            raise LocalProtocolError("an event needs a name")
        if not isinstance(payload, bytes):
            raise LocalProtocolError(f"a payload must be bytes, not {type(payload).__name__}")
        self._event = (name, payload)

    def flush(self) -> None:
        """Send the writes that are still held back; the server calls it when a contract is done."""
        batch_max = max(self._abilities.write_batch_max, 1)
        while self._batch:
            part: list[Write] = []
            size = 0
            for write in self._batch[:batch_max]:
                if part and size + len(write.value) > self._batch_max_bytes:
                    break
                part.append(write)
                size += len(write.value)
            self._ask(requests.write_batch(part))
            del self._batch[: len(part)]
        self._batch_bytes = 0

    def _write(self, write: Write) -> None:
        if not self._abilities.write_batch:
            self._ask(requests.write_alone(write))
            return
        self._batch.append(write)
        self._batch_bytes += len(write.value)
        if self._batch_bytes >= self._batch_max_bytes:
            self.flush()

    def _get_many(self, keys: Sequence[str], collection: str) -> list[bytes]:
        if not self._abilities.get_multiple:
            return [self._ask(requests.get_state(key, collection)) for key in keys]
        step = max(self._abilities.get_multiple_max, 1)
        values: list[bytes] = []
        for start in range(0, len(keys), step):
            part = list(keys[start : start + step])
            answer = self._ask(requests.get_states(part, collection))
            values += requests.read_values(answer, len(part))
        return values

    def _iterate(self, request: Request, read: Callable[[bytes], Result]) -> Iterator[Result]:
        page = requests.read_page(self._ask(request))
        finished = False
        try:
            while True:
                for encoded in page.results:
                    yield read(encoded)
                if not page.has_more:
                    finished = True
                    return
                page = requests.read_page(self._ask(requests.next_page(page.iterator)))
        finally:
            # A generator may be finalised in any thread and at any time, also while another
            # request is under way, so nothing is sent here: the next request closes it first.
            if not finished:
                self._abandoned.append(page.iterator)

    def _ask(self, request: Request) -> bytes:
        while self._abandoned:
            self._ask_peer(requests.close_iterator(self._abandoned.pop()))
        return self._ask_peer(request)


def composite_range(kind: str, *attributes: str) -> tuple[str, str]:
    r"""Return the range of all composite keys that begin with these parts.

    >>> composite_range("round", "lungs")
    ('\x00round\x00lungs\x00', '\x00round\x00lungs\x00\U0010ffff')
    """
    for part in (kind, *attributes):
        if _SEPARATOR in part or _LAST in part:
            raise LocalProtocolError("a composite key's part holds U+0000 or U+10FFFF")
    start = _SEPARATOR + _SEPARATOR.join((kind, *attributes)) + _SEPARATOR
    return start, start + _LAST


def _named(collection: str) -> str:
    if not collection:
        raise LocalProtocolError("a private value needs the name of its collection")
    return collection
