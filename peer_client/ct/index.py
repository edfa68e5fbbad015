"""Read index.csv: one row for each picture or volume of a data folder.

Columns `part, file, mask, label, patient, site` are required; `fold` is optional and every
other column is ignored. A row that is wrong stops the reading and is named by its line; a file
that a row names and that is not there counts as wrong. Nothing is guessed: a row without a
patient is refused, because only patients make honest splits. File names may not leave the
data folder. How spreadsheets write a table is `peer_client.ct.spreadsheet`'s business.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from peer_client.ct.errors import DataFolderError, IndexFileError
from peer_client.ct.links import check_links
from peer_client.ct.spreadsheet import TableError, read_table

INDEX_NAME: Final = "index.csv"
REQUIRED_COLUMNS: Final = ("part", "file", "mask", "label", "patient", "site")
#: Above this the file is not an index that a person or our programs wrote.
INDEX_BYTES_MAX: Final = 256 * 1024 * 1024
_WHOLE: Final = re.compile(r"[0-9]{1,6}([.,]0{1,6})?")


@dataclass(frozen=True, slots=True)
class Item:
    """One row of index.csv, checked.

    Attributes:
        part: Name of the data set the item belongs to.
        path: The picture (PNG, JPEG) or volume (npz, NIfTI, folder of DICOM files).
        mask_path: The lesion mask of the picture, or None.
        label: 1 for the finding looked for, 0 for none of it; None where the row says nothing.
        patient: Name of the patient, unique within the data folder.
        fold: Fold of the patient, or None where the row says nothing.
        site: Where the picture was taken, free text.
        name: `file` as written in the index, for messages.
        line: Line of index.csv.
    """

    part: str
    path: Path
    mask_path: Path | None
    label: int | None
    patient: str
    fold: int | None
    site: str
    name: str
    line: int


def read_index(folder: Path) -> tuple[Item, ...]:
    """Read and check the index of a data folder.

    Args:
        folder: The folder that holds index.csv; file names in it are relative to it.

    Returns:
        The items in the order of the file, at least one.

    Raises:
        DataFolderError: The folder or its index.csv is missing or unreadable.
        IndexFileError: A row is wrong; the message names the line.
    """
    path = folder / INDEX_NAME
    check_links(folder, path)
    try:
        if path.stat().st_size > INDEX_BYTES_MAX:
            raise IndexFileError(f"{path} is larger than {INDEX_BYTES_MAX} bytes")
        raw = path.read_bytes()
    except OSError as error:
        raise DataFolderError(
            f"cannot read {path}: {error.strerror or error}. A data folder holds an index.csv"
        ) from error
    try:
        header, rows = read_table(raw)
    except TableError as error:
        line = f" line {error.line}" if error.line else ""
        raise IndexFileError(f"{path}{line}: {error}", error.line, error.hint) from error
    _check_header(path, header)
    items = [_item(folder, row, line) for line, row in rows]
    if not items:
        raise IndexFileError(f"{path} has a header and no rows", 1)
    return tuple(items)


def parts_of(items: tuple[Item, ...]) -> tuple[str, ...]:
    """Return the names of the parts in the order in which they first appear."""
    return tuple(dict.fromkeys(item.part for item in items))


def _check_header(path: Path, header: tuple[str, ...]) -> None:
    missing = [name for name in REQUIRED_COLUMNS if name not in header]
    if missing:
        raise IndexFileError(
            f"{path} line 1: missing column{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            1,
        )


def _item(folder: Path, row: Mapping[str, str], line: int) -> Item:
    # Spreadsheets and file systems write one and the same name composed or decomposed.
    fields = {key: unicodedata.normalize("NFC", value) for key, value in row.items()}
    for key in REQUIRED_COLUMNS:
        if key not in fields:
            raise IndexFileError(f"{INDEX_NAME} line {line}: the field {key!r} is missing", line)
    for key in ("part", "file", "patient"):
        if not fields[key]:
            raise IndexFileError(f"{INDEX_NAME} line {line}: {key!r} is empty", line)
    path = _inside(folder, fields["file"], line)
    mask_path = _inside(folder, fields["mask"], line) if fields["mask"] else None
    return Item(
        part=fields["part"],
        path=path,
        mask_path=mask_path,
        label=_whole(fields["label"], "label", line, allowed=(0, 1)),
        patient=fields["patient"],
        fold=_whole(fields.get("fold", ""), "fold", line, allowed=None),
        site=fields["site"],
        name=fields["file"],
        line=line,
    )


def _whole(text: str, column: str, line: int, *, allowed: tuple[int, ...] | None) -> int | None:
    if not text:
        return None
    # Spreadsheets give whole numbers decimals, with a point or a comma. int() would take "1_0",
    # other digits and signs; an index holds plain ones.
    if not (text.isascii() and _WHOLE.fullmatch(text)):
        raise IndexFileError(
            f"{INDEX_NAME} line {line}: {column} is {text!r}, not a whole number", line
        )
    number = int(re.split("[.,]", text)[0])
    if allowed is not None and number not in allowed:
        choices = " or ".join(str(choice) for choice in allowed)
        raise IndexFileError(
            f"{INDEX_NAME} line {line}: {column} is {text!r}, allowed is {choices}", line
        )
    return number


def written_as(folder: Path, name: PurePosixPath) -> Path | None:
    """Return the path of a name as the file system writes it, or None where it is not there.

    Some file systems and copying programs decompose letters with marks (Unicode NFD), so a name
    that is not there as it is written is looked for by its composed form.
    """
    path = folder
    try:
        for part in name.parts:
            here = path / part
            if not here.exists():
                composed = unicodedata.normalize("NFC", part)
                others = [each.name for each in path.iterdir()] if path.is_dir() else []
                same = [each for each in others if unicodedata.normalize("NFC", each) == composed]
                if not same:
                    return None
                here = path / same[0]
            path = here
        return path
    except OSError:  # e.g. a name longer than the file system allows
        return None


def _inside(folder: Path, name: str, line: int) -> Path:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name:
        raise IndexFileError(
            f"{INDEX_NAME} line {line}: {name!r} is not a path inside the data folder", line
        )
    path = written_as(folder, pure)
    if path is None:
        raise IndexFileError(
            f"{INDEX_NAME} line {line}: {name!r} is not in the data folder",
            line,
            hint="Copy the file there, or take the row out.",
        )
    try:
        check_links(folder, path)
    except DataFolderError as error:
        raise IndexFileError(f"{INDEX_NAME} line {line}: {error}", line, error.hint) from error
    return path
