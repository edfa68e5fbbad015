"""Who must endorse what: the chaincode's policy and the hospitals' private collections.

Collection `<Prefix><MSP id>` is held by all hospitals; only its owner's peer endorses a write.
Values are pulled by the others at commit (required 0, maximum 0: measured to be the fastest) and
expire after `BlockToLive` blocks. All other writes need the channel's Endorsement policy, a
majority of the hospitals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fabric_protos.common import policies_pb2
from fabric_protos.msp import msp_principal_pb2
from fabric_protos.peer import collection_pb2, policy_pb2

from network.consortium.topology import Topology

ENDORSEMENT: Final = "/Channel/Application/Endorsement"


def application_policy() -> bytes:
    """Return the chaincode's endorsement policy: the channel's own."""
    policy = policy_pb2.ApplicationPolicy(channel_config_policy_reference=ENDORSEMENT)
    return bytes(policy.SerializeToString())


def any_of(msp_ids: Sequence[str], role: str) -> Any:
    """Return the policy that one identity of these MSPs with `role` (MEMBER, PEER...) satisfies."""
    principals = [
        msp_principal_pb2.MSPPrincipal(
            principal_classification=msp_principal_pb2.MSPPrincipal.ROLE,
            principal=msp_principal_pb2.MSPRole(
                msp_identifier=msp_id, role=msp_principal_pb2.MSPRole.MSPRoleType.Value(role)
            ).SerializeToString(),
        )
        for msp_id in msp_ids
    ]
    rules = [policies_pb2.SignaturePolicy(signed_by=index) for index in range(len(msp_ids))]
    return policies_pb2.SignaturePolicyEnvelope(
        rule=policies_pb2.SignaturePolicy(
            n_out_of=policies_pb2.SignaturePolicy.NOutOf(n=1, rules=rules)
        ),
        identities=principals,
    )


def hospital_collections(topology: Topology) -> Any:
    """Return the CollectionConfigPackage of all hospitals."""
    package = collection_pb2.CollectionConfigPackage()
    hospitals = [member.msp_id for member in topology.hospitals]
    for owner in hospitals:
        collection = package.config.add().static_collection_config
        collection.name = topology.chaincode.collection_prefix + owner
        collection.required_peer_count = 0
        collection.maximum_peer_count = 0
        collection.block_to_live = topology.chaincode.block_to_live
        collection.member_only_read = True
        collection.member_only_write = True
        collection.member_orgs_policy.signature_policy.CopyFrom(any_of(hospitals, "MEMBER"))
        collection.endorsement_policy.signature_policy.CopyFrom(any_of([owner], "PEER"))
    return package
