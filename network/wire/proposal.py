"""Build a transaction proposal and the small requests a client signs.

Follows fabric-protos peer/proposal.proto and fabric-gateway pkg/client/proposalbuilder.go. The
nonce and the time are arguments, so that a vector can be made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from fabric_protos.common import common_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2

from network.wire.identity import Identity

#: Bytes of a nonce; Fabric's own clients take 24 (protoutil/commonutils.go, NonceSize).
NONCE_BYTES: Final = 24

_NEWEST: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class SignedProposal:
    """A proposal ready to send.

    Attributes:
        transaction_id: Hexadecimal SHA-256 of nonce and creator.
        encoded: peer.SignedProposal; holds arguments and transient data, so it has no repr.
    """

    transaction_id: str
    encoded: bytes = field(repr=False)


def transaction_id(nonce: bytes, creator: bytes) -> str:
    """Return the id that Fabric computes for a transaction (protoutil.ComputeTxID).

    >>> transaction_id(b"nonce", b"creator")[:16]
    '709184f9d24f6ade'
    """
    return hashlib.sha256(nonce + creator).hexdigest()


def build_header(
    identity: Identity,
    *,
    header_type: int,
    channel: str,
    nonce: bytes,
    at: datetime,
    extension: bytes = b"",
    tls_certificate_sha256: bytes = b"",
) -> tuple[str, bytes]:
    """Return a transaction id and the encoded common.Header that carries it.

    Args:
        identity: Creator of the header.
        header_type: common.HeaderType.
        channel: Channel, or empty.
        nonce: Never used twice.
        at: Client's time, with a time zone; peers refuse one more than 15 minutes off theirs.
        extension: Encoded ChaincodeHeaderExtension, for proposals.
        tls_certificate_sha256: Hash of the TLS client certificate; a peer with mutual TLS wants
            it in Deliver requests (common/deliver/binding.go).
    """
    creator = identity.creator
    identifier = transaction_id(nonce, creator)
    channel_header = common_pb2.ChannelHeader(
        type=header_type,
        channel_id=channel,
        tx_id=identifier,
        extension=extension,
        tls_cert_hash=tls_certificate_sha256,
    )
    channel_header.timestamp.FromDatetime(at)
    signature_header = common_pb2.SignatureHeader(creator=creator, nonce=nonce)
    header = common_pb2.Header(
        channel_header=channel_header.SerializeToString(),
        signature_header=signature_header.SerializeToString(),
    )
    return identifier, bytes(header.SerializeToString())


def build_proposal(
    identity: Identity,
    *,
    channel: str,
    chaincode: str,
    args: Sequence[str | bytes],
    nonce: bytes,
    at: datetime,
    transient: Mapping[str, bytes] | None = None,
    tls_certificate_sha256: bytes = b"",
) -> SignedProposal:
    """Build and sign a proposal to call a chaincode.

    Args:
        identity: Who proposes.
        channel: Channel, empty for calls to the peer itself.
        chaincode: Name of the chaincode.
        args: Function name first; text is sent as UTF-8.
        nonce: `NONCE_BYTES` random bytes, never used twice.
        at: Client's time, with a time zone.
        transient: Reaches the endorsers and never the ledger.
        tls_certificate_sha256: See `build_header`.
    """
    chaincode_id = chaincode_pb2.ChaincodeID(name=chaincode)
    extension = proposal_pb2.ChaincodeHeaderExtension(chaincode_id=chaincode_id)
    identifier, header = build_header(
        identity,
        header_type=common_pb2.ENDORSER_TRANSACTION,
        channel=channel,
        nonce=nonce,
        at=at,
        extension=extension.SerializeToString(),
        tls_certificate_sha256=tls_certificate_sha256,
    )
    encoded_args = [arg.encode() if isinstance(arg, str) else arg for arg in args]
    invocation = chaincode_pb2.ChaincodeInvocationSpec(
        chaincode_spec=chaincode_pb2.ChaincodeSpec(
            chaincode_id=chaincode_id, input=chaincode_pb2.ChaincodeInput(args=encoded_args)
        )
    )
    payload = proposal_pb2.ChaincodeProposalPayload(
        input=invocation.SerializeToString(), TransientMap=dict(transient or {})
    )
    proposal = proposal_pb2.Proposal(header=header, payload=payload.SerializeToString())
    proposal_bytes = proposal.SerializeToString()
    signed = proposal_pb2.SignedProposal(
        proposal_bytes=proposal_bytes, signature=identity.sign(proposal_bytes)
    )
    return SignedProposal(identifier, bytes(signed.SerializeToString()))


def build_seek(
    identity: Identity,
    *,
    channel: str,
    start: int,
    stop: int | None,
    nonce: bytes,
    at: datetime,
    tls_certificate_sha256: bytes = b"",
) -> bytes:
    """Return the signed envelope that asks a Deliver service for blocks.

    Args:
        identity: Who asks.
        channel: Channel.
        start: First block's number.
        stop: Last block's number; None follows the channel forever.
        nonce: Never used twice.
        at: Client's time, with a time zone.
        tls_certificate_sha256: See `build_header`.
    """
    seek = ab_pb2.SeekInfo(behavior=ab_pb2.SeekInfo.BLOCK_UNTIL_READY)
    seek.start.specified.number = start
    seek.stop.specified.number = _NEWEST if stop is None else stop
    _, header = build_header(
        identity,
        header_type=common_pb2.DELIVER_SEEK_INFO,
        channel=channel,
        nonce=nonce,
        at=at,
        tls_certificate_sha256=tls_certificate_sha256,
    )
    payload = common_pb2.Payload(
        header=common_pb2.Header.FromString(header), data=seek.SerializeToString()
    ).SerializeToString()
    envelope = common_pb2.Envelope(payload=payload, signature=identity.sign(payload))
    return bytes(envelope.SerializeToString())
