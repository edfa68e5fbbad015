"""Read a block into flat rows for an audit, and check what a block proves about itself.

`read_block` trusts nothing and decides nothing: it reports what the bytes say. `check_link` proves
that a block follows another and that its transactions are the ones its header names;
`network.wire.block_signature` proves who ordered it. Layouts follow fabric-protos
common/common.proto and ledger/rwset; the header's hash follows protoutil/blockutils.go: SHA-256
over the ASN.1 SEQUENCE {INTEGER number, OCTET STRING previous hash, OCTET STRING data hash}.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.peer import chaincode_event_pb2, chaincode_pb2, proposal_pb2, transaction_pb2

from network.errors import MalformedBytesError
from network.wire.decoding import decode
from network.wire.transaction import (
    chaincode_action_of,
    channel_header_of,
    first_action_of,
    payload_of,
    response_payload_of,
    signature_header_of,
)

_SIGNATURES: Final = 0  # common.BlockMetadataIndex
_VALIDATION_FLAGS: Final = 2
#: A transaction that no peer has validated yet, as delivered by an ordering node.
NOT_VALIDATED: Final = "NOT_VALIDATED"


@dataclass(frozen=True, slots=True)
class Write:
    """A public key written by a transaction; `value` is empty for a deletion."""

    namespace: str
    key: str
    value: bytes = field(repr=False)
    is_delete: bool


@dataclass(frozen=True, slots=True)
class PrivateWrite:
    """What the chain shows of a private write: SHA-256 of the key and of the value."""

    namespace: str
    collection: str
    key_sha256: bytes
    value_sha256: bytes
    is_delete: bool
    is_purge: bool


@dataclass(frozen=True, slots=True)
class TransactionRow:
    """One transaction as it stands in a block, valid or not.

    Attributes:
        transaction_id: Its id; empty for a configuration.
        type: Name of common.HeaderType, such as "ENDORSER_TRANSACTION" or "CONFIG".
        creator_msp: MSP of who proposed it.
        creator_certificate_pem: Certificate of who proposed it.
        timestamp_s: Proposal's time by the proposer's clock, seconds since 1970.
        validation_code: Name of peer.TxValidationCode; "VALID" alone changed the state.
        chaincode: Chaincode called, empty for a configuration.
        function: First argument, as text.
        args: The other arguments.
        endorser_msps: MSPs whose peers signed the result, sorted.
        event_name: Event announced, or empty.
        event_payload: The event's payload.
        writes: Public writes, in the order of the write set.
        private_writes: Hashes of private writes.
    """

    transaction_id: str
    type: str
    creator_msp: str
    creator_certificate_pem: bytes = field(repr=False)
    timestamp_s: int
    validation_code: str
    chaincode: str = ""
    function: str = ""
    args: tuple[bytes, ...] = field(default=(), repr=False)
    endorser_msps: tuple[str, ...] = ()
    event_name: str = ""
    event_payload: bytes = field(default=b"", repr=False)
    writes: tuple[Write, ...] = ()
    private_writes: tuple[PrivateWrite, ...] = ()


@dataclass(frozen=True, slots=True)
class OrdererSignature:
    """One ordering node's signature of a block.

    Attributes:
        msp_id: Signer's MSP, empty where the signer is named by number (BFT).
        certificate_pem: Signer's certificate, empty where the signer is named by number.
        identifier: Signer's number in the channel's consenter mapping, or None.
        signature: ECDSA, DER.
        signed: What was signed.
    """

    msp_id: str
    certificate_pem: bytes = field(repr=False)
    identifier: int | None
    signature: bytes = field(repr=False)
    signed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Block:
    """A block.

    Attributes:
        number: Height, from 0.
        previous_hash: What the header says about the block before.
        data_hash: What the header says about the transactions.
        header_hash: SHA-256 of this header, computed here; the next block's `previous_hash`.
        recomputed_data_hash: SHA-256 of the transactions, computed here.
        transactions: In order.
        signatures: Of ordering nodes, not checked here.
        size_bytes: Encoded size.
    """

    number: int
    previous_hash: bytes
    data_hash: bytes
    header_hash: bytes
    recomputed_data_hash: bytes
    transactions: tuple[TransactionRow, ...]
    signatures: tuple[OrdererSignature, ...] = field(repr=False)
    size_bytes: int


def read_block(encoded: bytes) -> Block:
    """Read a common.Block.

    Raises:
        MalformedBytesError: Some layer of it does not decode.
    """
    block = decode(common_pb2.Block, encoded, what="a block")
    header_bytes = encode_header(
        block.header.number, block.header.previous_hash, block.header.data_hash
    )
    metadata = list(block.metadata.metadata)
    flags = metadata[_VALIDATION_FLAGS] if len(metadata) > _VALIDATION_FLAGS else b""
    signatures = metadata[_SIGNATURES] if metadata else b""
    return Block(
        number=block.header.number,
        previous_hash=block.header.previous_hash,
        data_hash=block.header.data_hash,
        header_hash=hashlib.sha256(header_bytes).digest(),
        recomputed_data_hash=hashlib.sha256(b"".join(block.data.data)).digest(),
        transactions=tuple(
            _read_transaction(envelope, flags[index] if index < len(flags) else None)
            for index, envelope in enumerate(block.data.data)
        ),
        signatures=_read_signatures(signatures, header_bytes),
        size_bytes=len(encoded),
    )


def check_link(block: Block, previous: Block | None) -> Block:
    """Return a block proved to hold the data its header names and to follow another.

    Args:
        block: The block.
        previous: The block before; None for the first one of an audit.

    Raises:
        MalformedBytesError: The data were changed, or the block does not follow.
    """
    if block.recomputed_data_hash != block.data_hash:
        raise MalformedBytesError(
            f"the transactions of block {block.number} are not the ones its header names"
        )
    if previous is None:
        return block
    if block.number != previous.number + 1:
        raise MalformedBytesError(f"block {block.number} does not follow block {previous.number}")
    if block.previous_hash != previous.header_hash:
        raise MalformedBytesError(
            f"block {block.number} does not continue the chain of block {previous.number}"
        )
    return block


def encode_header(number: int, previous_hash: bytes, data_hash: bytes) -> bytes:
    """Return the ASN.1 encoding of a block header, which is what is hashed and signed.

    >>> encode_header(128, b"", b"x").hex()
    '3009020200800400040178'
    """
    integer = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return _der(0x30, _der(0x02, integer) + _der(0x04, previous_hash) + _der(0x04, data_hash))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _read_signatures(encoded: bytes, header_bytes: bytes) -> tuple[OrdererSignature, ...]:
    if not encoded:
        return ()
    metadata = decode(common_pb2.Metadata, encoded, what="a block's signatures")
    found = []
    for one in metadata.signatures:
        if one.signature_header:
            header = decode(
                common_pb2.SignatureHeader, one.signature_header, what="a signature header"
            )
            msp_id, certificate_pem = _read_creator(header.creator)
            identifier = None
            signed = metadata.value + one.signature_header + header_bytes
        else:
            # BFT: the signer is a number of the consenter mapping (protoutil/blockutils.go,
            # BlockSignatureVerifier).
            named = decode(
                common_pb2.IdentifierHeader, one.identifier_header, what="a signer's number"
            )
            msp_id, certificate_pem, identifier = "", b"", int(named.identifier)
            signed = metadata.value + one.identifier_header + header_bytes
        found.append(OrdererSignature(msp_id, certificate_pem, identifier, one.signature, signed))
    return tuple(found)


def _read_creator(encoded: bytes) -> tuple[str, bytes]:
    if not encoded:
        return "", b""
    identity = decode(identities_pb2.SerializedIdentity, encoded, what="a creator")
    return str(identity.mspid), bytes(identity.id_bytes)


def _read_transaction(envelope: bytes, flag: int | None) -> TransactionRow:
    payload = payload_of(envelope)
    header = channel_header_of(payload)
    msp_id, certificate_pem = _read_creator(signature_header_of(payload).creator)
    common: dict[str, Any] = {
        "transaction_id": header.tx_id,
        "type": _name(common_pb2.HeaderType, header.type),
        "creator_msp": msp_id,
        "creator_certificate_pem": certificate_pem,
        "timestamp_s": int(header.timestamp.seconds),
        "validation_code": (
            NOT_VALIDATED if flag is None else _name(transaction_pb2.TxValidationCode, flag)
        ),
    }
    if header.type != common_pb2.ENDORSER_TRANSACTION:
        return TransactionRow(**common)
    return TransactionRow(**common, **_read_call(payload.data))


def _name(enumeration: Any, value: int) -> str:
    try:
        return str(enumeration.Name(value))
    except ValueError:  # of a newer Fabric
        return f"code {value}"


def _read_call(transaction: bytes) -> dict[str, Any]:
    """Return the fields of a row that say what was called and what it wrote."""
    action = first_action_of(transaction)
    proposal = decode(
        proposal_pb2.ChaincodeProposalPayload, action.chaincode_proposal_payload, what="a proposal"
    )
    invocation = decode(
        chaincode_pb2.ChaincodeInvocationSpec, proposal.input, what="a chaincode call"
    )
    args = [bytes(arg) for arg in invocation.chaincode_spec.input.args]
    result = chaincode_action_of(response_payload_of(action))
    event = decode(chaincode_event_pb2.ChaincodeEvent, result.events, what="a chaincode event")
    endorsers = {_read_creator(one.endorser)[0] for one in action.action.endorsements}
    writes, private_writes = _read_writes(result.results)
    return {
        "chaincode": invocation.chaincode_spec.chaincode_id.name,
        "function": args[0].decode("utf-8", "replace") if args else "",
        "args": tuple(args[1:]),
        "endorser_msps": tuple(sorted(endorsers)),
        "event_name": event.event_name,
        "event_payload": event.payload,
        "writes": writes,
        "private_writes": private_writes,
    }


def _read_writes(results: bytes) -> tuple[tuple[Write, ...], tuple[PrivateWrite, ...]]:
    public: list[Write] = []
    private: list[PrivateWrite] = []
    whole = decode(rwset_pb2.TxReadWriteSet, results, what="a read-write set")
    for space in whole.ns_rwset:
        written = decode(kv_rwset_pb2.KVRWSet, space.rwset, what="a namespace's writes")
        public += [
            Write(space.namespace, one.key, one.value, one.is_delete) for one in written.writes
        ]
        for collection in space.collection_hashed_rwset:
            hashed = decode(
                kv_rwset_pb2.HashedRWSet, collection.hashed_rwset, what="a collection's hashes"
            )
            private += [
                PrivateWrite(
                    space.namespace,
                    collection.collection_name,
                    one.key_hash,
                    one.value_hash,
                    one.is_delete,
                    one.is_purge,
                )
                for one in hashed.hashed_writes
            ]
    return tuple(public), tuple(private)
