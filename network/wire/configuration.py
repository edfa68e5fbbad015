"""A channel's configuration, read out of one of its configuration blocks."""

from __future__ import annotations

from typing import Any

from fabric_protos.common import common_pb2, configtx_pb2

from network.errors import MalformedBytesError
from network.wire.decoding import decode
from network.wire.transaction import payload_of


def read_configuration(config_block: bytes) -> Any:
    """Return the configuration (common.Config) that a configuration block sets.

    Args:
        config_block: Encoded common.Block, as cscc GetConfigBlock returns it.

    Raises:
        MalformedBytesError: The block is no configuration.
    """
    block = decode(common_pb2.Block, config_block, what="a configuration block")
    if len(block.data.data) != 1:
        raise MalformedBytesError("a configuration block holds exactly one transaction")
    payload = payload_of(block.data.data[0])
    return decode(configtx_pb2.ConfigEnvelope, payload.data, what="a configuration").config


def ordering_values(config_block: bytes) -> Any:
    """Return the values of a configuration block's Orderer group by name, none without one.

    Raises:
        MalformedBytesError: The block is no configuration.
    """
    groups = read_configuration(config_block).channel_group.groups
    return groups["Orderer"].values if "Orderer" in groups else {}
