"""Who must endorse what: the chaincode's policy and the hospitals' private collections.

Collection `<Prefix><MSP id>` is held by all hospitals; only its owner's peer endorses a write.
Values are pulled by the others at commit (required 0, maximum 0: measured to be the fastest) and
expire after `BlockToLive` blocks. All other writes need the channel's Endorsement policy, T of the
hospitals.
"""

from __future__ import annotations

from typing import Any, Final

from fabric_protos.peer import collection_pb2

from network.consortium.topology import Topology
from network.wire.policy import any_of, channel_policy, signature_policy

ENDORSEMENT: Final = "/Channel/Application/Endorsement"


def endorsement_policy() -> bytes:
    """Return the chaincode's endorsement policy: the channel's own."""
    return channel_policy(ENDORSEMENT)


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
        collection.member_orgs_policy.signature_policy.ParseFromString(
            signature_policy(any_of(hospitals, "member"))
        )
        collection.endorsement_policy.signature_policy.ParseFromString(
            signature_policy(any_of([owner], "peer"))
        )
    return package
