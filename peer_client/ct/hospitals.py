"""Read the YAML file that says which data each hospital of a study has.

It names hospitals, parts, folds, sites, splits and what the labels mean; it never names a
folder: the data folder is an argument of the command. Unknown keys, keys that are missing and
values of another kind are refused and named with their line. A hospital may have no masks; it
may not have no labelled pictures.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from network.runtime.located_yaml import Located
from network.runtime.yaml_limits import read_yaml_text
from peer_client.ct.errors import DataFolderError, HospitalFileError
from peer_client.ct.index import Item

FORMAT: Final = 1
_FILE: Final = ("format", "hospitals")
_HOSPITAL_REQUIRED: Final = (
    "name",
    "member",
    "label_positive",
    "label_negative",
    "has_masks",
    "classes",
)
_HOSPITAL: Final = (*_HOSPITAL_REQUIRED, "masks", "split", "phantoms")


@dataclass(frozen=True, slots=True)
class PartChoice:
    """Some items of one part.

    Attributes:
        part: Name of the part, as in index.csv.
        folds: Folds to take, or None for all.
        sites: Sites to take, or None for all.
        mask_values: "kinds" where 1 is ground glass and 2 consolidation, "lesion" where the masks
            do not tell the two apart.
    """

    part: str
    folds: tuple[int, ...] | None = None
    sites: tuple[str, ...] | None = None
    mask_values: str = "kinds"

    def takes(self, item: Item) -> bool:
        """Return whether the item is chosen."""
        return (
            item.part == self.part
            and (self.folds is None or item.fold in self.folds)
            and (self.sites is None or item.site in self.sites)
        )


@dataclass(frozen=True, slots=True)
class Split:
    """How a hospital's patients are split.

    Attributes:
        train: Folds to train on.
        validation: Folds to choose and calibrate by.
        test: Folds that nothing is chosen by.
        seed: None takes the folds of index.csv; a number puts the hospital's patients into
            `groups` folds at random, by patient, balanced over parts and labels.
        groups: How many folds a random split makes.
    """

    train: tuple[int, ...] = (0, 1, 2)
    validation: tuple[int, ...] = (3,)
    test: tuple[int, ...] = (4,)
    seed: int | None = None
    groups: int = 5

    def rotated(self, by: int) -> Split:
        """Return the split with every fold moved on by `by` (for cross-validation).

        >>> Split().rotated(2).test
        (1,)
        """

        def moved(folds: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(sorted((fold + by) % self.groups for fold in folds))

        return replace(
            self,
            train=moved(self.train),
            validation=moved(self.validation),
            test=moved(self.test),
        )


@dataclass(frozen=True, slots=True)
class Scanner:
    """How a scanner and the way its pictures were exported change what is seen (phantoms only).

    Attributes:
        kernel_mm: Standard deviation of the blur, mm; sharp kernels are near 0.4, soft ones near 1.
        noise_hu: Standard deviation of the noise in soft tissue, HU.
        grain_mm: Correlation length of the noise, mm: soft kernels have coarse grain.
        window: "lung" (centre -600, width 1500 HU), "wide" (-1024 to 1024 HU), or "slice" (each
            picture's own least and greatest level, field of view padded with -2048 HU).
        gamma: Exponent applied to the grey levels.
        jpeg_quality: 1 to 95, or None for PNG.
        size_px: Side of the pictures, pixels.
    """

    kernel_mm: float
    noise_hu: float
    grain_mm: float
    window: str
    gamma: float
    jpeg_quality: int | None
    size_px: int


@dataclass(frozen=True, slots=True)
class PhantomSource:
    """What a hospital's phantoms are made of.

    Attributes:
        scanner: How they are seen.
        patients: How many patients; half of them (rounded up) have the finding.
        slices: Pictures of each patient.
        seed: Of all that is random.
        negatives: What patients without the finding have, in turn: "sound", "nodules",
            "effusion", "emphysema".
    """

    scanner: Scanner
    patients: int
    slices: int
    seed: int
    negatives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HospitalData:
    """One hospital of the file.

    Attributes:
        name: Name in tables and file names.
        member: Name of the consortium's member; its MSP is the name with "MSP" at the end.
        label_positive: What label 1 means here.
        label_negative: What label 0 means here (other disease, sound lungs ...).
        has_masks: Whether the hospital has lesion masks.
        classes: Parts whose labels are learnt. Their masks, where they have some, count too.
        masks: Parts that only give masks; their labels are not learnt, because a part with one
            label would teach the network to tell parts apart.
        split: How patients are split.
        phantoms: How to make the hospital's data, or None where it is real.
        line: Line of the file.
    """

    name: str
    member: str
    label_positive: str
    label_negative: str
    has_masks: bool
    classes: tuple[PartChoice, ...]
    masks: tuple[PartChoice, ...]
    split: Split
    phantoms: PhantomSource | None
    line: int = 0

    @property
    def msp_id(self) -> str:
        """MSP of the hospital in the consortium."""
        return f"{self.member}MSP"

    def rotated(self, by: int) -> HospitalData:
        """Return the same hospital with its split's folds moved on by `by`."""
        return replace(self, split=self.split.rotated(by))


def read_hospitals(path: Path) -> tuple[HospitalData, ...]:
    """Read the file of hospitals.

    Args:
        path: The YAML file, e.g. examples/real_ct.yaml.

    Returns:
        The hospitals in the order of the file.

    Raises:
        DataFolderError: The file cannot be read.
        HospitalFileError: It is not what docs/data.md says; the message names the line.
    """
    try:
        text = read_yaml_text(path)
    except OSError as error:
        raise DataFolderError(
            f"cannot read {path}: {error.strerror or error}",
            "Name a YAML file of hospitals, e.g. examples/real_ct.yaml.",
        ) from error
    except UnicodeDecodeError as error:
        raise HospitalFileError(f"{path} is not UTF-8 text") from error
    return parse_hospitals(text, name=path.name)


def parse_hospitals(text: str, *, name: str) -> tuple[HospitalData, ...]:
    """Read the text of a file of hospitals; see `read_hospitals`.

    Args:
        text: YAML.
        name: What error messages call the file.
    """

    def refusal(line: int, problem: str) -> HospitalFileError:
        return HospitalFileError(f"{name} line {line}: {problem}", line)

    root = Located.read(text, refusal).fields(_FILE, required=_FILE)
    root["format"].check_format(FORMAT)
    hospitals = tuple(_hospital(entry) for entry in root["hospitals"].items(least=1))
    for kind in ("name", "member"):
        seen: dict[str, HospitalData] = {}
        for hospital in hospitals:
            value = str(getattr(hospital, kind))
            if value in seen:
                raise HospitalFileError(
                    f"{name} line {hospital.line}: {kind} {value!r} is taken by the hospital "
                    f"in line {seen[value].line}",
                    hospital.line,
                )
            seen[value] = hospital
    return hospitals


def _hospital(entry: Located) -> HospitalData:
    found = entry.fields(_HOSPITAL, required=_HOSPITAL_REQUIRED)
    masks = found["masks"].items() if "masks" in found else []
    hospital = HospitalData(
        name=found["name"].word(),
        member=found["member"].word(),
        label_positive=found["label_positive"].text(),
        label_negative=found["label_negative"].text(),
        has_masks=found["has_masks"].switch(),
        classes=tuple(_choice(choice) for choice in found["classes"].items(least=1)),
        masks=tuple(_choice(choice) for choice in masks),
        split=_split(found["split"]) if "split" in found else Split(),
        phantoms=_phantoms(found["phantoms"]) if "phantoms" in found else None,
        line=entry.line,
    )
    if hospital.masks and not hospital.has_masks:
        raise found["has_masks"].refuse("a hospital with mask parts cannot say has_masks: false")
    return hospital


def _choice(entry: Located) -> PartChoice:
    found = entry.fields({"part", "folds", "sites", "mask_values"}, required=("part",))
    kinds = found["mask_values"].text(("kinds", "lesion")) if "mask_values" in found else "kinds"
    return PartChoice(
        part=found["part"].word(),
        folds=found["folds"].integers() if "folds" in found else None,
        # As index.csv is read: composed.
        sites=tuple(unicodedata.normalize("NFC", each) for each in found["sites"].texts())
        if "sites" in found
        else None,
        mask_values=kinds,
    )


def _split(entry: Located) -> Split:
    needed = ("train", "validation", "test")
    found = entry.fields({*needed, "seed", "groups"}, required=needed)
    split = Split(
        train=found["train"].integers(),
        validation=found["validation"].integers(),
        test=found["test"].integers(),
        seed=found["seed"].integer() if "seed" in found else None,
        groups=found["groups"].integer(2) if "groups" in found else 5,
    )
    folds = [*split.train, *split.validation, *split.test]
    twice = sorted({fold for fold in folds if folds.count(fold) > 1})
    if twice:
        raise found["train"].refuse(f"fold {twice[0]} lies in two splits")
    if split.seed is not None and any(fold >= split.groups for fold in folds):
        raise found["train"].refuse(f"a random split has the folds 0 to {split.groups - 1}")
    return split


def _phantoms(entry: Located) -> PhantomSource:
    keys = ("patients", "slices", "seed", "negatives", "scanner")
    found = entry.fields(keys, required=keys)
    return PhantomSource(
        scanner=_scanner(found["scanner"]),
        patients=found["patients"].integer(2, 100_000),
        slices=found["slices"].integer(1, 64),
        seed=found["seed"].integer(),
        negatives=tuple(item.text(NEGATIVES) for item in found["negatives"].items(least=1)),
    )


def _scanner(entry: Located) -> Scanner:
    needed = ("kernel_mm", "noise_hu", "grain_mm", "window", "gamma", "size_px")
    found = entry.fields({*needed, "jpeg_quality"}, required=needed)
    return Scanner(
        kernel_mm=found["kernel_mm"].number(0.0, 5.0),
        noise_hu=found["noise_hu"].number(0.0, 500.0),
        grain_mm=found["grain_mm"].number(0.0, 10.0),
        window=found["window"].text(("lung", "wide", "slice")),
        gamma=found["gamma"].number(0.3, 3.0),
        jpeg_quality=found["jpeg_quality"].integer(1, 95) if "jpeg_quality" in found else None,
        size_px=found["size_px"].integer(64, 1024),
    )


#: What a phantom without the finding may have.
NEGATIVES: Final = ("sound", "nodules", "effusion", "emphysema")


def hospital_named(hospitals: tuple[HospitalData, ...], name: str) -> HospitalData:
    """Return the hospital of that name or member name.

    Raises:
        HospitalFileError: There is none; the message lists the names.
    """
    for hospital in hospitals:
        if name in (hospital.name, hospital.member, hospital.msp_id):
            return hospital
    raise HospitalFileError(
        f"no hospital is called {name!r}; the file has "
        + ", ".join(hospital.name for hospital in hospitals)
    )
