"""A chain in memory with real blocks: what peers deliver, without peers.

Blocks are built the way an ordering service and a peer build them, layer by layer from the
protobuf messages, so that reading them is tested against something that was not made by the
reader.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)

from network.wire.identity import Identity

VALID = transaction_pb2.VALID
MVCC = transaction_pb2.MVCC_READ_CONFLICT


@dataclass(frozen=True)
class Result:
    """What a chaincode answered and wrote."""

    payload: bytes = b""
    writes: tuple[tuple[str, bytes], ...] = ()
    private: tuple[tuple[str, bytes, bytes], ...] = ()  # collection, key, value
    event: tuple[str, bytes] | None = None
    reads: tuple[tuple[str, tuple[int, int] | None], ...] = ()
    ranges: tuple[tuple[str, str, tuple[tuple[str, tuple[int, int]], ...]], ...] = ()
    deletes: tuple[str, ...] = ()


def _read(key: str, version: tuple[int, int] | None) -> Any:
    read = kv_rwset_pb2.KVRead(key=key)
    if version is not None:
        read.version.block_num, read.version.tx_num = version
        read.version.SetInParent()  # block 0, place 0 is a version too
    return read


def _read_write_set(result: Result) -> bytes:
    found = kv_rwset_pb2.KVRWSet(
        reads=[_read(key, version) for key, version in result.reads],
        writes=[kv_rwset_pb2.KVWrite(key=key, value=value) for key, value in result.writes],
    )
    for start, end, keys in result.ranges:
        one = found.range_queries_info.add(start_key=start, end_key=end, itr_exhausted=True)
        one.raw_reads.kv_reads.extend(_read(key, version) for key, version in keys)
    found.writes.extend(kv_rwset_pb2.KVWrite(key=key, is_delete=True) for key in result.deletes)
    return found.SerializeToString()


def endorse(
    proposal_bytes: bytes, result: Result, endorsers: Sequence[Identity], chaincode: str
) -> bytes:
    """Return the payload of the envelope that a gateway hands back for signing."""
    proposal = proposal_pb2.Proposal.FromString(proposal_bytes)
    header = common_pb2.Header.FromString(proposal.header)
    channel_header = common_pb2.ChannelHeader.FromString(header.channel_header)
    hashed = [
        rwset_pb2.CollectionHashedReadWriteSet(
            collection_name=collection,
            hashed_rwset=kv_rwset_pb2.HashedRWSet(
                hashed_writes=[
                    kv_rwset_pb2.KVWriteHash(
                        key_hash=hashlib.sha256(key).digest(),
                        value_hash=hashlib.sha256(value).digest(),
                    )
                ]
            ).SerializeToString(),
        )
        for collection, key, value in result.private
    ]
    space = rwset_pb2.NsReadWriteSet(
        namespace=chaincode,
        rwset=_read_write_set(result),
        collection_hashed_rwset=hashed,
    )
    events = b""
    if result.event is not None:
        events = chaincode_event_pb2.ChaincodeEvent(
            chaincode_id=chaincode,
            tx_id=channel_header.tx_id,
            event_name=result.event[0],
            payload=result.event[1],
        ).SerializeToString()
    action = proposal_pb2.ChaincodeAction(
        results=rwset_pb2.TxReadWriteSet(ns_rwset=[space]).SerializeToString(),
        events=events,
        response=proposal_response_pb2.Response(status=200, payload=result.payload),
    )
    # The transient map does not enter the transaction (protoutil.GetBytesProposalPayloadForTx).
    visible = proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload)
    visible.TransientMap.clear()
    proposed = header.channel_header + header.signature_header + visible.SerializeToString()
    response = proposal_response_pb2.ProposalResponsePayload(
        proposal_hash=hashlib.sha256(proposed).digest(), extension=action.SerializeToString()
    ).SerializeToString()
    whole = transaction_pb2.ChaincodeActionPayload(
        chaincode_proposal_payload=visible.SerializeToString(),
        action=transaction_pb2.ChaincodeEndorsedAction(
            proposal_response_payload=response,
            endorsements=[
                proposal_response_pb2.Endorsement(
                    endorser=one.creator, signature=one.sign(response + one.creator)
                )
                for one in endorsers
            ],
        ),
    )
    transaction = transaction_pb2.Transaction(
        actions=[transaction_pb2.TransactionAction(payload=whole.SerializeToString())]
    )
    return common_pb2.Payload(
        header=header, data=transaction.SerializeToString()
    ).SerializeToString()


def der_header(number: int, previous_hash: bytes, data_hash: bytes) -> bytes:
    """Encode a header in ASN.1 for hashes of up to 127 bytes, written out by hand."""
    digits = f"{number:x}"
    digits = digits if len(digits) % 2 == 0 else "0" + digits
    integer = bytes.fromhex(digits)
    if integer[0] & 0x80:
        integer = b"\x00" + integer
    body = b"\x02" + bytes([len(integer)]) + integer
    body += b"\x04" + bytes([len(previous_hash)]) + previous_hash
    body += b"\x04" + bytes([len(data_hash)]) + data_hash
    return b"\x30" + bytes([len(body)]) + body


@dataclass
class Orderer:
    """An ordering node that signs blocks, named by number or by certificate."""

    number: int
    identity: Identity
    by_number: bool = True


@dataclass
class FakeChain:
    """Blocks of one transaction each, seen by every gateway that shares the chain."""

    orderers: Sequence[Orderer] = ()
    #: The payload of the first block's one transaction; one without a configuration by itself.
    genesis: bytes = b""
    blocks: list[Any] = field(default_factory=list)
    #: Transaction id -> (block number, validation code), of the first copy.
    placed: dict[str, tuple[int, int]] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.last_configuration = 0
        self.append(common_pb2.Envelope(payload=self.genesis or self._genesis()), "", VALID)

    @staticmethod
    def _genesis() -> bytes:
        header = common_pb2.Header(
            channel_header=common_pb2.ChannelHeader(type=common_pb2.CONFIG).SerializeToString()
        )
        return common_pb2.Payload(header=header).SerializeToString()

    def configure(self, envelope: Any) -> int:
        """Add a block with a configuration and return its number."""
        self.last_configuration = len(self.blocks)
        return self.append(envelope, f"configuration {self.last_configuration}")

    def append_all(self, envelopes: Sequence[Any], codes: Sequence[int]) -> int:
        """Add a block with several transactions and return its number."""
        number = len(self.blocks)
        encoded = [envelope.SerializeToString() for envelope in envelopes]
        self.blocks.append(self._block(number, encoded, list(codes)))
        return number

    def append(self, envelope: Any, transaction_id: str, code: int = VALID) -> int:
        """Add a block with one transaction and return its number."""
        with self.changed:
            number = len(self.blocks)
            if transaction_id in self.placed:
                code = transaction_pb2.DUPLICATE_TXID
            else:
                self.placed[transaction_id] = (number, code)
            self.blocks.append(self._block(number, [envelope.SerializeToString()], [code]))
            self.changed.notify_all()
            return number

    def _block(self, number: int, envelopes: list[bytes], codes: list[int]) -> Any:
        previous_hash = b""
        if self.blocks:
            header = self.blocks[-1].header
            previous_hash = hashlib.sha256(
                der_header(header.number, header.previous_hash, header.data_hash)
            ).digest()
        data_hash = hashlib.sha256(b"".join(envelopes)).digest()
        block = common_pb2.Block(
            header=common_pb2.BlockHeader(
                number=number, previous_hash=previous_hash, data_hash=data_hash
            ),
            data=common_pb2.BlockData(data=envelopes),
        )
        encoded_header = der_header(number, previous_hash, data_hash)
        stated = common_pb2.OrdererBlockMetadata(
            last_config=common_pb2.LastConfig(index=self.last_configuration)
        )
        metadata = common_pb2.Metadata(value=stated.SerializeToString())
        for orderer in self.orderers if number else ():
            one = metadata.signatures.add()
            if orderer.by_number:
                named = common_pb2.IdentifierHeader(identifier=orderer.number, nonce=b"n")
                one.identifier_header = named.SerializeToString()
            else:
                signer = common_pb2.SignatureHeader(creator=orderer.identity.creator)
                one.signature_header = signer.SerializeToString()
            one.signature = orderer.identity.sign(
                metadata.value + one.signature_header + one.identifier_header + encoded_header
            )
        block.metadata.metadata.extend(
            [metadata.SerializeToString() if metadata.signatures else b"", b"", bytes(codes)]
        )
        return block

    def wait_placed(self, transaction_id: str, timeout_s: float) -> tuple[int, int] | None:
        """Wait until a transaction is in a block."""
        with self.changed:
            self.changed.wait_for(lambda: transaction_id in self.placed, timeout_s)
            return self.placed.get(transaction_id)

    def wait_height(self, height: int, timeout_s: float) -> bool:
        """Wait until there are so many blocks."""
        with self.changed:
            return self.changed.wait_for(lambda: len(self.blocks) >= height, timeout_s)

    def event_of(self, number: int) -> Any:
        """Return the chaincode event of a block's transaction, or None."""
        block = self.blocks[number]
        if block.metadata.metadata[2][0] != VALID or number == 0:
            return None
        envelope = common_pb2.Envelope.FromString(block.data.data[0])
        payload = common_pb2.Payload.FromString(envelope.payload)
        transaction = transaction_pb2.Transaction.FromString(payload.data)
        whole = transaction_pb2.ChaincodeActionPayload.FromString(transaction.actions[0].payload)
        response = proposal_response_pb2.ProposalResponsePayload.FromString(
            whole.action.proposal_response_payload
        )
        action = proposal_pb2.ChaincodeAction.FromString(response.extension)
        event = chaincode_event_pb2.ChaincodeEvent.FromString(action.events)
        return event if event.event_name else None


def creator_of(header: Any) -> tuple[str, bytes, bytes]:
    """Return MSP id, certificate and nonce of a common.Header."""
    signature_header = common_pb2.SignatureHeader.FromString(header.signature_header)
    identity = identities_pb2.SerializedIdentity.FromString(signature_header.creator)
    return identity.mspid, identity.id_bytes, signature_header.nonce
