"""Look at a hospital's data folder before any study exists: what is there, and what is wrong.

Everything that `train` checks at its start is checked here by the same functions, but all findings
are told, not the first alone. A finding that stops `train` has the exit code that `train` would end
with; the others are warnings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from peer_client.ct.cohort import SPLITS, Cohort, load_cohort, used_items
from peer_client.ct.errors import IntakeError
from peer_client.ct.fingerprint import NEAR_BITS, nearest
from peer_client.ct.folder_input import folder_input
from peer_client.ct.hospitals import HospitalData, PartChoice, Split
from peer_client.ct.index import Item, parts_of
from peer_client.ct.slices import Progress, SliceOptions, Slices, make_slices

#: Below this many validation patients of a class figures say little.
FEW_PATIENTS: Final = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a folder, or that its owner should know.

    Attributes:
        stops: Whether `train` would not start.
        exit_code: What `train` would end with, 0 for a warning.
        text: A sentence.
        hint: What to do.
    """

    stops: bool
    exit_code: int
    text: str
    hint: str

    @classmethod
    def of(cls, error: IntakeError) -> Finding:
        """Return what an error of the intake is told as."""
        return cls(True, error.exit_code, str(error), error.hint)


@dataclass(frozen=True, slots=True)
class Counts:
    """What one data set (part) has in one split.

    Attributes:
        dataset: Name of the part.
        split: "train", "validation" or "test".
        patients: Patients.
        positive: Those of them with the finding.
        negative: Those without.
        unlabelled: Those whose label is not learnt, here for their masks.
        slices: Slices that the network is given.
        masks: Slices with a mask.
        lesions: Slices whose mask shows a lesion.
        without_lungs: Slices in which no lungs were found.
    """

    dataset: str
    split: str
    patients: int
    positive: int
    negative: int
    unlabelled: int
    slices: int
    masks: int
    lesions: int
    without_lungs: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures that are (nearly) the same.

    Attributes:
        one: File and split of the first.
        other: File and split of the second.
        bits: How many of 256 bits of their fingerprints differ; 0 and `same` for equal pixels.
        same: Whether their pixels are equal.
    """

    one: str
    other: str
    bits: int
    same: bool


@dataclass(frozen=True, slots=True, eq=False)
class FolderCheck:
    """What was found in a folder for one hospital.

    Attributes:
        hospital: Its name.
        counts: By data set and split.
        both_classes: Whether each split has patients of both classes.
        without_lungs: Files of slices without lungs.
        pairs: Pictures of two splits that are the same or nearly so.
        passed_over: Files in DICOM folders that are not read, each with its reason.
        findings: What stops `train`, then warnings.
        cohort: What `train` would be given, or None where it would not start.
        items: The items that could be read.
        slices: Their slices.
        split_of: Split of each patient.
    """

    hospital: str
    counts: tuple[Counts, ...]
    both_classes: Mapping[str, bool]
    without_lungs: tuple[str, ...]
    pairs: tuple[Pair, ...]
    passed_over: tuple[str, ...]
    findings: tuple[Finding, ...]
    cohort: Cohort | None
    items: Sequence[Item]
    slices: Slices
    split_of: Mapping[str, str]

    @property
    def would_start(self) -> bool:
        """Whether `train` would start with this folder."""
        return not any(finding.stops for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """What `train` would end with at its start; 0 where it would go on."""
        return next((each.exit_code for each in self.findings if each.stops), 0)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "hospital": self.hospital,
            "would_start": self.would_start,
            "exit_code": self.exit_code,
            "counts": [asdict(each) for each in self.counts],
            "patients": len(self.split_of),
            "both_classes": dict(self.both_classes),
            "without_lungs": list(self.without_lungs),
            "duplicates": [asdict(each) for each in self.pairs if each.same],
            "near_duplicates": [asdict(each) for each in self.pairs if not each.same],
            "passed_over": list(self.passed_over),
            "findings": [asdict(each) for each in self.findings],
        }


def hospital_of_folder(items: Sequence[Item], name: str) -> HospitalData:
    """Return the hospital that a folder would be, where no YAML file says it.

    Parts with both labels are learnt from, the others give masks; patients are split by the
    index's folds, or at random where it has none.
    """
    labels: dict[str, set[int | None]] = {}
    for item in items:
        labels.setdefault(item.part, set()).add(item.label)
    learnt = [part for part in parts_of(tuple(items)) if {0, 1} <= labels[part]]
    masked = {item.part for item in items if item.mask_path is not None}
    others = [part for part in parts_of(tuple(items)) if part not in learnt and part in masked]
    return HospitalData(
        name=name,
        member=name,
        label_positive="label 1",
        label_negative="label 0",
        has_masks=bool(masked),
        classes=tuple(PartChoice(part) for part in learnt or parts_of(tuple(items))),
        masks=tuple(PartChoice(part) for part in others if learnt),
        split=Split(seed=None if all(item.fold is not None for item in items) else 0),
        phantoms=None,
        line=0,
    )


def check_folder(
    folder: Path,
    items: Sequence[Item],
    hospital: HospitalData,
    *,
    size_px: int,
    cache: Path | None,
    progress: Progress | None = None,
    processes: int = 1,
) -> FolderCheck:
    """Look at what `train` would read of a folder for a hospital.

    Args:
        folder: The data folder.
        items: Its index.
        hospital: What the hospital takes of it.
        size_px: Side of the network's input, pixels.
        cache: Folder for normalised slices, or None for none.
        progress: Called with (items done, items in all).
        processes: How many processes read pictures.

    Raises:
        CacheError: The cache cannot be written.
    """
    findings: list[Finding] = []
    split_of: Mapping[str, str] = {}
    try:
        used, split_of = used_items(hospital, items)
    except IntakeError as error:
        findings.append(Finding.of(error))
        used = list(items)
    options = SliceOptions(size_px)
    readable, unreadable = _readable(used, options, cache, progress, processes)
    findings += unreadable
    slices = make_slices(readable, options, cache=cache, processes=processes)
    sides = [split_of.get(readable[row].patient, "none") for row in slices.item.tolist()]
    counts = _counts(readable, slices, sides)
    pairs = _pairs(readable, slices, sides)
    both = {
        side: all(
            sum(getattr(each, kind) for each in counts if each.split == side)
            for kind in ("positive", "negative")
        )
        for side in SPLITS
    }
    cohort = None
    if not findings:
        try:
            cohort = load_cohort(
                hospital, folder, size_px=size_px, cache=cache, processes=processes
            )
        except IntakeError as error:
            findings.append(Finding.of(error))
    missing = np.flatnonzero(~slices.lung_found).tolist()
    without_lungs = [readable[slices.item[row]].name for row in missing]
    findings += _warnings(hospital, counts, pairs, without_lungs, len(slices.item))
    return FolderCheck(
        hospital=hospital.name,
        counts=counts,
        both_classes=both,
        without_lungs=tuple(dict.fromkeys(without_lungs)),
        pairs=pairs,
        passed_over=_passed_over(readable),
        findings=tuple(sorted(findings, key=lambda each: not each.stops)),
        cohort=cohort,
        items=readable,
        slices=slices,
        split_of=split_of,
    )


def _readable(
    items: Sequence[Item],
    options: SliceOptions,
    cache: Path | None,
    progress: Progress | None,
    processes: int,
) -> tuple[list[Item], list[Finding]]:
    """Return the items that can be read, and a finding for each of the others."""
    try:
        make_slices(items, options, cache=cache, progress=progress, processes=processes)
        return list(items), []
    except IntakeError:
        pass  # one of them: which, and whether others too, is looked for one by one
    readable, findings = [], []
    for number, item in enumerate(items, start=1):
        try:
            make_slices([item], options, cache=None)
            readable.append(item)
        except IntakeError as error:
            text = str(error) if item.name in str(error) else f"{item.name}: {error}"
            findings.append(Finding(True, error.exit_code, text, error.hint))
        if progress is not None:
            progress(number, len(items))
    return readable, findings


def _counts(items: Sequence[Item], slices: Slices, sides: Sequence[str]) -> tuple[Counts, ...]:
    owners = [items[row] for row in slices.item.tolist()]
    lesions = np.array([bool(mask.any()) for mask in slices.masks], np.bool_)
    counts = []
    for part in dict.fromkeys(owner.part for owner in owners):
        for side in (*SPLITS, "none"):
            rows = [
                row for row, owner in enumerate(owners) if owner.part == part and sides[row] == side
            ]
            if not rows:
                continue
            label_of: dict[str, int] = {}
            for row in rows:
                label = -1 if owners[row].label is None else int(owners[row].label or 0)
                label_of[owners[row].patient] = max(label, label_of.get(owners[row].patient, -1))
            labels = list(label_of.values())
            counts.append(
                Counts(
                    dataset=part,
                    split=side,
                    patients=len(labels),
                    positive=labels.count(1),
                    negative=labels.count(0),
                    unlabelled=labels.count(-1),
                    slices=len(rows),
                    masks=int(slices.has_mask[rows].sum()),
                    lesions=int(lesions[rows].sum()),
                    without_lungs=int((~slices.lung_found[rows]).sum()),
                )
            )
    return tuple(counts)


def _pairs(items: Sequence[Item], slices: Slices, sides: Sequence[str]) -> tuple[Pair, ...]:
    """Return each picture that has its like in a split before its own."""
    side_of = np.array(sides)
    pairs = []
    for number, side in enumerate(SPLITS):
        rows = np.flatnonzero(side_of == side)
        for other in SPLITS[:number]:
            others = np.flatnonzero(side_of == other)
            if rows.size == 0 or others.size == 0:
                continue
            position, bits = nearest(slices.fingerprint[rows], slices.fingerprint[others])
            for row, like, distance in zip(
                rows.tolist(), others[position].tolist(), bits.tolist(), strict=True
            ):
                if distance <= NEAR_BITS:
                    pairs.append(_pair(items, slices, sides, row, like, distance))
    return tuple(pairs)


def _pair(
    items: Sequence[Item], slices: Slices, sides: Sequence[str], row: int, like: int, bits: int
) -> Pair:
    def named(at: int) -> str:
        return f"{items[slices.item[at]].name} ({sides[at]})"

    digests: NDArray[np.uint8] = slices.digest
    return Pair(named(row), named(like), bits, bool((digests[row] == digests[like]).all()))


def _warnings(
    hospital: HospitalData,
    counts: Sequence[Counts],
    pairs: Sequence[Pair],
    without_lungs: Sequence[str],
    slices: int,
) -> list[Finding]:
    found = []

    def warn(text: str, hint: str) -> None:
        found.append(Finding(False, 0, text, hint))

    near = [each for each in pairs if not each.same]
    if near:
        warn(
            f"{len(near)} pictures are nearly the same as one in another split, e.g. "
            f"{near[0].one} and {near[0].other}",
            "Where they are of one patient, give them one name in index.csv.",
        )
    if without_lungs:
        warn(
            f"no lungs were found in {len(without_lungs)} of {slices} slices, e.g. "
            f"{without_lungs[0]}",
            "Look at them in the contact sheet; take out what is no slice through lungs.",
        )
    for choice in hospital.classes:
        rows = [each for each in counts if each.dataset == choice.part]
        held = [kind for kind in ("positive", "negative") if sum(getattr(r, kind) for r in rows)]
        if rows and len(held) == 1 and len(hospital.classes) > 1:
            warn(
                f"part {choice.part} holds patients of one class only ({held[0]})",
                "List it under `masks`: a label that goes with the part is learnt as the part.",
            )
    for kind in ("positive", "negative"):
        here = sum(getattr(each, kind) for each in counts if each.split == "validation")
        if 0 < here < FEW_PATIENTS:
            warn(
                f"{here} validation patients are {kind}: figures on them have wide intervals",
                f"Ten and more of each class are better (here it is {hospital.name}).",
            )
    return found


def _passed_over(items: Sequence[Item]) -> tuple[str, ...]:
    return tuple(
        f"{item.name}/{each}"
        for item in items
        if item.path.is_dir()
        for each in folder_input(item.path).passed_over
    )
