"""Sort slices into series, and choose one axial CT reconstruction of each study.

The rules, in their order (docs/data.md tells them to users):

1. axial series alone;
2. original before derived ones;
3. those that cover at least 80 % of the longest stretch of the body in the study;
4. a lung kernel before others;
5. the smallest distance of slices, but not below 0.6 mm where a coarser one is there;
6. the lower series number, then the lower SeriesInstanceUID.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from peer_client.pacs.instances import Instance

COVERED_SHARE: Final = 0.8
FINEST_MM: Final = 0.6
#: Kernels that makers recommend for lungs: Siemens B50 to B80, Bl, Br50 to Br69 and I50 to
#: I70; GE LUNG; Philips YA to YD and L; Canon FC50 to FC56 and FC80 to FC89.
_LUNG_KERNEL: Final = re.compile(
    r"^(LUNG.*|B[5-8]\d[FSMH]?|BL\d\d.*|BR[56]\d.*|I[5-7]\d[FSMH]?|Y[A-D]|L|FC5[0-6]|FC8\d)(\s|$)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Series:
    """Slices that may make one volume.

    Attributes:
        instances: Its files, at least one, in rising order of place.
    """

    instances: tuple[Instance, ...]

    @property
    def first(self) -> Instance:
        """The file that describes the series."""
        return self.instances[0]

    @property
    def slices(self) -> int:
        """How many slices it has."""
        return sum(each.frames for each in self.instances)

    @property
    def step_mm(self) -> float:
        """Usual distance of slices, or their thickness where it is not known."""
        gaps = np.diff([each.place_mm for each in self.instances])
        return float(np.median(np.abs(gaps))) if gaps.size else self.first.thickness_mm

    @property
    def extent_mm(self) -> float:
        """How much of the body it covers."""
        return self.slices * self.step_mm

    @property
    def has_lung_kernel(self) -> bool:
        """Whether its kernel is one that makers recommend for lungs."""
        return bool(_LUNG_KERNEL.match(self.first.kernel))

    def __str__(self) -> str:
        said = self.first.description or "without description"
        kernel = f", kernel {self.first.kernel}" if self.first.kernel else ""
        return (
            f"series {self.first.number} ({said}{kernel}, {self.slices} slices, "
            f"{self.step_mm:.2f} mm)"
        )


@dataclass(frozen=True, slots=True)
class Ranked:
    """A series that was not chosen.

    Attributes:
        series: The series.
        reason: Why not.
    """

    series: Series
    reason: str


def sorted_series(instances: Iterable[Instance]) -> list[Series]:
    """Sort slices into series: one SeriesInstanceUID and one geometry.

    Where several slices lie at one place, each acquisition (a phase of contrast, say) is a series.
    """
    groups: dict[tuple[object, ...], list[Instance]] = {}
    for each in instances:
        key = (each.patient, each.study, each.series, each.original, each.geometry)
        groups.setdefault(key, []).append(each)
    found = []
    for members in groups.values():
        parts = [members]
        places = [round(each.place_mm, 2) for each in members]
        acquisitions = sorted({each.acquisition for each in members})
        if len(set(places)) < len(places) and len(acquisitions) > 1:
            parts = [[m for m in members if m.acquisition == number] for number in acquisitions]
        found += [Series(tuple(sorted(part, key=lambda one: one.place_mm))) for part in parts]
    return sorted(found, key=lambda one: (one.first.study, one.first.number, one.first.series))


def ranked(study: Sequence[Series], wanted: Sequence[str]) -> tuple[list[Series], list[Ranked]]:
    """Put the series of one study in order, best first.

    Args:
        study: Its series.
        wanted: Texts that overrule the rules: where series of the study have one of them as their
            UID or number, or in their description, only these are looked at.

    Returns:
        Series to try in this order, and those that are not tried with the reason.
    """
    left_out: list[Ranked] = []
    chosen = [each for each in study if any(_is(each, text) for text in wanted)]
    if chosen:
        left_out += [Ranked(each, "not named by --series") for each in study if each not in chosen]
    axial = [each for each in chosen or study if each.first.axial]
    left_out += [Ranked(each, "not axial") for each in chosen or study if not each.first.axial]
    longest = max((each.extent_mm for each in axial), default=0.0)

    def rank(one: Series) -> tuple[object, ...]:
        return (
            not one.first.original,
            one.extent_mm < COVERED_SHARE * longest,
            not one.has_lung_kernel,
            one.step_mm < FINEST_MM,
            round(one.step_mm, 2),
            one.first.number,
            one.first.series,
        )

    return sorted(axial, key=rank), left_out


def why_not(one: Series, chosen: Series) -> str:
    """Return by which rule a series came behind the one that was chosen."""
    if chosen.first.original and not one.first.original:
        return "derived, and there is an original one"
    if one.extent_mm < COVERED_SHARE * chosen.extent_mm:
        return f"it covers {one.extent_mm:.0f} mm, the one chosen {chosen.extent_mm:.0f} mm"
    if chosen.has_lung_kernel and not one.has_lung_kernel:
        return f"not a lung kernel; the one chosen has {chosen.first.kernel}"
    if round(one.step_mm, 2) > round(chosen.step_mm, 2):
        return f"slices {one.step_mm:.2f} mm apart, in the one chosen {chosen.step_mm:.2f} mm"
    if one.step_mm < FINEST_MM <= chosen.step_mm:
        return f"slices {one.step_mm:.2f} mm apart: noisier than the one chosen"
    return "a higher series number than the one chosen"


def _is(one: Series, text: str) -> bool:
    return (
        text in (one.first.series, str(one.first.number))
        or text.casefold() in one.first.description.casefold()
    )
