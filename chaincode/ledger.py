"""What the contract sees of Fabric: a protocol of plain Python types.

The shim's stub and `chaincode.memory_ledger` both satisfy it; the contract knows no other way to
the outside. Meanings are Fabric's (fabric-chaincode-go, shim/interfaces.go): a read never sees
this transaction's own writes, an absent key reads as ``b""``, and reads are checked again at
commit while blind writes are not. Nothing here reads a clock or draws a random number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Creator:
    """Who signed the proposal, as the peer has verified it.

    Attributes:
        msp_id: Organisation, for example ``NorthMSP``.
        certificate_pem: The signer's X.509 certificate, PEM.
    """

    msp_id: str
    certificate_pem: bytes


@dataclass(frozen=True, slots=True)
class Modification:
    """One committed change of a key.

    Attributes:
        transaction_id: The transaction that made it.
        timestamp_s: Its proposal timestamp, seconds since 1970 UTC.
        value: The bytes written, empty for a deletion.
        is_delete: Whether the key was deleted.
    """

    transaction_id: str
    timestamp_s: int
    value: bytes
    is_delete: bool


class CreatorLike(Protocol):
    """Anything with a creator's two fields; the shim brings its own class."""

    @property
    def msp_id(self) -> str:
        """Organisation."""
        ...

    @property
    def certificate_pem(self) -> bytes:
        """Certificate of the signer, PEM."""
        ...


class ModificationLike(Protocol):
    """Anything with a modification's four fields; the shim brings its own class."""

    @property
    def transaction_id(self) -> str:
        """The transaction that made the change."""
        ...

    @property
    def timestamp_s(self) -> int:
        """Proposal timestamp, seconds since 1970 UTC."""
        ...

    @property
    def value(self) -> bytes:
        """Bytes written."""
        ...

    @property
    def is_delete(self) -> bool:
        """Whether the key was deleted."""
        ...


class StateReader(Protocol):
    """Public values by key, wherever they come from: a transaction's view, or a chain of blocks."""

    def get_state(self, key: str) -> bytes:
        """Return a public value, ``b""`` when absent."""
        ...

    def get_states(self, keys: Sequence[str]) -> list[bytes]:
        """Return public values in the order of `keys`, ``b""`` where absent."""
        ...

    def states(self, kind: str, *attributes: str) -> Iterator[tuple[str, bytes]]:
        """Yield (key, value) of every composite key with this prefix, in key order."""
        ...


class Ledger(StateReader, Protocol):
    """One transaction's view of the ledger."""

    @property
    def channel(self) -> str:
        """Name of the channel; part of every signed or hashed statement."""
        ...

    @property
    def transaction_id(self) -> str:
        """Identifier of the transaction, 64 hex digits."""
        ...

    @property
    def creator(self) -> CreatorLike:
        """Who signed the proposal."""
        ...

    @property
    def timestamp_s(self) -> int:
        """Proposal timestamp, seconds since 1970 UTC; the same for every endorser."""
        ...

    @property
    def transient(self) -> Mapping[str, bytes]:
        """Bytes handed over beside the arguments; they do not enter the chain."""
        ...

    def put_state(self, key: str, value: bytes) -> None:
        """Write a public value at commit."""
        ...

    def delete_state(self, key: str) -> None:
        """Delete a public value at commit."""
        ...

    def states_page(
        self, kind: str, *attributes: str, page_size: int, bookmark: str
    ) -> tuple[list[tuple[str, bytes]], str]:
        """Return one page and the next bookmark (``""`` at the end). For queries only."""
        ...

    def history(self, key: str) -> Iterator[ModificationLike]:
        """Yield the committed changes of a key, newest first. For queries only."""
        ...

    def get_private(self, collection: str, key: str) -> bytes:
        """Return a private value of the own peer, ``b""`` when absent or expired."""
        ...

    def put_private(self, collection: str, key: str, value: bytes) -> None:
        """Write a private value at commit."""
        ...

    def purge_private(self, collection: str, key: str) -> None:
        """Remove a private value and its history from every peer at commit."""
        ...

    def private_hash(self, collection: str, key: str) -> bytes:
        """Return the SHA-256 of a private value, ``b""`` when absent or expired."""
        ...

    def set_event(self, name: str, payload: bytes) -> None:
        """Set the transaction's one event; the last call wins."""
        ...
