"""Weights to small integers and sums back to weights, with nothing secret in it.

shared_tensors, first_scales, part_holders, own_groups   the study's manifest
weight_difference, update_digest, model_digest           changes and their names
quantise, quantisation_report                            before encryption
dequantise_mean, next_scales, apply_update               after opening, bit for bit alike
pack, unpack                                             values in slots (for sealing)
"""

from peer_client.update.apply import apply_update
from peer_client.update.difference import model_digest, update_digest, weight_difference
from peer_client.update.errors import (
    ClipRangeError,
    PackedRangeError,
    UpdateError,
    WeightListError,
)
from peer_client.update.packing import pack, unpack
from peer_client.update.quantise import (
    QuantisationReport,
    centre_level,
    dequantise_mean,
    quantisation_report,
    quantise,
)
from peer_client.update.scales import next_scales
from peer_client.update.tensors import (
    SharedTensor,
    first_scales,
    own_groups,
    part_holders,
    shared_tensors,
)

__all__ = [
    "ClipRangeError",
    "PackedRangeError",
    "QuantisationReport",
    "SharedTensor",
    "UpdateError",
    "WeightListError",
    "apply_update",
    "centre_level",
    "dequantise_mean",
    "first_scales",
    "model_digest",
    "next_scales",
    "own_groups",
    "pack",
    "part_holders",
    "quantisation_report",
    "quantise",
    "shared_tensors",
    "unpack",
    "update_digest",
    "weight_difference",
]
