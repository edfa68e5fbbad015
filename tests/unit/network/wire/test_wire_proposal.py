"""A proposal is what Fabric's own tools would have built from the same nonce and time."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from fabric_protos.common import common_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2

from network.wire.identity import Identity
from network.wire.proposal import build_proposal, build_seek, transaction_id

IDENTITY = Identity("NorthMSP", b"a certificate", lambda message: b"signed:" + message[:4])
NONCE = bytes(range(24))
AT = datetime(2026, 11, 25, 12, 0, 0, 250_000, tzinfo=UTC)


def built(**more: object) -> tuple[str, proposal_pb2.SignedProposal]:
    proposal = build_proposal(
        IDENTITY,
        channel="consortium",
        chaincode="federation",
        args=["put_chunk", "lungs", b"\xff\x00"],
        nonce=NONCE,
        at=AT,
        **more,  # type: ignore[arg-type]
    )
    return proposal.transaction_id, proposal_pb2.SignedProposal.FromString(proposal.encoded)


def test_the_transaction_id_is_the_hash_of_nonce_and_creator() -> None:
    # protoutil.ComputeTxID: hex(SHA-256(nonce || creator)). The creator written out by hand:
    # msp.SerializedIdentity {1: mspid, 2: id_bytes}.
    creator = b"\x0a\x08NorthMSP\x12\x0da certificate"

    assert creator == IDENTITY.creator
    assert built()[0] == hashlib.sha256(NONCE + creator).hexdigest()
    assert transaction_id(b"", b"") == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # SHA-256 of nothing
    )


def test_headers_name_type_channel_time_chaincode_and_creator() -> None:
    identifier, signed = built(tls_certificate_sha256=b"\x01" * 32)

    proposal = proposal_pb2.Proposal.FromString(signed.proposal_bytes)
    header = common_pb2.Header.FromString(proposal.header)
    channel = common_pb2.ChannelHeader.FromString(header.channel_header)
    signature = common_pb2.SignatureHeader.FromString(header.signature_header)
    extension = proposal_pb2.ChaincodeHeaderExtension.FromString(channel.extension)
    assert channel.type == common_pb2.ENDORSER_TRANSACTION
    assert (channel.channel_id, channel.tx_id) == ("consortium", identifier)
    assert (channel.timestamp.seconds, channel.timestamp.nanos) == (1_795_608_000, 250_000_000)
    assert channel.tls_cert_hash == b"\x01" * 32
    assert extension.chaincode_id.name == "federation"
    assert (signature.creator, signature.nonce) == (IDENTITY.creator, NONCE)


def test_text_and_bytes_arguments_arrive_as_they_were() -> None:
    _, signed = built()

    proposal = proposal_pb2.Proposal.FromString(signed.proposal_bytes)
    payload = proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload)
    call = chaincode_pb2.ChaincodeInvocationSpec.FromString(payload.input).chaincode_spec
    assert list(call.input.args) == [b"put_chunk", b"lungs", b"\xff\x00"]


def test_the_signature_covers_the_proposal_bytes() -> None:
    _, signed = built()

    assert signed.signature == b"signed:" + signed.proposal_bytes[:4]


def test_transient_data_are_in_the_payload_and_never_in_a_repr() -> None:
    proposal = build_proposal(
        IDENTITY,
        channel="consortium",
        chaincode="federation",
        args=["put_chunk"],
        nonce=NONCE,
        at=AT,
        transient={"chunk": b"s3cret"},
    )

    assert b"s3cret" in proposal.encoded
    assert "s3cret" not in repr(proposal)


def test_the_same_inputs_give_the_same_bytes_and_another_nonce_another_id() -> None:
    assert built() == built()
    other = build_proposal(
        IDENTITY,
        channel="consortium",
        chaincode="federation",
        args=["put_chunk"],
        nonce=b"\x00" * 24,
        at=AT,
    )
    assert other.transaction_id != built()[0]


def seek(stop: int | None) -> ab_pb2.SeekInfo:
    envelope = common_pb2.Envelope.FromString(
        build_seek(IDENTITY, channel="consortium", start=3, stop=stop, nonce=NONCE, at=AT)
    )
    payload = common_pb2.Payload.FromString(envelope.payload)
    channel = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
    assert channel.type == common_pb2.DELIVER_SEEK_INFO
    assert envelope.signature == b"signed:" + envelope.payload[:4]
    return ab_pb2.SeekInfo.FromString(payload.data)


def test_a_seek_names_first_and_last_block_and_waits_for_those_to_come() -> None:
    info = seek(7)

    assert (info.start.specified.number, info.stop.specified.number) == (3, 7)
    assert info.behavior == ab_pb2.SeekInfo.BLOCK_UNTIL_READY


def test_a_seek_without_a_last_block_follows_for_ever() -> None:
    assert seek(None).stop.specified.number == 2**64 - 1
