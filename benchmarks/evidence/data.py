"""The data of one fold, and what of it a federation sees: hospitals left out, cut, mislabelled.

Only training data changes; validation and test patients are the hospitals' own in every view, so
figures of different views are of the same patients.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.plan import Job, View
from peer_client.ct.cohort import UNLABELLED, Cohort, SliceSet, load_cohort
from peer_client.ct.hospitals import HospitalData

#: Share of the training patients whose label is turned.
WRONG_SHARE = 0.2
CUT_SEED, WRONG_SEED = 12, 20
#: Folders of the programs that decide a cell's numbers; `peer_client` whole, as its folders move.
PROGRAMS = ("model", "peer_client", "benchmarks/networks")


@dataclass(frozen=True)
class World:
    """What a group of cells shares: the data of one fold, seen one way.

    Attributes:
        hospitals: Name to cohort, in the order of the file.
        taking_part: Name to cohort as seen, of those that train; pieces have names of their own.
        pieces: Name of each that takes part to the hospital whose patients it has.
    """

    hospitals: Mapping[str, Cohort]
    taking_part: Mapping[str, Cohort]
    pieces: Mapping[str, str]


@dataclass
class Worlds:
    """Opens worlds, keeping the cohorts of one fold in memory.

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
        trial, size_px = job.trial, job.trial.recipe.size_px
        key = (job.fold, size_px, trial.spatial, trial.signal)
        if key != self._key:
            self._cohorts.clear()  # not two folds in memory at once
            for hospital in self.hospitals:
                self._cohorts[hospital.name] = load_cohort(
                    hospital.rotated(job.fold),
                    self.data,
                    size_px=size_px,
                    cache=self.cache / "slices",
                    spatial=trial.spatial,
                    signal=trial.signal,
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
    if view.masks_withheld is not None:
        parts[view.masks_withheld] = maskless(parts[view.masks_withheld])
    if view.wrong_labels is not None:
        parts[view.wrong_labels] = mislabelled(parts[view.wrong_labels], WRONG_SHARE)
    taking_part = {name: _piece(cohorts[pieces[name]], name, part) for name, part in parts.items()}
    return World(cohorts, taking_part, pieces)


def _piece(whole: Cohort, name: str, train: SliceSet) -> Cohort:
    """Return a hospital, or one of the pieces it was cut into, with what it trains on."""
    hospital = whole.hospital
    # A member's name holds letters and digits only.
    member = hospital.member + name.removeprefix(hospital.name).replace(".", "x")
    named = replace(hospital, name=name, member=member, has_masks=bool(len(train.masks)))
    return replace(whole, hospital=named, train=train)


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


def maskless(part: SliceSet) -> SliceSet:
    """Return training slices without masks and without the slices that only gave a mask."""
    labelled = part.labelled()
    return replace(labelled, masks=labelled.masks[:0], mask_index=labelled.mask_index[:0])


def mislabelled(mine: SliceSet, share: float) -> SliceSet:
    """Return slices with the label of a share of the labelled patients turned."""
    labelled = sorted(
        {who for who, label in zip(mine.patients, mine.labels, strict=True) if label != UNLABELLED}
    )
    rng = np.random.default_rng(WRONG_SEED)
    turned = set(rng.choice(labelled, round(share * len(labelled)), replace=False).tolist())
    wrong: list[int] = [
        1 - label if who in turned and label != UNLABELLED else label
        for who, label in zip(mine.patients, mine.labels.tolist(), strict=True)
    ]
    labels: NDArray[np.int64] = np.array(wrong, np.int64)
    return replace(mine, labels=labels)


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
    for folder in PROGRAMS:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]
