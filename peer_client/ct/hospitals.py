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

from network.runtime.yaml_limits import read_yaml_text
from peer_client.ct.errors import DataFolderError, HospitalFileError
from peer_client.ct.index import Item
from peer_client.ct.settings import Settings, load_settings

FORMAT: Final = 1


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
    root = load_settings(text, name)
    number = root.whole("format", least=1)
    if number != FORMAT:
        raise root.wrong(f"format is {number}, this program reads format {FORMAT}", "format")
    hospitals = tuple(_hospital(entry) for entry in root.mappings("hospitals"))
    root.finish()
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


def _hospital(entry: Settings) -> HospitalData:
    hospital = HospitalData(
        name=entry.word("name"),
        member=entry.word("member"),
        label_positive=entry.text("label_positive"),
        label_negative=entry.text("label_negative"),
        has_masks=entry.truth("has_masks"),
        classes=tuple(_choice(choice) for choice in entry.mappings("classes")),
        masks=tuple(_choice(choice) for choice in entry.mappings("masks", optional=True)),
        split=_split(entry.mapping("split")) if entry.has("split") else Split(),
        phantoms=_phantoms(entry.mapping("phantoms")) if entry.has("phantoms") else None,
        line=entry.line,
    )
    entry.finish()
    if hospital.masks and not hospital.has_masks:
        raise entry.wrong("a hospital with mask parts cannot say has_masks: false", "has_masks")
    return hospital


def _choice(entry: Settings) -> PartChoice:
    choice = PartChoice(
        part=entry.word("part"),
        folds=entry.wholes("folds") if entry.has("folds") else None,
        # As index.csv is read: composed.
        sites=tuple(unicodedata.normalize("NFC", each) for each in entry.texts("sites"))
        if entry.has("sites")
        else None,
        mask_values=entry.choice("mask_values", ("kinds", "lesion"))
        if entry.has("mask_values")
        else "kinds",
    )
    entry.finish()
    return choice


def _split(entry: Settings) -> Split:
    split = Split(
        train=entry.wholes("train"),
        validation=entry.wholes("validation"),
        test=entry.wholes("test"),
        seed=entry.whole("seed") if entry.has("seed") else None,
        groups=entry.whole("groups", least=2) if entry.has("groups") else 5,
    )
    entry.finish()
    folds = [*split.train, *split.validation, *split.test]
    twice = sorted({fold for fold in folds if folds.count(fold) > 1})
    if twice:
        raise entry.wrong(f"fold {twice[0]} lies in two splits", "train")
    if split.seed is not None and any(fold >= split.groups for fold in folds):
        raise entry.wrong(f"a random split has the folds 0 to {split.groups - 1}", "train")
    return split


def _phantoms(entry: Settings) -> PhantomSource:
    scanner = entry.mapping("scanner")
    source = PhantomSource(
        scanner=Scanner(
            kernel_mm=scanner.number("kernel_mm", 0.0, 5.0),
            noise_hu=scanner.number("noise_hu", 0.0, 500.0),
            grain_mm=scanner.number("grain_mm", 0.0, 10.0),
            window=scanner.choice("window", ("lung", "wide", "slice")),
            gamma=scanner.number("gamma", 0.3, 3.0),
            jpeg_quality=scanner.whole("jpeg_quality", least=1, most=95)
            if scanner.has("jpeg_quality")
            else None,
            size_px=scanner.whole("size_px", least=64, most=1024),
        ),
        patients=entry.whole("patients", least=2, most=100_000),
        slices=entry.whole("slices", least=1, most=64),
        seed=entry.whole("seed"),
        negatives=entry.texts("negatives"),
    )
    scanner.finish()
    entry.finish()
    for negative in source.negatives:
        if negative not in NEGATIVES:
            raise entry.wrong(f"{negative!r} is none of {', '.join(NEGATIVES)}", "negatives")
    return source


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
