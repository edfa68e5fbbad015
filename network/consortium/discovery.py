"""Can a peer already plan an endorsement? Asked of its discovery service.

A committed chaincode is usable only once the peers have told each other by gossip that they run it;
until then a gateway answers FAILED_PRECONDITION ("no combination of peers can be derived").
"""

from __future__ import annotations

from typing import Any

import grpc
from fabric_protos.discovery import protocol_pb2, protocol_pb2_grpc
from fabric_protos.peer import proposal_response_pb2

from network.gateway.gateway import Gateway


def endorsing_members(gateway: Gateway, chaincode: str, *, timeout_s: float = 5.0) -> int:
    """Return how many members' peers the gateway's own peer would now ask for endorsements.

    Args:
        gateway: A connection to that peer.
        chaincode: Name of a committed chaincode.
        timeout_s: Longest wait for the answer.

    Returns:
        0 where the policy cannot be satisfied yet, or the peer does not answer.
    """
    interest = proposal_response_pb2.ChaincodeInterest(
        chaincodes=[proposal_response_pb2.ChaincodeCall(name=chaincode)]
    )
    request = protocol_pb2.Request(
        authentication=protocol_pb2.AuthInfo(
            client_identity=gateway.identity.creator,
            client_tls_cert_hash=gateway.tls_certificate_sha256,
        ),
        queries=[
            protocol_pb2.Query(
                channel=gateway.channel,
                cc_query=protocol_pb2.ChaincodeQuery(interests=[interest]),
            )
        ],
    ).SerializeToString()
    signed = protocol_pb2.SignedRequest(payload=request, signature=gateway.identity.sign(request))
    stub: Any = protocol_pb2_grpc.DiscoveryStub(gateway.endpoints.first.channel)
    try:
        answer = stub.Discover(signed, timeout=timeout_s)
    except grpc.RpcError:
        return 0
    for result in answer.results:
        for descriptor in result.cc_query_res.content:
            groups = descriptor.endorsers_by_groups
            return sum(1 for name in groups if groups[name].peers)
    return 0
