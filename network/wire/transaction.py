"""Open a transaction, one protobuf layer at a time.

envelope -> payload -> transaction -> action payload -> response payload -> chaincode action, as
in fabric-gateway pkg/client/transactionparser.go. Each function peels one layer and refuses with
`MalformedBytesError`; none trusts that a layer is there.
"""

from __future__ import annotations

from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.peer import proposal_pb2, proposal_response_pb2, transaction_pb2

from network.errors import MalformedBytesError
from network.wire.decoding import decode


def read_result(envelope: bytes) -> bytes:
    """Return what the chaincode answered, out of an endorsed envelope."""
    return bytes(read_chaincode_action(envelope).response.payload)


def read_chaincode_action(envelope: bytes) -> Any:
    """Return the first peer.ChaincodeAction of an endorsed envelope."""
    payload = payload_of(envelope)
    action = first_action_of(payload.data)
    return chaincode_action_of(response_payload_of(action))


def payload_of(envelope: bytes) -> Any:
    """common.Envelope -> common.Payload."""
    outer = decode(common_pb2.Envelope, envelope, what="a transaction envelope")
    return decode(common_pb2.Payload, outer.payload, what="an envelope's payload")


def channel_header_of(payload: Any) -> Any:
    """common.Payload -> common.ChannelHeader."""
    return decode(common_pb2.ChannelHeader, payload.header.channel_header, what="a channel header")


def signature_header_of(payload: Any) -> Any:
    """common.Payload -> common.SignatureHeader."""
    return decode(
        common_pb2.SignatureHeader, payload.header.signature_header, what="a signature header"
    )


def first_action_of(transaction: bytes) -> Any:
    """peer.Transaction -> peer.ChaincodeActionPayload of its only action."""
    outer = decode(transaction_pb2.Transaction, transaction, what="a transaction")
    if not outer.actions:
        raise MalformedBytesError("a transaction has no action")
    return decode(
        transaction_pb2.ChaincodeActionPayload,
        outer.actions[0].payload,
        what="a transaction action",
    )


def response_payload_of(action: Any) -> Any:
    """peer.ChaincodeActionPayload -> peer.ProposalResponsePayload."""
    return decode(
        proposal_response_pb2.ProposalResponsePayload,
        action.action.proposal_response_payload,
        what="an endorsed response",
    )


def chaincode_action_of(response_payload: Any) -> Any:
    """peer.ProposalResponsePayload -> peer.ChaincodeAction."""
    return decode(
        proposal_pb2.ChaincodeAction, response_payload.extension, what="a chaincode action"
    )
