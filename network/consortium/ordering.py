"""Who orders a channel, read out of one of its configuration blocks.

A study states the ordering it relies on (at least four nodes under BFT); this is how a hospital
compares that with the channel it is on.
"""

from __future__ import annotations

from dataclasses import dataclass

from fabric_protos.common import configuration_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2

from network.errors import MalformedBytesError
from network.wire.configuration import ordering_values
from network.wire.decoding import decode


@dataclass(frozen=True, slots=True)
class OrderingService:
    """How a channel is ordered.

    Attributes:
        type: "BFT", "etcdraft" or what a later Fabric has.
        consenter_msps: MSP id of each ordering node, sorted, one entry a node; empty for a type
            whose configuration does not name them (etcdraft).
    """

    type: str
    consenter_msps: tuple[str, ...]


def read_ordering(config_block: bytes) -> OrderingService:
    """Read the ordering out of a configuration block (cscc GetConfigBlock).

    Args:
        config_block: Encoded common.Block.

    Raises:
        MalformedBytesError: It is no configuration block.
    """
    values = ordering_values(config_block)
    if "ConsensusType" not in values:
        raise MalformedBytesError("the block holds no ordering configuration")
    kind = decode(
        orderer_pb2.ConsensusType, values["ConsensusType"].value, what="the consensus type"
    ).type
    consenters: list[str] = []
    if "Orderers" in values:
        nodes = decode(configuration_pb2.Orderers, values["Orderers"].value, what="the orderers")
        consenters = [node.msp_id for node in nodes.consenter_mapping]
    return OrderingService(str(kind), tuple(sorted(consenters)))
