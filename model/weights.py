"""The weights of a network as one vector, with a manifest of names, shapes and owners.

Everything here is numpy and integers: the manifest and the initial weights of a study are the same
bytes on every machine, and an audit needs no TensorFlow. `get_vector` and `set_vector` use a
network that the caller has built. A vector of another length or with a value that is not finite is
refused.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from model.config import CLASSES, DETAIL_CHANNELS, PICTURE_CHANNELS, ROUTING_WINDOW, CapsNetConfig
from model.errors import WeightLayoutError
from model.tensors import Tensor

Group = Literal["all", "masks", "personal"]

#: Bits of a uniform draw. A float64 product of a 25-bit odd integer and a limit is rounded once,
#: and so is its float32: no machine can differ.
DRAW_BITS: Final = 24

#: Lesion capsules start with |s| near 0.5, so with P(lesion) near 0.2: drawn as wide as other
#: kernels they start at 0.9, and a hundred steps go by in forgetting that (docs/model.md).
LESION_HALF_WIDTH: Final = 0.08


@dataclass(frozen=True, slots=True)
class WeightSpec:
    """One tensor of the network.

    Attributes:
        name: `layer/variable`, e.g. "deep_capsules/kernel".
        shape: Its shape.
        group: Who averages it: "all" contributors, those with "masks", or nobody ("personal").
        centre: Value it starts around.
        half_width: It starts uniform in centre +- half_width.
    """

    name: str
    shape: tuple[int, ...]
    group: Group
    centre: float = 0.0
    half_width: float = 0.0

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


class WeightedNetwork(Protocol):
    """A network whose trainable variables stand in the order of its manifest."""

    @property
    def ordered_variables(self) -> Sequence[Tensor]:
        """Keras variables, encoder first."""


def specs(config: CapsNetConfig) -> tuple[WeightSpec, ...]:
    """List every trainable tensor of a capsule network in the order of the vector.

    Args:
        config: The architecture.

    Returns:
        Encoder first (group "all"), then decoder (group "masks"); tensors of the layers that
        `config.personal` names are "personal" instead.

    Raises:
        WeightLayoutError: `config.personal` names a layer that does not exist.

    >>> listed = specs(CapsNetConfig())
    >>> len(listed), sum(spec.size for spec in listed)
    (49, 278075)
    >>> listed[0].name, listed[0].shape, listed[0].group
    ('stem_1/kernel', (5, 5, 1, 32), 'all')
    """
    encoder = tuple(spec for layer in _encoder(config) for spec in layer)
    decoder = tuple(spec for layer in _decoder(config) for spec in layer)
    layers = {spec.name.split("/")[0] for spec in encoder + decoder}
    unknown = sorted(set(config.personal) - layers)
    if unknown:
        raise WeightLayoutError(f"personal layers {unknown}", f"layers among {sorted(layers)}")
    shared = [_grouped(spec, "all", config.personal) for spec in encoder]
    by_masks = [_grouped(spec, "masks", config.personal) for spec in decoder]
    return (*shared, *by_masks)


def initial_vector(specs: Sequence[WeightSpec], seed: int) -> NDArray[np.float32]:
    """Draw the weights a study starts from, the same bytes on every machine.

    Each tensor has its own stream, SHAKE-128 of the seed and the tensor's name, so that adding a
    layer leaves the others' weights as they were. A draw is (2 i + 1 - 2^24) / 2^24 x half_width
    for a uniform 24-bit integer i: integers, one product and two roundings that IEEE 754 decides.

    Args:
        specs: The manifest.
        seed: Study seed, at least 0.

    Returns:
        float32, shape `(values,)`.

    >>> kernel = WeightSpec("a/kernel", (3,), "all", half_width=0.5)
    >>> scale = WeightSpec("a/scale", (2,), "all", centre=1.0)
    >>> initial_vector((kernel, scale), 7).tolist()
    [0.30813655257225037, 0.18462082743644714, -0.12471833825111389, 1.0, 1.0]
    """
    parts = [_initial(spec, seed) for spec in specs]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def get_vector(net: WeightedNetwork) -> NDArray[np.float32]:
    """Copy a network's weights into one float32 vector, shape `(values,)`."""
    parts = [np.asarray(variable, np.float32).reshape(-1) for variable in net.ordered_variables]
    return np.concatenate(parts)


def set_vector(net: WeightedNetwork, vector: NDArray[np.float32]) -> None:
    """Put a vector's values into a network.

    Args:
        net: The network.
        vector: float32, shape `(values,)`.

    Raises:
        WeightLayoutError: The length is another, or a value is not finite; the network is as it
        was.
    """
    expected = sum(math.prod(variable.shape) for variable in net.ordered_variables)
    if vector.shape != (expected,):
        raise WeightLayoutError(f"an array of shape {vector.shape}", f"shape ({expected},)")
    if not np.isfinite(vector).all():
        raise WeightLayoutError("a value that is not finite", "finite values only")
    start = 0
    for variable in net.ordered_variables:
        stop = start + math.prod(variable.shape)
        variable.assign(vector[start:stop].reshape(variable.shape).astype(np.float32))
        start = stop


def _grouped(spec: WeightSpec, group: Group, personal: Sequence[str]) -> WeightSpec:
    owner: Group = "personal" if spec.name.split("/")[0] in personal else group
    return WeightSpec(spec.name, spec.shape, owner, spec.centre, spec.half_width)


def _initial(spec: WeightSpec, seed: int) -> NDArray[np.float32]:
    if spec.half_width == 0.0:
        return np.full(spec.size, spec.centre, np.float32)
    message = f"capsule-consortium initial weights v1\n{seed}\n{spec.name}".encode()
    stream = hashlib.shake_128(message).digest(4 * spec.size)
    integers = np.frombuffer(stream, "<u4").astype(np.int64) >> (32 - DRAW_BITS)
    odd = 2 * integers + 1 - 2**DRAW_BITS
    uniform = odd.astype(np.float64) * 2.0**-DRAW_BITS
    drawn: NDArray[np.float32] = (spec.centre + uniform * spec.half_width).astype(np.float32)
    return drawn


def _he(fan_in: int) -> float:
    """Half-width of He's uniform draw (He et al. 2015, equation 10: variance 2 / fan_in)."""
    return math.sqrt(6.0 / fan_in)


def _glorot(fan_in: int, fan_out: int) -> float:
    """Half-width of Glorot's uniform draw (Glorot & Bengio 2010, equation 16)."""
    return math.sqrt(6.0 / (fan_in + fan_out))


def _drawn(name: str, shape: tuple[int, ...], half_width: float) -> WeightSpec:
    return WeightSpec(name, shape, "all", half_width=half_width)


def _constant(name: str, shape: tuple[int, ...], value: float) -> WeightSpec:
    return WeightSpec(name, shape, "all", centre=value)


def _block(
    name: str, window: int, channels_in: int, channels: int, *, scale: float = 1.0
) -> list[WeightSpec]:
    """Convolution and group normalisation, whose scale starts at `scale`."""
    return [
        _drawn(
            f"{name}/kernel",
            (window, window, channels_in, channels),
            _he(window * window * channels_in),
        ),
        _constant(f"{name}_norm/gamma", (channels,), scale),
        _constant(f"{name}_norm/beta", (channels,), 0.0),
    ]


def _capsules(
    config: CapsNetConfig, name: str, child_size: int, size: int, *, strides: int
) -> list[WeightSpec]:
    types, window = config.capsule_types, ROUTING_WINDOW * strides
    bias = _constant(f"{name}/bias", (types, size), 0.02)
    fan_in = window * window * child_size
    return [_drawn(f"{name}/kernel", (window, window, child_size, types * size), _he(fan_in)), bias]


def _encoder(config: CapsNetConfig) -> list[list[WeightSpec]]:
    stem, stage, types = config.stem_channels, config.stage_channels, config.capsule_types
    primary = types * config.primary_size
    deep = config.deep_size
    width = CLASSES * deep
    spread = 0.15 * math.sqrt(3.0)
    return [
        _block("stem_1", 5, 1, stem),
        _block("stem_2", 3, stem, stem),
        _block("stage_1", 3, stem, stage),
        _block("stage_2", 3, stage, stage),
        _block("residual_1", 3, stage, stage),
        _block("residual_2", 3, stage, stage, scale=0.0),  # passes its input on at first
        [
            _drawn("primary_capsules/kernel", (2, 2, stage, primary), _he(4 * stage)),
            _constant("primary_capsules/scale", (primary,), 1.0),
            _constant("primary_capsules/offset", (primary,), 0.0),
        ],
        _capsules(config, "deep_capsules", config.primary_size, deep, strides=2),
        [
            _drawn("class_capsules/grid_kernel", (types, deep, width), spread),
            _drawn("class_capsules/pooled_kernel", (config.pooled_capsules, deep, width), spread),
            _constant("class_capsules/bias", (CLASSES, deep), 0.0),
        ],
        [
            _drawn("auxiliary/kernel", (2 * stage, CLASSES), _glorot(2 * stage, CLASSES)),
            _constant("auxiliary/bias", (CLASSES,), 0.0),
        ],
    ]


def _decoder(config: CapsNetConfig) -> list[list[WeightSpec]]:
    stem, stage, lesion = config.stem_channels, config.stage_channels, config.deep_size
    low = config.capsule_types * (config.decoder_size + config.primary_size)
    return [
        _capsules(config, "decoder_capsules", config.deep_size, config.decoder_size, strides=1),
        _block("merge", 1, low + stage, stage),
        _block("quarter", 3, stage, stage),
        _block("half", 3, stage + stem, DETAIL_CHANNELS),
        _block("picture", 3, 1, PICTURE_CHANNELS),
        _block("full", 3, DETAIL_CHANNELS + PICTURE_CHANNELS, DETAIL_CHANNELS),
        [
            _drawn("lesion_capsule/kernel", (1, 1, DETAIL_CHANNELS, lesion), LESION_HALF_WIDTH),
            _constant("lesion_capsule/bias", (lesion,), 0.0),
        ],
        [
            _drawn("tissue/kernel", (lesion, 1), _glorot(lesion, 1)),
            _constant("tissue/bias", (1,), 0.0),
        ],
    ]
