"""One round's averaging without encryption: the very code that clients run around it.

`PlainAverage` quantises each hospital's change, sums the integers, and applies the mean as every
client does after opening; what is left out is the encryption, which changes no integer. Nothing is
hidden here: for simulations only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chaincode.records.study import Weight
from chaincode.roundkey.parameters import derive
from peer_client.update import (
    QuantisationReport,
    apply_update,
    dequantise_mean,
    first_scales,
    next_scales,
    quantisation_report,
    quantise,
    shared_tensors,
    weight_difference,
)

Vector = NDArray[np.float32]
GROUPS: Final = {True: frozenset({"all", "masks"}), False: frozenset({"all"})}


@dataclass(slots=True)
class PlainAverage:
    """Quantise, sum, apply: a client's code around the encryption, without it.

    Attributes:
        weights: The study's manifest with the clipping scales of round 1.
        has_masks: For each hospital whether it has masks.
        bits: Width of a quantised value.
        rng: Source of the rounding noise.
        scales: Clipping scale of each shared tensor in the next round; set by `apply`.
        losses: For each hospital what the last round's quantising took.
    """

    weights: Sequence[Weight]
    has_masks: Mapping[str, bool]
    bits: int
    rng: np.random.Generator
    scales: NDArray[np.float64] | None = None
    losses: dict[str, QuantisationReport] = field(default_factory=dict)

    def apply(self, before: Vector, after: Mapping[str, Vector]) -> Vector:
        """Return the shared weights after a round, and set the scales of the next."""
        tensors = shared_tensors(self.weights)
        parameters = derive(len(after), self.bits, len(before))
        levels = parameters.levels
        scales = first_scales(self.weights) if self.scales is None else self.scales
        sums = np.zeros(len(before), np.int64)
        for name in sorted(after):
            groups = GROUPS[self.has_masks[name]]
            change = weight_difference(before, after[name])
            values = quantise(change, scales, levels, self.rng, tensors=tensors, groups=groups)
            sums += values
            self.losses[name] = quantisation_report(
                change, values, scales, levels, tensors=tensors, groups=groups
            )
        holders = {"all": len(after), "masks": sum(self.has_masks[name] for name in after)}
        mean = dequantise_mean(
            sums,
            holders,
            scales,
            levels,
            tensors=tensors,
            contributors=len(after),
            contributors_min=parameters.contributors_min,
        )
        self.scales = next_scales(
            sums,
            holders,
            scales,
            levels,
            tensors=tensors,
            contributors=len(after),
            contributors_min=parameters.contributors_min,
        )
        return apply_update(before, mean)
