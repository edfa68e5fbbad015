"""Read a block into flat rows for an audit, and check what a block proves about itself.

`read_block` trusts nothing and decides nothing: it reports what the bytes say. `check_link` proves
that a block follows another and that its transactions are the ones its header names;
`network.wire.block_signature` proves who ordered it. Layouts follow fabric-protos
common/common.proto; the header's hash follows protoutil/blockutils.go: SHA-256
over the ASN.1 SEQUENCE {INTEGER number, OCTET STRING previous hash, OCTET STRING data hash}.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

from fabric_protos.common import common_pb2

from network.errors import MalformedBytesError
from network.wire.decoding import decode
from network.wire.row import TransactionRow, read_creator, read_row

_SIGNATURES: Final = 0  # common.BlockMetadataIndex
_VALIDATION_FLAGS: Final = 2


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
        last_configuration: Number of the configuration block in force, as the signers state it
            (common.OrdererBlockMetadata); None where they state none, as in the first block.
    """

    number: int
    previous_hash: bytes
    data_hash: bytes
    header_hash: bytes
    recomputed_data_hash: bytes
    transactions: tuple[TransactionRow, ...]
    signatures: tuple[OrdererSignature, ...] = field(repr=False)
    size_bytes: int
    last_configuration: int | None = None


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
    signatures = decode(
        common_pb2.Metadata, metadata[_SIGNATURES] if metadata else b"", what="a block's signatures"
    )
    return Block(
        number=block.header.number,
        previous_hash=block.header.previous_hash,
        data_hash=block.header.data_hash,
        header_hash=hashlib.sha256(header_bytes).digest(),
        recomputed_data_hash=hashlib.sha256(b"".join(block.data.data)).digest(),
        transactions=tuple(
            read_row(envelope, flags[index] if index < len(flags) else None)
            for index, envelope in enumerate(block.data.data)
        ),
        signatures=_read_signatures(signatures, header_bytes),
        size_bytes=len(encoded),
        last_configuration=_read_last_configuration(signatures.value),
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


def _read_last_configuration(signed: bytes) -> int | None:
    if not signed:
        return None
    stated = decode(common_pb2.OrdererBlockMetadata, signed, what="what the ordering nodes signed")
    return int(stated.last_config.index) if stated.HasField("last_config") else None


def _read_signatures(metadata: Any, header_bytes: bytes) -> tuple[OrdererSignature, ...]:
    found = []
    for one in metadata.signatures:
        if one.signature_header:
            header = decode(
                common_pb2.SignatureHeader, one.signature_header, what="a signature header"
            )
            msp_id, certificate_pem = read_creator(header.creator)
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
