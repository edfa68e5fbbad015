"""The slices a hospital trains on, and how batches are drawn from them.

A batch holds as many COVID slices as others, and beside them slices with masks. Patients are drawn
first, then one of the patient's slices: a patient with two hundred slices teaches no more than one
with three. Pure numpy; draws depend only on the generator given. Slices that do not fit together
are refused with `TrainingDataError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.errors import TrainingDataError

#: Label of a slice that is there for its mask only (its part of the data holds one class).
NO_LABEL: Final = -1
#: Codes of a mask's pixel (see model.losses).
BACKGROUND, GROUND_GLASS, CONSOLIDATION, LESION = range(4)


@dataclass(frozen=True, slots=True)
class TrainingSlices:
    """Slices of one hospital, all of one size.

    Attributes:
        images: float32, shape `(n, height, width, 1)`, grey levels in [0, 1].
        labels: integers, shape `(n,)`: 1 COVID, 0 not, -1 no label (used for its mask only).
        patients: One id for each slice, length n.
        masks: uint8, shape `(m, height, width)`: 0 background, 1 ground glass, 2 consolidation,
            3 lesion of a kind that is not told. m may be 0.
        mask_images: integers, shape `(m,)`: the image that each mask belongs to.

    Raises:
        TrainingDataError: Shapes, types or values do not fit.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.integer]
    patients: Sequence[str]
    masks: NDArray[np.uint8]
    mask_images: NDArray[np.integer]
    _groups: dict[str, tuple[NDArray[np.int64], ...]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        check_images(self.images)
        count, height, width, _ = self.images.shape
        if self.labels.shape != (count,) or not np.isin(self.labels, (0, 1, NO_LABEL)).all():
            raise TrainingDataError(
                f"labels must be 0, 1 or -1 and one for each of the {count} slices. "
                f"Received: shape {self.labels.shape}"
            )
        if len(self.patients) != count:
            raise TrainingDataError(
                f"{count} slices need as many patient ids. Received: {len(self.patients)}"
            )
        if self.masks.dtype != np.uint8 or self.masks.shape[1:] != (height, width):
            raise TrainingDataError(
                f"masks must be uint8 of shape (m, {height}, {width}). "
                f"Received: {self.masks.dtype} of shape {self.masks.shape}"
            )
        if self.masks.size and self.masks.max() > LESION:
            raise TrainingDataError(
                f"a mask's pixels must be 0 to {LESION}. Received: {self.masks.max()}"
            )
        if self.mask_images.shape != (len(self.masks),):
            raise TrainingDataError(
                f"{len(self.masks)} masks need as many image numbers. "
                f"Received: shape {self.mask_images.shape}"
            )
        if len(self.masks) and not (self.mask_images.min() >= 0 and self.mask_images.max() < count):
            raise TrainingDataError(
                f"masks must belong to images 0 to {count - 1}. "
                f"Received: {self.mask_images.min()} to {self.mask_images.max()}"
            )
        patients = np.asarray(self.patients)
        for label in (0, 1):
            self._groups[f"class {label}"] = _by_patient(
                patients, np.flatnonzero(self.labels == label)
            )
        owners = patients[self.mask_images] if len(self.masks) else patients[:0]
        self._groups["masks"] = _by_patient(owners, np.arange(len(self.masks)))

    @property
    def has_masks(self) -> bool:
        """Whether any slice has a mask."""
        return len(self.masks) > 0

    @property
    def has_labels(self) -> bool:
        """Whether any slice has a label."""
        return any(self._groups[f"class {label}"] for label in (0, 1))

    def groups(self, kind: str) -> tuple[NDArray[np.int64], ...]:
        """Return item numbers by patient, for "class 0", "class 1" or "masks"."""
        return self._groups[kind]


@dataclass(frozen=True, slots=True)
class Batch:
    """One training batch: labelled items first, then the items with masks.

    Attributes:
        images: float32, shape `(n, height, width, 1)`.
        labels: int32, shape `(labelled,)`.
        masks: uint8, shape `(n - labelled, height, width)`.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int32]
    masks: NDArray[np.uint8]


def draw_batch(
    slices: TrainingSlices, rng: np.random.Generator, *, class_items: int, mask_items: int
) -> Batch:
    """Draw a balanced batch, without augmentation.

    Args:
        slices: What to draw from.
        rng: Source of the draws.
        class_items: Labelled items; half of each class (all of one class where only one is there).
        mask_items: Items with a mask; must be 0 where there are no masks.

    Returns:
        The batch; an item may occur twice.

    Raises:
        TrainingDataError: There is no slice of the kind asked for.
    """
    chosen: list[np.int64] = []
    classes = [slices.groups("class 1"), slices.groups("class 0")]
    present = [groups for groups in classes if groups]
    if class_items and not present:
        raise TrainingDataError("no slice has a label, but labelled items were asked for")
    for number, groups in enumerate(present):
        share = class_items // len(present) + (number < class_items % len(present))
        chosen += _draw(groups, rng, share)
    labels = slices.labels[chosen].astype(np.int32)
    if mask_items and not slices.has_masks:
        raise TrainingDataError("no slice has a mask, but items with masks were asked for")
    masked = _draw(slices.groups("masks"), rng, mask_items)
    chosen += [np.int64(slices.mask_images[mask]) for mask in masked]
    return Batch(slices.images[chosen], labels, slices.masks[masked])


def check_images(images: NDArray[np.float32]) -> None:
    """Check slices for the network.

    Args:
        images: float32, shape `(n, size, size, 1)`, n at least 1, values in [0, 1].

    Raises:
        TrainingDataError: A dtype, shape or value is another.
    """
    if images.dtype != np.float32 or images.ndim != 4 or images.shape[3] != 1:
        raise TrainingDataError(
            "images must be float32 of shape (n, height, width, 1). "
            f"Received: {images.dtype} of shape {images.shape}"
        )
    if not len(images):
        raise TrainingDataError("there is no slice at all")
    lowest, highest = float(images.min()), float(images.max())
    if not (lowest >= 0.0 and highest <= 1.0):
        raise TrainingDataError(
            f"grey levels must be finite and in [0, 1]. Received: {lowest:g} to {highest:g}"
        )


def _by_patient(
    patients: NDArray[np.str_], items: NDArray[np.int64]
) -> tuple[NDArray[np.int64], ...]:
    """Group item numbers by their patient, patients in order of their id."""
    if not len(items):
        return ()
    owners = patients[items]
    order = np.argsort(owners, kind="stable")
    _, starts = np.unique(owners[order], return_index=True)
    return tuple(np.split(items[order], starts[1:]))


def _draw(
    groups: tuple[NDArray[np.int64], ...], rng: np.random.Generator, count: int
) -> list[np.int64]:
    """Draw a patient, then one of the patient's items, `count` times."""
    if not count:
        return []
    patients = rng.integers(len(groups), size=count)
    return [groups[patient][rng.integers(len(groups[patient]))] for patient in patients]
