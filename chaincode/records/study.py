"""The terms of a study, as the hospitals agree on them before round 1.

A study never changes: its SHA-256 is what each hospital approves. It names the hospitals with
their evaluation points, the ordering, the thresholds, the weights with their clipping scales and
who averages them, and the deadlines. This module reads and writes it; whether the terms are safe
is decided in `chaincode.records.terms`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Annotated, ClassVar, Final

from chaincode.records.canonical import (
    Count,
    Flag,
    FreeObject,
    Length,
    Line,
    MspId,
    Range,
    Record,
    Sha256,
    StudyId,
    Text,
    encode,
    plain,
    sha256_hex,
)

#: Tensors of a study: its record is read again and again, and by every query over all studies.
TENSORS_MAX: Final = 1000

GROUP_ALL = "all"
GROUP_MASKS = "masks"
GROUP_PERSONAL = "personal"


@dataclass(frozen=True, slots=True)
class StudyHospital:
    """One hospital of a study.

    Attributes:
        msp: Its organisation's MSP.
        point: Where its share polynomials are evaluated, 1 to N.
        has_masks: 1 when it has lesion masks, else 0.
        label_negative: What a negative label means there.
    """

    msp: MspId
    point: Annotated[int, Range(1, 779)]
    has_masks: Flag
    label_negative: Line


@dataclass(frozen=True, slots=True)
class Weight:
    """One tensor of the model.

    Attributes:
        name: Name, unique in the study.
        shape: Dimensions.
        group: Who averages it: ``all``, ``masks`` (hospitals with masks) or ``personal`` (nobody).
        clip_nano: Clipping scale of round 1, in units of 1e-9.
    """

    name: Annotated[str, Text("[A-Za-z0-9_./:-]+", 200)]
    shape: Annotated[tuple[Annotated[int, Range(1, 2**31)], ...], Length(0, 8)]
    group: Annotated[str, Text("all|masks|personal", 10)]
    clip_nano: Count

    @property
    def size(self) -> int:
        """Number of values."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Architecture:
    """Which network, and its settings (integers and text)."""

    name: Annotated[str, Text("[a-z0-9_-]+", 60)]
    config: FreeObject


@dataclass(frozen=True, slots=True)
class Ordering:
    """The ordering service the study runs on: type (``BFT``) and number of nodes."""

    type: Annotated[str, Text("[A-Za-z]+", 20)]
    nodes: Annotated[int, Range(0, 1000)]


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each phase of a round waits for everybody, in seconds."""

    join: Annotated[int, Range(1, 10**8)]
    submit: Annotated[int, Range(1, 10**8)]
    answer: Annotated[int, Range(1, 10**8)]


@dataclass(frozen=True, slots=True)
class Study(Record):
    """The terms of a study.

    Attributes:
        study: Identifier.
        genesis_sha256: SHA-256 of the channel's first block, as the members compared it; every
            signed or hashed statement of the study's rounds begins with it.
        title: For people.
        architecture: The network and its settings.
        label_scheme: What the labels mean.
        hospitals: In MSP order, points 1 to N.
        ordering: Type and number of ordering nodes.
        bits: Width of one quantised value.
        threshold: T, share sums that open a round; from floor(2N/3) + 1 to N.
        contributors_min: k, the least number of contributors; at least T.
        rounds: Rounds to publish.
        local_steps: Training steps of a hospital in one round.
        seed: Of the initial model.
        weights: Manifest of the model's tensors, in the model's order.
        weights_sha256: `weights_digest` of them.
        initial_model_sha256: Digest of the model before round 1.
        deadlines_s: Seconds that each phase waits.
        gate_margin_ppm: By how much a validation metric may fall, in millionths.
    """

    FORMAT: ClassVar[int] = 2

    study: StudyId
    genesis_sha256: Sha256
    title: Line
    architecture: Architecture
    label_scheme: FreeObject
    hospitals: Annotated[tuple[StudyHospital, ...], Length(1, 779)]
    ordering: Ordering
    bits: Annotated[int, Range(1, 60)]
    threshold: Annotated[int, Range(1, 779)]
    contributors_min: Annotated[int, Range(1, 779)]
    rounds: Annotated[int, Range(1, 999_999)]
    local_steps: Annotated[int, Range(1, 10**9)]
    seed: Count
    weights: Annotated[tuple[Weight, ...], Length(1, TENSORS_MAX)]
    weights_sha256: Sha256
    initial_model_sha256: Sha256
    deadlines_s: Deadlines
    gate_margin_ppm: Annotated[int, Range(0, 1_000_000)]

    @property
    def msps(self) -> tuple[str, ...]:
        """Hospitals in MSP order."""
        return tuple(hospital.msp for hospital in self.hospitals)

    @property
    def parameters(self) -> int:
        """Number of values that are encrypted: those of the shared tensors."""
        return sum(weight.size for weight in self.weights if weight.group != GROUP_PERSONAL)

    @property
    def majority(self) -> int:
        """Least number of hospitals that is more than half of them."""
        return len(self.hospitals) // 2 + 1

    def hospital(self, msp: str) -> StudyHospital | None:
        """Return a hospital of the study, or None."""
        return next((hospital for hospital in self.hospitals if hospital.msp == msp), None)


def weights_digest(weights: tuple[Weight, ...]) -> str:
    """Return the SHA-256 of the canonical JSON of a weight manifest, 64 hex digits.

    >>> weights_digest((Weight("w", (2, 3), "all", 1_000_000),))[:16]
    '3558d36936a14291'
    """
    return sha256_hex(encode(plain(weights)))
