"""A hospital's patients, split into train, validation and test, as normalised slices.

The split is by patient, always. A patient in two splits, or one and the same picture in two
splits, stops the loading and is named. Parts that only give masks carry no label
(`UNLABELLED`): they hold one class only, and a network would learn the part instead of the disease.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from peer_client.ct.errors import CohortError
from peer_client.ct.hospitals import HospitalData, PartChoice, Split
from peer_client.ct.index import Item, parts_of, read_index
from peer_client.ct.leaks import check_patients_apart, check_pictures_apart
from peer_client.ct.mask_values import LESION
from peer_client.ct.slices import Progress, SliceOptions, Slices, make_slices

#: Label of slices that only give a mask.
UNLABELLED: Final = -1
SPLITS: Final = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, eq=False)
class SliceSet:
    """Slices of some patients; n rows.

    Attributes:
        images: float32, shape `(n, size_px, size_px, 1)`, in [0, 1].
        labels: int64, shape `(n,)`: 1, 0, or `UNLABELLED` for slices that only give a mask.
        patients: n names; slices of one patient have equal names.
        files: n names as in index.csv.
        parts: n names.
        masks: uint8, shape `(m, size_px, size_px)`: 0 background, 1 ground glass,
            2 consolidation, 3 lesion of a kind that is not told; m at most n.
        mask_index: int64, shape `(m,)`: which row of `images` each mask belongs to.
        lung_found: bool, shape `(n,)`.
        digests: uint8, shape `(n, 32)`: SHA-256 of each picture's size and pixels.
        fingerprints: uint8, shape `(n, 32)`: for near-identical pictures.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    patients: tuple[str, ...]
    files: tuple[str, ...]
    parts: tuple[str, ...]
    masks: NDArray[np.uint8]
    mask_index: NDArray[np.int64]
    lung_found: NDArray[np.bool_]
    digests: NDArray[np.uint8]
    fingerprints: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)

    def labelled(self) -> SliceSet:
        """Return the slices whose label is learnt and judged, without the mask-only ones."""
        return self.rows(np.flatnonzero(self.labels != UNLABELLED))

    def with_masks(self) -> SliceSet:
        """Return the slices that have a mask."""
        return self.rows(self.mask_index)

    def rows(self, positions: NDArray[np.int64]) -> SliceSet:
        """Return some slices with their masks.

        Args:
            positions: int64, distinct positions of slices, in the order wanted.
        """
        place = np.full(len(self), -1, np.int64)
        place[positions] = np.arange(len(positions))
        kept = np.flatnonzero(place[self.mask_index] >= 0)
        return SliceSet(
            images=self.images[positions],
            labels=self.labels[positions],
            patients=tuple(self.patients[position] for position in positions),
            files=tuple(self.files[position] for position in positions),
            parts=tuple(self.parts[position] for position in positions),
            masks=self.masks[kept],
            mask_index=place[self.mask_index[kept]],
            lung_found=self.lung_found[positions],
            digests=self.digests[positions],
            fingerprints=self.fingerprints[positions],
        )

    def patient_labels(self) -> Mapping[str, int]:
        """Return the label of each labelled patient: 1 where any of its slices has 1."""
        labels: dict[str, int] = {}
        for patient, label in zip(self.patients, self.labels.tolist(), strict=True):
            if label != UNLABELLED:
                labels[patient] = max(labels.get(patient, 0), label)
        return labels


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """The data of one hospital, ready for training.

    Attributes:
        hospital: What was asked for.
        train: Patients to learn from.
        validation: Patients to choose and calibrate by.
        test: Patients that nothing is chosen by.
    """

    hospital: HospitalData
    train: SliceSet
    validation: SliceSet
    test: SliceSet

    def splits(self) -> Mapping[str, SliceSet]:
        """Return the three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def load_cohort(
    hospital: HospitalData,
    folder: Path,
    *,
    size_px: int,
    cache: Path | None = None,
    progress: Progress | None = None,
    processes: int = 1,
    spatial: bool = True,
    signal: bool = True,
) -> Cohort:
    """Read, normalise and split a hospital's data.

    Args:
        hospital: One hospital of the YAML file.
        folder: The data folder, with its index.csv.
        size_px: Side of the network's input, pixels.
        cache: Folder for normalised slices, or None for none.
        progress: Called with (items done, items in all).
        processes: How many processes read pictures.
        spatial: Whether the lung field is cropped; False only for comparisons.
        signal: Whether levels are mapped to anchors; False only for comparisons.

    Returns:
        The cohort.

    Raises:
        IntakeError: The data is missing, wrong or too little; each kind has its class.
        SplitLeakError: A patient or an identical picture lies in two splits.
    """
    used, split_of = used_items(hospital, read_index(folder))
    slices = make_slices(
        used,
        SliceOptions(size_px, spatial, signal),
        cache=cache,
        progress=progress,
        processes=processes,
    )
    sides = [split_of[used[row].patient] for row in slices.item.tolist()]
    check_pictures_apart(slices.digest, sides, [used[row].name for row in slices.item.tolist()])
    made = {
        side: _slice_set(slices, used, np.flatnonzero(np.array([s == side for s in sides])))
        for side in SPLITS
    }
    _forget_kinds(made.values(), hospital)
    cohort = Cohort(hospital, made["train"], made["validation"], made["test"])
    _check_enough(cohort)
    return cohort


def used_items(
    hospital: HospitalData, items: Sequence[Item]
) -> tuple[list[Item], Mapping[str, str]]:
    """Choose a hospital's items, and decide which split each patient is in.

    Args:
        hospital: One hospital of the YAML file.
        items: The index.

    Returns:
        The items that are used, and "train", "validation" or "test" for each of their patients.

    Raises:
        CohortError: A part has no items, a label or fold is missing, an item is chosen twice.
        SplitLeakError: A patient's rows have different folds.
    """
    chosen = [
        *_chosen(items, hospital.classes, hospital, labels=True),
        *_chosen(items, hospital.masks, hospital, labels=False),
    ]
    split_of = split_patients(chosen, hospital.split, hospital.name)
    used = [item for item in chosen if item.patient in split_of]
    if not hospital.has_masks:
        used = [replace(item, mask_path=None) for item in used]
    return used, split_of


def load_part(
    folder: Path,
    part: str | None = None,
    *,
    size_px: int,
    cache: Path | None = None,
    progress: Progress | None = None,
    processes: int = 1,
) -> Mapping[str, SliceSet]:
    """Read and normalise whole parts of a data folder, unsplit (for `evaluate`).

    Args:
        folder: The data folder, with its index.csv.
        part: One part, or None for every part.
        size_px: Side of the network's input, pixels.
        cache: Folder for normalised slices, or None for none.
        progress: Called with (items done, items in all).
        processes: How many processes read pictures.

    Returns:
        For each part its slices; rows without a label are `UNLABELLED`.

    Raises:
        IntakeError: The data is missing or wrong.
        CohortError: There is no such part.
    """
    items = read_index(folder)
    names = parts_of(items)
    if part is not None and part not in names:
        raise CohortError(f"{folder} has no part {part!r}; it has {', '.join(names)}")
    used = [item for item in items if part is None or item.part == part]
    slices = make_slices(
        used, SliceOptions(size_px), cache=cache, progress=progress, processes=processes
    )
    part_of = np.array([used[row].part for row in slices.item.tolist()])
    return {
        name: _slice_set(slices, used, np.flatnonzero(part_of == name))
        for name in dict.fromkeys(part_of.tolist())
    }


def split_patients(items: Sequence[Item], split: Split, hospital: str) -> Mapping[str, str]:
    """Decide for each patient whether it is for training, validation or testing.

    Args:
        items: The hospital's items; of the mask-only ones the label is None.
        split: How to split.
        hospital: Name, for messages.

    Returns:
        "train", "validation" or "test" for each patient; patients whose fold is in none of
        the three are left out.

    Raises:
        SplitLeakError: A patient's rows have different folds.
        CohortError: A row has no fold where folds are asked for.
    """
    folds = _random_folds(items, split) if split.seed is not None else _index_folds(items, hospital)
    side_of = {fold: side for side in SPLITS for fold in getattr(split, side)}
    return {patient: side_of[fold] for patient, fold in folds.items() if fold in side_of}


def _index_folds(items: Sequence[Item], hospital: str) -> dict[str, int]:
    for item in items:
        if item.fold is None:
            raise CohortError(
                f"{hospital}: index.csv line {item.line} has no fold",
                "Fill in the column fold, or give the hospital's split a seed.",
            )
    check_patients_apart(items)
    return {item.patient: item.fold for item in items if item.fold is not None}


def _random_folds(items: Sequence[Item], split: Split) -> dict[str, int]:
    """Deal the patients of each kind (part and label) to folds in turn, in random order."""
    kinds: dict[str, tuple[str, int]] = {}
    for item in items:
        label = UNLABELLED if item.label is None else item.label
        known = kinds.get(item.patient)
        kinds[item.patient] = (item.part, max(label, known[1]) if known is not None else label)
    generator = np.random.default_rng(split.seed)
    folds: dict[str, int] = {}
    # The dealing goes on where the last kind stopped, so that small kinds do not all begin at
    # fold 0; sorted, so that the order of the index does not matter.
    turn = 0
    for kind in sorted(set(kinds.values())):
        patients = sorted(patient for patient, its in kinds.items() if its == kind)
        for position in generator.permutation(len(patients)).tolist():
            folds[patients[position]] = turn % split.groups
            turn += 1
    return folds


def _chosen(
    items: Sequence[Item], choices: Sequence[PartChoice], hospital: HospitalData, *, labels: bool
) -> list[Item]:
    chosen: list[Item] = []
    for choice in choices:
        taken = [item for item in items if choice.takes(item)]
        if not taken:
            raise CohortError(
                f"{hospital.name}: index.csv has no items of part {choice.part!r}"
                + (f", folds {list(choice.folds)}" if choice.folds is not None else "")
                + (f", sites {list(choice.sites)}" if choice.sites is not None else "")
            )
        if labels:
            for item in taken:
                if item.label is None:
                    raise CohortError(
                        f"{hospital.name}: index.csv line {item.line} has no label, and part "
                        f"{choice.part!r} is learnt from"
                    )
            chosen.extend(taken)
        else:
            chosen.extend(replace(item, label=None) for item in taken if item.mask_path)
    names = [item.name for item in chosen]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise CohortError(f"{hospital.name}: {twice} is chosen twice")
    return chosen


def _slice_set(slices: Slices, items: Sequence[Item], rows: NDArray[np.int64]) -> SliceSet:
    owners = [items[row] for row in slices.item[rows].tolist()]
    masked = np.flatnonzero(slices.has_mask[rows])
    # In place and in float32 throughout: a large hospital's pictures are most of its memory.
    images = slices.pixels[rows, :, :, None].astype(np.float32)
    images /= np.float32(255)
    return SliceSet(
        images=images,
        labels=np.array(
            [UNLABELLED if item.label is None else item.label for item in owners], np.int64
        ),
        patients=tuple(item.patient for item in owners),
        files=tuple(item.name for item in owners),
        parts=tuple(item.part for item in owners),
        masks=slices.masks[rows[masked]],
        mask_index=masked.astype(np.int64),
        lung_found=slices.lung_found[rows],
        digests=slices.digest[rows],
        fingerprints=slices.fingerprint[rows],
    )


def _forget_kinds(sets: Iterable[SliceSet], hospital: HospitalData) -> None:
    """Mark lesions as of no told kind in the parts whose masks do not tell."""
    untold = {
        choice.part
        for choice in (*hospital.classes, *hospital.masks)
        if choice.mask_values == "lesion"
    }
    for slices in sets:
        rows = np.array([slices.parts[row] in untold for row in slices.mask_index.tolist()], bool)
        slices.masks[rows] = np.where(slices.masks[rows] > 0, LESION, 0)


def _check_enough(cohort: Cohort) -> None:
    name = cohort.hospital.name
    for side, slices in cohort.splits().items():
        labels = set(slices.patient_labels().values())
        if labels != {0, 1}:
            missing = " and ".join(str(label) for label in (0, 1) if label not in labels)
            raise CohortError(f"{name}: no patient with label {missing} is in the {side} split")
    if cohort.hospital.has_masks and not len(cohort.train.mask_index):
        raise CohortError(
            f"{name}: has_masks is true, and no picture of its training patients has a mask"
        )
