"""The data of one rotation, and what of it a federation sees: hospitals left out, cut, mislabelled.

Only training data changes; validation and test patients are the hospitals' own in every view, so
figures of different views are of the same patients.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from evidence_parts import Job, View

from model.sampling import TrainingSlices
from peer_client.ct.cohort import UNLABELLED, Cohort, SliceSet, load_cohort
from peer_client.ct.hospitals import HospitalData
from peer_client.serving.local_training import training_slices

#: Share of the training patients whose label is turned.
WRONG_SHARE = 0.2
CUT_SEED, WRONG_SEED = 12, 20


@dataclass(frozen=True)
class World:
    """What a group of cells shares: the data of one rotation, seen one way.

    Attributes:
        hospitals: Name to cohort, in the order of the hospitals' numbers.
        slices: Name to training slices of those that take part; pieces have names of their own.
        pieces: Name of each that takes part to the hospital whose patients it has.
    """

    hospitals: Mapping[str, Cohort]
    slices: Mapping[str, TrainingSlices]
    pieces: Mapping[str, str]

    @property
    def has_masks(self) -> dict[str, bool]:
        """Return for each that takes part whether it trains with masks."""
        return {name: mine.has_masks for name, mine in self.slices.items()}


@dataclass
class Worlds:
    """Opens worlds, keeping the cohorts of one rotation in memory.

    Attributes:
        hospitals: Of the YAML file.
        data: The data folder.
        cache: Where normalised slices are kept.
    """

    hospitals: tuple[HospitalData, ...]
    data: Path
    cache: Path
    _key: tuple[object, ...] = ()
    _cohorts: dict[str, Cohort] = field(default_factory=dict)

    def open(self, job: Job) -> World:
        """Return what a job sees."""
        recipe = job.recipe
        key = (job.rotation, recipe.size_px, recipe.spatial, recipe.signal)
        if key != self._key:
            self._cohorts.clear()  # not two rotations in memory at once
            for hospital in self.hospitals:
                self._cohorts[hospital.name] = load_cohort(
                    hospital.rotated(job.rotation),
                    self.data,
                    size_px=recipe.size_px,
                    cache=self.cache / "slices",
                    spatial=recipe.spatial,
                    signal=recipe.signal,
                )
            self._key = key
        return seen(dict(self._cohorts), job.view)


def seen(cohorts: Mapping[str, Cohort], view: View) -> World:
    """Return the world that a view shows.

    Args:
        cohorts: Every hospital's, in order.
        view: What is seen of the training patients.
    """
    parts = {name: cohort.train for name, cohort in cohorts.items() if name != view.without}
    pieces = {name: name for name in parts}
    if view.count is not None:
        parts, pieces = cut(parts, view.count)
    slices = {name: training_slices(part) for name, part in parts.items()}
    if view.masks_withheld is not None:
        slices[view.masks_withheld] = maskless(parts[view.masks_withheld])
    if view.wrong_labels is not None:
        slices[view.wrong_labels] = mislabelled(slices[view.wrong_labels], WRONG_SHARE)
    return World(cohorts, slices, pieces)


def cut(parts: Mapping[str, SliceSet], count: int) -> tuple[dict[str, SliceSet], dict[str, str]]:
    """Divide hospitals' patients among more hospitals, each of one site.

    Every hospital is cut into as many pieces as fit; what is left over goes to those with masks
    that have most patients: a network learns masks only where enough hospitals have them.

    Args:
        parts: Training slices by hospital.
        count: How many hospitals there shall be, at least as many as there are.

    Returns:
        Slices by piece, and the hospital of each piece.
    """
    if count < len(parts):
        raise ValueError(f"{len(parts)} hospitals cannot be cut into {count}")
    size = {name: len(set(part.patients)) for name, part in parts.items()}
    largest = sorted(parts, key=lambda name: (not len(parts[name].masks), -size[name], name))
    more = set(largest[: count % len(parts)])
    found: dict[str, SliceSet] = {}
    pieces: dict[str, str] = {}
    for name, part in parts.items():
        number = count // len(parts) + (name in more)
        turns = dealt(part, number)
        for turn in range(number):
            rows = [row for row, who in enumerate(part.patients) if turns[who] == turn]
            piece = name if number == 1 else f"{name}.{turn + 1}"
            found[piece] = part.rows(np.array(rows, np.int64))
            pieces[piece] = name
    return found, pieces


def dealt(part: SliceSet, number: int) -> dict[str, int]:
    """Deal patients of each kind (label, or mask only) to pieces in turn, in random order."""
    kinds: dict[str, int] = {}
    for who, label in zip(part.patients, part.labels.tolist(), strict=True):
        kinds[who] = max(label, kinds.get(who, UNLABELLED))
    rng = np.random.default_rng(CUT_SEED)
    turns: dict[str, int] = {}
    for kind in sorted(set(kinds.values())):
        mine = sorted(who for who, its in kinds.items() if its == kind)
        for place, position in enumerate(rng.permutation(len(mine)).tolist()):
            turns[mine[position]] = place % number
    return turns


def maskless(part: SliceSet) -> TrainingSlices:
    """Return training slices without masks and without the slices that only gave a mask."""
    labelled = training_slices(part.labelled())
    return replace(labelled, masks=labelled.masks[:0], mask_images=labelled.mask_images[:0])


def mislabelled(mine: TrainingSlices, share: float) -> TrainingSlices:
    """Return slices with the label of a share of the labelled patients turned."""
    labelled = sorted(
        {who for who, label in zip(mine.patients, mine.labels, strict=True) if label != UNLABELLED}
    )
    rng = np.random.default_rng(WRONG_SEED)
    turned = set(rng.choice(labelled, round(share * len(labelled)), replace=False).tolist())
    wrong = [
        1 - label if who in turned and label != UNLABELLED else label
        for who, label in zip(mine.patients, mine.labels.tolist(), strict=True)
    ]
    return replace(mine, labels=np.array(wrong))


def masks_only(slices: SliceSet) -> SliceSet:
    """Return the slices with masks."""
    return slices.rows(np.unique(slices.mask_index))


def foreign_masks(world: World, hospital: str) -> list[str]:
    """Return another hospital whose masks tell what the lesion map of one without is worth."""
    return [
        name
        for name, cohort in world.hospitals.items()
        if name != hospital and len(cohort.test.mask_index)
    ][:1]


def code_digest(root: Path) -> str:
    """Return a digest of the programs that decide a cell's numbers."""
    digest = hashlib.sha256()
    for package in ("model", "peer_client/ct", "peer_client/update", "peer_client/simulation"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]
