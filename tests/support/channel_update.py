"""Change one policy of a channel, as its administrators do: build, sign, send to an ordering node.

Field by field as Fabric's configtxlator computes an update of one policy
(internal/configtxlator/update/update.go): the groups on the way to it stand in the read set and the
write set with the version they have, the policy in the write set with the next one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import grpc
from fabric_protos.common import common_pb2, configtx_pb2, policies_pb2
from fabric_protos.orderer import ab_pb2_grpc

from network.consortium.member import MemberDirectory
from network.wire.configuration import read_configuration
from network.wire.identity import Identity, load_identity
from network.wire.policy import Policy, signature_policy


def administrator(directory: MemberDirectory) -> Identity:
    """Return a member's administrator."""
    return load_identity(directory.user_msp("Admin"), directory.description()["msp_id"])


def configuration_block(directory: MemberDirectory) -> bytes:
    """Return the newest configuration block at a member's own peer."""
    with directory.connect_own("Admin") as gateway:
        return gateway.process("cscc", ["GetConfigBlock", gateway.channel], gateway.channel)


def policy_update(block: bytes, channel: str, path: str, policy: Policy) -> bytes:
    """Return the ConfigUpdate that sets one policy, such as /Channel/Application/Endorsement."""
    present = read_configuration(block).channel_group
    update = configtx_pb2.ConfigUpdate(channel_id=channel)
    read, write = update.read_set, update.write_set
    _, top, *groups, name = path.split("/")
    assert top == "Channel"
    read.version = write.version = present.version
    for group in groups:
        present, read, write = present.groups[group], read.groups[group], write.groups[group]
        read.version = write.version = present.version
    before = present.policies[name]
    after = write.policies[name]
    after.version = before.version + 1
    after.mod_policy = before.mod_policy
    after.policy.type = policies_pb2.Policy.SIGNATURE
    after.policy.value = signature_policy(policy)
    return bytes(update.SerializeToString())


def signed_update(update: bytes, channel: str, signers: Sequence[Identity]) -> bytes:
    """Return the envelope of an update, signed by these administrators and sent by the first."""
    content = configtx_pb2.ConfigUpdateEnvelope(config_update=update)
    for signer in signers:
        header = _header(signer)
        content.signatures.add(signature_header=header, signature=signer.sign(header + update))
    channel_header = common_pb2.ChannelHeader(type=common_pb2.CONFIG_UPDATE, channel_id=channel)
    channel_header.timestamp.GetCurrentTime()
    payload = common_pb2.Payload(
        header=common_pb2.Header(
            channel_header=channel_header.SerializeToString(), signature_header=_header(signers[0])
        ),
        data=content.SerializeToString(),
    ).SerializeToString()
    envelope = common_pb2.Envelope(payload=payload, signature=signers[0].sign(payload))
    return bytes(envelope.SerializeToString())


def _header(signer: Identity) -> bytes:
    header = common_pb2.SignatureHeader(creator=signer.creator, nonce=os.urandom(24))
    return bytes(header.SerializeToString())


def broadcast(directory: MemberDirectory, orderer: str, envelope: bytes) -> tuple[str, str]:
    """Send an envelope to a member's ordering node; return its status and words."""
    member = directory.topology().member(orderer)
    certificate, key = (path.read_bytes() for path in directory.tls("client"))
    credentials = grpc.ssl_channel_credentials(
        directory.tls_root_of(orderer).read_bytes(), key, certificate
    )
    with grpc.secure_channel(member.orderer_address, credentials) as channel:
        stub = ab_pb2_grpc.AtomicBroadcastStub(channel)
        message = common_pb2.Envelope.FromString(envelope)
        answer = next(stub.Broadcast(iter([message]), timeout=15))
    return common_pb2.Status.Name(answer.status), str(answer.info)
