"""What a capsule network looks like, as plain values; needs no TensorFlow.

`CapsNetConfig` is what a study agrees on: with it every hospital builds the same network. It
refuses a network that cannot be built, and knows nothing of training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from model.errors import ModelConfigError

#: The encoder halves the picture four times.
ENCODER_STRIDE: Final = 16
#: Channels are normalised in this many groups (Wu & He 2018), so each width is a multiple of it.
NORMALISATION_GROUPS: Final = 8
#: Side of a routed layer's window, counted in the places of its parents.
ROUTING_WINDOW: Final = 3
#: Classes of a slice: 0 = not COVID (whatever the hospital's label scheme says), 1 = COVID.
CLASSES: Final = 2
#: Feature maps of the decoder at half and full resolution, where each one costs most.
DETAIL_CHANNELS: Final = 16
#: Feature maps of the picture itself, the only skip at full resolution.
PICTURE_CHANNELS: Final = 8
#: Classes of a pixel: background, ground glass, consolidation.
TISSUES: Final = 3


@dataclass(frozen=True, slots=True)
class CapsNetConfig:
    """The architecture of one capsule network.

    Attributes:
        size_px: Side of the square input in pixels, a multiple of 16.
        stem_channels: Feature maps at half resolution.
        stage_channels: Feature maps at a quarter of the resolution.
        capsule_types: Types of capsule in each convolutional capsule layer.
        primary_size: Length of a primary capsule's vector.
        deep_size: Length of the vectors of the deep capsules (1/16 of the resolution), of the
            pooled capsules, of the class capsules and of the lesion capsule.
        decoder_size: Length of the vectors of the decoder's capsules (1/16).
        routing_iterations: Steps of routing by agreement, at least 1.
        auxiliary_dropout: Share of pooled features hidden from the auxiliary head in training.
        personal: Layers whose tensors stay at the hospital, e.g. ("class_capsules",).

    Raises:
        ModelConfigError: A field has a value that cannot be built.
    """

    size_px: int = 96
    stem_channels: int = 32
    stage_channels: int = 64
    capsule_types: int = 8
    primary_size: int = 8
    deep_size: int = 16
    decoder_size: int = 8
    routing_iterations: int = 3
    auxiliary_dropout: float = 0.3
    personal: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.size_px < ENCODER_STRIDE or self.size_px % ENCODER_STRIDE:
            raise ModelConfigError(
                f"size_px must be a positive multiple of {ENCODER_STRIDE}. Received: {self.size_px}"
            )
        for name in ("stem_channels", "stage_channels"):
            width = getattr(self, name)
            if width < NORMALISATION_GROUPS or width % NORMALISATION_GROUPS:
                raise ModelConfigError(
                    f"{name} must be a positive multiple of {NORMALISATION_GROUPS}. "
                    f"Received: {width}"
                )
        for name in ("capsule_types", "primary_size", "deep_size", "decoder_size"):
            if getattr(self, name) < 1:
                raise ModelConfigError(
                    f"{name} must be at least 1. Received: {getattr(self, name)}"
                )
        if (self.capsule_types * self.primary_size) % NORMALISATION_GROUPS:
            raise ModelConfigError(
                "capsule_types x primary_size must be a multiple of "
                f"{NORMALISATION_GROUPS}. Received: {self.capsule_types} x {self.primary_size}"
            )
        if self.stage_channels % self.deep_size:
            raise ModelConfigError(
                "stage_channels must be a multiple of deep_size (pooled features are cut into "
                f"capsules of that size). Received: {self.stage_channels} and {self.deep_size}"
            )
        if self.routing_iterations < 1:
            raise ModelConfigError(
                f"routing_iterations must be at least 1. Received: {self.routing_iterations}"
            )
        if not 0 <= self.auxiliary_dropout < 1:
            raise ModelConfigError(
                f"auxiliary_dropout must lie in [0, 1). Received: {self.auxiliary_dropout}"
            )

    @property
    def pooled_capsules(self) -> int:
        """Capsules made of the mean and the largest value of each stage channel."""
        return 2 * self.stage_channels // self.deep_size

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them.

        >>> CapsNetConfig.from_dict(CapsNetConfig(size_px=128).to_dict()).size_px
        128
        """
        return {**asdict(self), "personal": list(self.personal)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CapsNetConfig:
        """Read what `to_dict` wrote; absent fields keep their defaults.

        Raises:
            ModelConfigError: A field is unknown or has a value that cannot be built.
        """
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise ModelConfigError(f"unknown fields of the architecture: {', '.join(unknown)}")
        plain = dict(values)
        if "personal" in plain:
            plain["personal"] = tuple(plain["personal"])
        return cls(**plain)
