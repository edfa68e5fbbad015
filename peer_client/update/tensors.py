"""The shared tensors of a study, in the order of the update's values."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chaincode.records.study import GROUP_ALL, GROUP_MASKS, GROUP_PERSONAL, Study, Weight
from peer_client.update.errors import ClipRangeError, WeightListError

NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class SharedTensor:
    """One tensor that hospitals average."""

    name: str
    size: int  # values
    group: str  # "all", or "masks": hospitals with lesion masks


def shared_tensors(weights: Sequence[Weight]) -> tuple[SharedTensor, ...]:
    """The tensors that are averaged, in manifest order; personal ones are left out.

    Args:
        weights: The study's manifest.

    Returns:
        The shared tensors.
    """
    return tuple(
        SharedTensor(weight.name, weight.size, weight.group)
        for weight in weights
        if weight.group != GROUP_PERSONAL
    )


def first_scales(weights: Sequence[Weight]) -> NDArray[np.float64]:
    """Clipping scales of round 1, one for each shared tensor.

    Args:
        weights: The study's manifest.

    Returns:
        Largest magnitude of a change, shape (tensors,).
    """
    scales = [weight.clip_nano / NANO for weight in weights if weight.group != GROUP_PERSONAL]
    return np.array(scales, np.float64)


def part_holders(study: Study, contributors: Collection[str]) -> dict[str, int]:
    """How many contributors have a part in each group of tensors.

    Args:
        study: The study.
        contributors: MSPs of the round's contributors.

    Returns:
        Number by group.
    """
    present = [hospital for hospital in study.hospitals if hospital.msp in contributors]
    return {
        GROUP_ALL: len(present),
        GROUP_MASKS: sum(hospital.has_masks for hospital in present),
    }


def own_groups(study: Study, msp_id: str, joined: Sequence[str]) -> frozenset[str]:
    """The groups a hospital has a part in; elsewhere it sends zeros.

    The round key opens the masks' tensors too, and only hospitals with masks hide each other there.
    Where fewer of them than k have joined, the group is not applied at the end, so none sends it.

    Args:
        study: The study.
        msp_id: The hospital.
        joined: MSPs of the round, frozen.

    Returns:
        Names of groups.
    """
    with_masks = {h.msp for h in study.hospitals if h.has_masks} & set(joined)
    if msp_id in with_masks and len(with_masks) >= study.contributors_min:
        return frozenset({GROUP_ALL, GROUP_MASKS})
    return frozenset({GROUP_ALL})


def slices(tensors: Sequence[SharedTensor]) -> Iterator[tuple[SharedTensor, slice]]:
    """Yield each tensor with its place in the vector of shared values."""
    start = 0
    for tensor in tensors:
        yield tensor, slice(start, start + tensor.size)
        start += tensor.size


def check_layout(count: int, tensors: Sequence[SharedTensor], scales: NDArray[np.float64]) -> None:
    """Refuse values or scales that do not fit the tensors.

    Args:
        count: Number of values.
        tensors: The shared tensors.
        scales: One for each.

    Raises:
        WeightListError: The values are not as many as the tensors have.
        ClipRangeError: A scale is missing, not finite or not positive.
    """
    expected = sum(tensor.size for tensor in tensors)
    if count != expected:
        raise WeightListError(f"{count} values; the study's shared tensors have {expected}")
    if scales.shape != (len(tensors),) or not bool((np.isfinite(scales) & (scales > 0)).all()):
        raise ClipRangeError(f"{len(tensors)} positive clipping scales are needed")
