"""Read one transaction of a block into a flat row: who, what, when, what it read and wrote.

Nothing is decided here; `network.wire.validity` checks what a row proves. A transaction that the
peer marked invalid may hold any bytes, since whoever may send to the ordering nodes chooses them:
it becomes a row of type `UNREADABLE`, so that no member can end everybody's reading of the chain.
Layouts follow fabric-protos common/common.proto, peer/transaction.proto and ledger/rwset.
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
    response_payload_of,
    signature_header_of,
)

VALID: Final = "VALID"
#: A transaction that no peer has validated yet, as delivered by an ordering node.
NOT_VALIDATED: Final = "NOT_VALIDATED"
#: Type of an invalid transaction whose bytes are no transaction.
UNREADABLE: Final = "UNREADABLE"
ENDORSED: Final = "ENDORSER_TRANSACTION"
CONFIGURATION: Final = "CONFIG"

#: Block and place in it of the transaction that wrote a key.
Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Read:
    """A public key read by a transaction, and the version it saw; None for an absent key."""

    namespace: str
    key: str
    version: Version | None


@dataclass(frozen=True, slots=True)
class RangeRead:
    """A range of public keys read by a transaction.

    Attributes:
        namespace: Whose keys.
        start: First key of the range.
        end: Its end, itself not part of it unless `with_end`.
        with_end: Whether the reading stopped at `end`, having read it.
        found: Keys and versions seen, in order.
    """

    namespace: str
    start: str
    end: str
    with_end: bool
    found: tuple[tuple[str, Version | None], ...]


@dataclass(frozen=True, slots=True)
class KeyWrite:
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
class Statement:
    """A signature of a member's identity over some bytes, not checked here.

    Attributes:
        msp_id: The signer's MSP, as the bytes say.
        certificate_pem: The signer's certificate.
        signature: ECDSA, DER.
        signed: What was signed.
    """

    msp_id: str
    certificate_pem: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    signed: bytes = field(repr=False)


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
        channel: The channel it names.
        expected_id: The id that follows from its nonce and creator.
        sent: The creator's signature over the whole of it.
        endorsements: Signatures of peers over the result.
        proposal_sha256: Hash of the proposal in it, computed here.
        endorsed_proposal_sha256: Hash of the proposal that the endorsers signed.
        reads: Public reads with the versions seen.
        ranges: Ranges of public keys read.
        reads_more: Whether it also read what a row does not show: private keys, or a range of which
            the peers keep hashes alone.
        metadata_keys: Namespaces and keys whose metadata it wrote, which renews their version.
        configuration: A configuration's common.ConfigEnvelope, else empty.
        well_formed: Whether its envelope is signed and encodes to these very bytes again. The hash
            in a header is over all transactions one after the other, so bytes could be moved from
            one to the next (protoutil.VerifyTransactionsAreWellFormed).
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
    writes: tuple[KeyWrite, ...] = ()
    private_writes: tuple[PrivateWrite, ...] = ()
    channel: str = ""
    expected_id: str = ""
    sent: Statement | None = field(default=None, repr=False)
    endorsements: tuple[Statement, ...] = field(default=(), repr=False)
    proposal_sha256: bytes = field(default=b"", repr=False)
    endorsed_proposal_sha256: bytes = field(default=b"", repr=False)
    reads: tuple[Read, ...] = ()
    ranges: tuple[RangeRead, ...] = ()
    reads_more: bool = False
    metadata_keys: tuple[tuple[str, str], ...] = ()
    configuration: bytes = field(default=b"", repr=False)
    well_formed: bool = False

    @property
    def is_valid(self) -> bool:
        """Return whether the peer says that it changed the state."""
        return self.validation_code == VALID


def read_row(envelope: bytes, flag: int | None) -> TransactionRow:
    """Read a transaction.

    Args:
        envelope: Encoded common.Envelope.
        flag: The peer's peer.TxValidationCode; None where no peer has validated it.

    Raises:
        MalformedBytesError: A layer of a transaction that is not marked invalid does not decode.
    """
    code = NOT_VALIDATED if flag is None else _name(transaction_pb2.TxValidationCode, flag)
    try:
        return _read_row(envelope, code)
    except MalformedBytesError:
        if code in (VALID, NOT_VALIDATED):
            raise
        return TransactionRow(
            "", UNREADABLE, "", b"", 0, code, well_formed=_is_well_formed(envelope)
        )


def _is_well_formed(envelope: bytes) -> bool:
    try:
        outer = decode(common_pb2.Envelope, envelope, what="a transaction envelope")
    except MalformedBytesError:
        return False
    complete = bool(outer.payload) and bool(outer.signature)
    return complete and outer.SerializeToString(deterministic=True) == envelope


def read_creator(encoded: bytes) -> tuple[str, bytes]:
    """Return MSP and certificate of a msp.SerializedIdentity, both empty where there is none."""
    if not encoded:
        return "", b""
    identity = decode(identities_pb2.SerializedIdentity, encoded, what="a creator")
    return str(identity.mspid), bytes(identity.id_bytes)


def _name(enumeration: Any, value: int) -> str:
    try:
        return str(enumeration.Name(value))
    except ValueError:  # of a newer Fabric
        return f"code {value}"


def _read_row(envelope: bytes, code: str) -> TransactionRow:
    outer = decode(common_pb2.Envelope, envelope, what="a transaction envelope")
    payload = decode(common_pb2.Payload, outer.payload, what="an envelope's payload")
    header = channel_header_of(payload)
    signer = signature_header_of(payload)
    msp_id, certificate_pem = read_creator(signer.creator)
    common: dict[str, Any] = {
        "transaction_id": header.tx_id,
        "type": _name(common_pb2.HeaderType, header.type),
        "creator_msp": msp_id,
        "creator_certificate_pem": certificate_pem,
        "timestamp_s": int(header.timestamp.seconds),
        "validation_code": code,
        "channel": header.channel_id,
        "expected_id": hashlib.sha256(signer.nonce + signer.creator).hexdigest(),
        "sent": Statement(msp_id, certificate_pem, outer.signature, outer.payload),
        "well_formed": _is_well_formed(envelope),
    }
    if header.type == common_pb2.CONFIG:
        common["configuration"] = bytes(payload.data)
    if header.type != common_pb2.ENDORSER_TRANSACTION:
        return TransactionRow(**common)
    headers = payload.header.channel_header + payload.header.signature_header
    return TransactionRow(**common, **_read_call(payload.data, headers))


def _read_call(transaction: bytes, headers: bytes) -> dict[str, Any]:
    """Return the fields of a row that say what was called, and what it read and wrote."""
    action = first_action_of(transaction)
    proposal = decode(
        proposal_pb2.ChaincodeProposalPayload, action.chaincode_proposal_payload, what="a proposal"
    )
    invocation = decode(
        chaincode_pb2.ChaincodeInvocationSpec, proposal.input, what="a chaincode call"
    )
    args = [bytes(arg) for arg in invocation.chaincode_spec.input.args]
    response = response_payload_of(action)
    result = chaincode_action_of(response)
    event = decode(chaincode_event_pb2.ChaincodeEvent, result.events, what="a chaincode event")
    endorsed = action.action.proposal_response_payload
    endorsements = tuple(
        Statement(*read_creator(one.endorser), one.signature, endorsed + one.endorser)
        for one in action.action.endorsements
    )
    # protoutil.GetProposalHash2: the headers, then the proposal as it stands in a transaction.
    proposed = hashlib.sha256(headers + action.chaincode_proposal_payload).digest()
    return {
        "chaincode": invocation.chaincode_spec.chaincode_id.name,
        "function": args[0].decode("utf-8", "replace") if args else "",
        "args": tuple(args[1:]),
        "endorser_msps": tuple(sorted({one.msp_id for one in endorsements})),
        "event_name": event.event_name,
        "event_payload": event.payload,
        "endorsements": endorsements,
        "proposal_sha256": proposed,
        "endorsed_proposal_sha256": bytes(response.proposal_hash),
        **_read_sets(result.results),
    }


def _read_sets(results: bytes) -> dict[str, Any]:
    """Return the fields of a row that come from its read-write set."""
    reads: list[Read] = []
    public: list[KeyWrite] = []
    private: list[PrivateWrite] = []
    metadata: list[tuple[str, str]] = []
    ranges: list[RangeRead] = []
    more = False
    whole = decode(rwset_pb2.TxReadWriteSet, results, what="a read-write set")
    for space in whole.ns_rwset:
        name = space.namespace
        found = decode(kv_rwset_pb2.KVRWSet, space.rwset, what="a namespace's writes")
        reads += [Read(name, one.key, _version(one)) for one in found.reads]
        public += [KeyWrite(name, one.key, one.value, one.is_delete) for one in found.writes]
        metadata += [(name, one.key) for one in found.metadata_writes]
        for one in found.range_queries_info:
            if one.HasField("reads_merkle_hashes"):
                more = True
                continue
            seen = tuple((read.key, _version(read)) for read in one.raw_reads.kv_reads)
            ranges.append(RangeRead(name, one.start_key, one.end_key, not one.itr_exhausted, seen))
        for collection in space.collection_hashed_rwset:
            hashed = decode(
                kv_rwset_pb2.HashedRWSet, collection.hashed_rwset, what="a collection's hashes"
            )
            more = more or bool(hashed.hashed_reads)
            private += [
                PrivateWrite(
                    name,
                    collection.collection_name,
                    one.key_hash,
                    one.value_hash,
                    one.is_delete,
                    one.is_purge,
                )
                for one in hashed.hashed_writes
            ]
    return {
        "reads": tuple(reads),
        "writes": tuple(public),
        "private_writes": tuple(private),
        "metadata_keys": tuple(metadata),
        "ranges": tuple(ranges),
        "reads_more": more,
    }


def _version(read: Any) -> Version | None:
    if not read.HasField("version"):
        return None
    return int(read.version.block_num), int(read.version.tx_num)
