"""Make a data folder from an export: one volume of each study, pseudonyms, a first index.csv.

Volumes are written as NIfTI in whole Hounsfield units: the voxels and their place, and nothing
else of the DICOM headers. index.csv is written last, whole or not at all.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from network.runtime.files import write_durably
from peer_client.ct.dicom import read_series
from peer_client.ct.errors import CacheError, VolumeError
from peer_client.ct.folder_input import PassedOver
from peer_client.ct.index import INDEX_NAME, REQUIRED_COLUMNS, read_index
from peer_client.ct.nifti import write_nifti
from peer_client.ct.spreadsheet import read_table
from peer_client.pacs.errors import ExportError
from peer_client.pacs.instances import Instance, look_at
from peer_client.pacs.patients_table import PatientRow, PatientsTable
from peer_client.pacs.pseudonyms import Pseudonyms
from peer_client.pacs.series import Series, ranked, sorted_series, why_not

#: Told (what is done, how much of it, of how much).
Told = Callable[[str, int, int], None]
COLUMNS: Final = (
    *REQUIRED_COLUMNS,
    "fold",
    "study",
    "scanner",
    "kernel",
    "slice_thickness_mm",
    "sex",
    "age_group",
)
_NO_ROW: Final = PatientRow(0, "", "", "", "")


@dataclass(frozen=True, slots=True)
class Imported:
    """One volume that was written.

    Attributes:
        file: Its path in the data folder.
        patient: Pseudonym.
        study: Pseudonym of the study.
        series: What the series says of itself.
        slices: How many slices it has.
        label: "1", "0" or empty.
        fold: Fold or empty.
    """

    file: str
    patient: str
    study: str
    series: str
    slices: int
    label: str
    fold: str


@dataclass(frozen=True, slots=True)
class Import:
    """What came of an export.

    Attributes:
        volumes: What was written.
        passed_over: Files and series that were not, each with its reason.
        without_label: Studies that the table of labels does not know (pseudonyms).
        unused_lines: Lines of that table without a study in the export.
    """

    volumes: tuple[Imported, ...]
    passed_over: tuple[PassedOver, ...]
    without_label: tuple[str, ...]
    unused_lines: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def import_export(
    source: Path,
    target: Path,
    pseudonyms: Pseudonyms,
    *,
    part: str,
    table: PatientsTable | None = None,
    wanted: Sequence[str] = (),
    add: bool = False,
    told: Told = lambda *_: None,
) -> Import:
    """Import an export.

    Args:
        source: The export: a folder of any depth, or one file.
        target: The data folder; new or empty, or with `add` one from before.
        pseudonyms: Names of patients and studies.
        part: Name of the data set, where the table of labels does not give one.
        table: Labels and splits.
        wanted: See `series.ranked`.
        add: Whether to add to a data folder; a study that is there already is written again.
        told: Told how far it is.

    Raises:
        ExportError: There is nothing to import, or the target is not empty.
        DataFolderError: The export cannot be read.
        CacheError: The target cannot be written.
    """
    found = import_some(
        source, target, pseudonyms, part=part, table=table, wanted=wanted, add=add, told=told
    )
    check_any(found, str(source))
    return found


def check_any(found: Import, source: str) -> None:
    """Refuse an export of which nothing was imported.

    Raises:
        ExportError: Nothing was.
    """
    if not found.volumes:
        first = f": {found.passed_over[0]}" if found.passed_over else ""
        raise ExportError(f"{source} holds no axial CT series that can be read{first}")


def import_some(
    source: Path,
    target: Path,
    pseudonyms: Pseudonyms,
    *,
    part: str,
    table: PatientsTable | None = None,
    wanted: Sequence[str] = (),
    add: bool = False,
    told: Told = lambda *_: None,
) -> Import:
    """Import what there is to import, which may be nothing; see `import_export`."""
    kept = _kept_rows(target, add=add)
    instances, passed = look_at(
        source, leave_out=target, progress=lambda done, total: told("files looked at", done, total)
    )
    studies: dict[tuple[str, str], list[Series]] = {}
    for series in sorted_series(instances):
        studies.setdefault((series.first.patient, series.first.study), []).append(series)
    volumes: list[Imported] = []
    rows: dict[str, dict[str, str]] = {}
    without_label = []
    for number, ((patient, uid), members) in enumerate(sorted(studies.items()), start=1):
        chosen, name, left_out = _written(
            members, wanted, source, target, (pseudonyms.patient(patient), pseudonyms.study(uid))
        )
        passed += left_out
        if chosen is not None:
            row = table.row_of(chosen.first.accession, patient) if table is not None else None
            if table is not None and row is None:
                without_label.append(pseudonyms.study(uid))
            rows[name] = _index_row(name, chosen.first, row or _NO_ROW, part, pseudonyms)
            volumes.append(
                Imported(
                    file=name,
                    patient=rows[name]["patient"],
                    study=rows[name]["study"],
                    series=str(chosen),
                    slices=chosen.slices,
                    label=rows[name]["label"],
                    fold=rows[name]["fold"],
                )
            )
        told("studies written", number, len(studies))
    if rows:
        _check_folds([*kept.values(), *rows.values()])
        _write_index(target, [*(kept | rows).values()])
    return Import(
        volumes=tuple(volumes),
        passed_over=tuple(passed),
        without_label=tuple(without_label),
        unused_lines=tuple(table.unused_lines) if table is not None else (),
    )


def _kept_rows(target: Path, *, add: bool) -> dict[str, dict[str, str]]:
    """Return the rows of a data folder that is added to, by file."""
    if not target.exists():
        return {}
    if not target.is_dir():
        raise ExportError(f"{target} is not a folder")
    if any(target.iterdir()) and not add:
        raise ExportError(
            f"{target} is not empty", "Name a new folder, or add to this one with --add."
        )
    if not (target / INDEX_NAME).exists():
        return {}
    read_index(target)  # its rows are right, or it is not touched
    _, rows = read_table((target / INDEX_NAME).read_bytes())
    return {row["file"]: dict(row) for _, row in rows}


def _written(
    study: Sequence[Series],
    wanted: Sequence[str],
    source: Path,
    target: Path,
    names: tuple[str, str],
) -> tuple[Series | None, str, list[PassedOver]]:
    """Write the first series of a study that can be read.

    Returns:
        The series or None, its file in the data folder, and the other series with their reasons.
    """
    order, left_out = ranked(study, wanted)
    passed = [_passed(each.series, each.reason, source) for each in left_out]
    patient, uid = names
    chosen: Series | None = None
    name = f"{patient}/{uid}.nii.gz"
    for one in order:
        if chosen is not None:
            passed.append(_passed(one, why_not(one, chosen), source))
            continue
        try:
            volume = read_series([each.path for each in one.instances], source)
        except VolumeError as error:
            passed.append(_passed(one, str(error), source))
            continue
        path = target / name
        try:
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise CacheError(
                f"cannot write {path.parent}: {error.strerror or error}",
                "Free some disk space, or name another folder.",
            ) from error
        write_nifti(path, volume.voxels, volume)
        chosen = one
    return chosen, name, passed


def _passed(one: Series, reason: str, source: Path) -> PassedOver:
    folders = {each.path.parent for each in one.instances}
    place = min(folders)
    where = str(place.relative_to(source)) if place.is_relative_to(source) else place.name
    return PassedOver(f"{where}: {one}", reason)


def _index_row(
    name: str, first: Instance, row: PatientRow, part: str, pseudonyms: Pseudonyms
) -> dict[str, str]:
    return {
        "part": row.part or part,
        "file": name,
        "mask": "",
        "label": row.label,
        "patient": pseudonyms.patient(first.patient),
        "site": row.site or first.site,
        "fold": row.fold,
        "study": pseudonyms.study(first.study),
        "scanner": first.scanner,
        "kernel": first.kernel,
        "slice_thickness_mm": f"{first.thickness_mm:g}" if first.thickness_mm else "",
        "sex": first.sex,
        "age_group": first.age_group,
    }


def _check_folds(rows: Sequence[Mapping[str, str]]) -> None:
    """Refuse a table of labels that puts one patient into two splits."""
    folds: dict[str, set[str]] = {}
    for row in rows:
        folds.setdefault(row["patient"], set()).add(row.get("fold", ""))
    for patient, found in folds.items():
        if len(found) > 1:
            raise ExportError(
                f"the studies of {patient} are in the folds {', '.join(sorted(found))}",
                "Give all studies of a patient one fold in the table of labels.",
            )


def _write_index(target: Path, rows: Sequence[Mapping[str, str]]) -> None:
    text = io.StringIO(newline="")
    columns = [*COLUMNS, *(name for name in rows[0] if name not in COLUMNS)]
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(sorted(rows, key=lambda row: row["file"]))
    try:
        write_durably(target / INDEX_NAME, text.getvalue().encode())
    except OSError as error:
        raise CacheError(
            f"cannot write {target / INDEX_NAME}: {error.strerror or error}",
            "Free some disk space, or name another folder.",
        ) from error
