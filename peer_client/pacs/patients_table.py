"""Labels and splits of patients or studies, from a table that a hospital keeps.

One row a patient or a study, known by its accession number or its PatientID. Spreadsheets drop
leading zeros, so identifiers that differ by these alone are taken for the same where that is
unambiguous.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from peer_client.ct.spreadsheet import TableError, read_table
from peer_client.pacs.errors import ExportError

TABLE_BYTES_MAX: Final = 64 * 1024 * 1024
_PATIENT: Final = ("patient", "patientid", "patient_id", "patient id")
_ACCESSION: Final = ("accession", "accessionnumber", "accession_number", "accession number")
#: Folds of the default split (`ct.hospitals.Split`) that names of splits stand for.
_SPLIT_FOLDS: Final = {"train": "0", "training": "0", "validation": "3", "valid": "3", "test": "4"}


@dataclass(frozen=True, slots=True)
class PatientRow:
    """One row.

    Attributes:
        line: Line of the table.
        label: "1", "0" or empty.
        fold: A whole number as text, or empty.
        part: Data set, or empty.
        site: Site, or empty.
    """

    line: int
    label: str
    fold: str
    part: str
    site: str


class PatientsTable:
    """Finds the row of a study.

    Args:
        by_accession: Rows by accession number.
        by_patient: Rows by PatientID.
    """

    def __init__(
        self, by_accession: Mapping[str, PatientRow], by_patient: Mapping[str, PatientRow]
    ) -> None:
        self._by_accession = by_accession
        self._by_patient = by_patient
        self._used: set[int] = set()

    def row_of(self, accession: str, patient: str) -> PatientRow | None:
        """Return the row of a study: by its accession number, else by its patient."""
        found = _looked_up(self._by_accession, accession)
        found = found or _looked_up(self._by_patient, patient)
        if found is not None:
            self._used.add(found.line)
        return found

    @property
    def unused_lines(self) -> list[int]:
        """Lines whose patient or study was not asked for."""
        rows = [*self._by_accession.values(), *self._by_patient.values()]
        return sorted({row.line for row in rows} - self._used)


def read_patients_table(path: Path) -> PatientsTable:
    """Read a table.

    Args:
        path: A CSV file with a column `patient` or `accession` (or both), and any of `label`,
            `fold` or `split` (train, validation, test), `part`, `site`.

    Raises:
        ExportError: It cannot be read, or says two things of one patient or study.
    """
    try:
        if path.stat().st_size > TABLE_BYTES_MAX:
            raise ExportError(f"{path} is larger than {TABLE_BYTES_MAX} bytes")
        header, rows = read_table(path.read_bytes())
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror or error}") from error
    except TableError as error:
        raise ExportError(f"{path} line {error.line}: {error}", error.hint) from error
    if not set(header) & {*_PATIENT, *_ACCESSION}:
        raise ExportError(
            f"{path} has no column patient or accession; it has {', '.join(header) or 'none'}"
        )
    by_accession: dict[str, PatientRow] = {}
    by_patient: dict[str, PatientRow] = {}
    for line, fields in rows:
        row = _row(path, line, fields)
        accession, patient = _first(fields, _ACCESSION), _first(fields, _PATIENT)
        if not accession and not patient:
            raise ExportError(f"{path} line {line}: neither patient nor accession is given")
        # A row with an accession number is about that study alone.
        table, key = (by_accession, accession) if accession else (by_patient, patient)
        known = table.setdefault(key, row)
        if replace(known, line=line) != row:
            kind = "study" if accession else "patient"
            raise ExportError(f"{path} lines {known.line} and {line} say two things of one {kind}")
    return PatientsTable(by_accession, by_patient)


def _row(path: Path, line: int, fields: Mapping[str, str]) -> PatientRow:
    label, fold = (fields.get(name, "") for name in ("label", "fold"))
    for decimal in (".", ","):
        label, fold = label.split(decimal)[0], fold.split(decimal)[0]
    split = fields.get("split", "").casefold()
    if label not in ("", "0", "1"):
        raise ExportError(f"{path} line {line}: label is {label!r}, allowed is 0, 1 or nothing")
    if split and not fold:
        if split not in _SPLIT_FOLDS:
            raise ExportError(
                f"{path} line {line}: split is {split!r}, allowed is train, validation or test"
            )
        fold = _SPLIT_FOLDS[split]
    if fold and not (fold.isascii() and fold.isdigit()):
        raise ExportError(f"{path} line {line}: fold is {fold!r}, not a whole number")
    return PatientRow(line, label, fold, fields.get("part", ""), fields.get("site", ""))


def _first(fields: Mapping[str, str], names: Iterable[str]) -> str:
    found = next((fields[name] for name in names if fields.get(name)), "")
    return unicodedata.normalize("NFC", found)


def _looked_up(table: Mapping[str, PatientRow], key: str) -> PatientRow | None:
    if not key:
        return None
    key = unicodedata.normalize("NFC", key)
    if key in table:
        return table[key]
    bare = key.lstrip("0")
    same = [row for name, row in table.items() if name.lstrip("0") == bare]
    return same[0] if len(same) == 1 else None
