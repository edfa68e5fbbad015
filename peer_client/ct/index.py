"""Read index.csv: one row for each picture or volume of a data folder.

Columns `part, file, mask, label, patient, site` are required; `fold` is optional and every
other column is ignored. A row that is wrong stops the reading and is named by its line; a file
that a row names and that is not there counts as wrong. Nothing is guessed: a row without a
patient is refused, because only patients make honest splits. File names may not leave the
data folder.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from peer_client.ct.errors import DataFolderError, IndexFileError
from peer_client.ct.links import check_links

INDEX_NAME: Final = "index.csv"
REQUIRED_COLUMNS: Final = ("part", "file", "mask", "label", "patient", "site")
#: Above this the file is not an index that a person or our programs wrote.
INDEX_BYTES_MAX: Final = 256 * 1024 * 1024


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
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise IndexFileError(
            f"{path} is not UTF-8 text (byte {error.start})", hint="Save the file as UTF-8."
        ) from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    items: list[Item] = []
    try:
        header = tuple(reader.fieldnames or ())
        _check_header(path, header)
        # A quoted field may hold line ends, so the reader's own line number is the last of a row.
        for row in reader:
            items.append(_item(folder, row, reader.line_num))
    except csv.Error as error:
        # The reader counts whole rows; the wrong one begins on the next line.
        line = reader.line_num + 1
        raise IndexFileError(f"{path} line {line}: {error}", line) from error
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
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise IndexFileError(f"{path} line 1: column {twice[0]!r} appears twice", 1)


def _item(folder: Path, row: Mapping[str | None, str | list[str] | None], line: int) -> Item:
    fields: dict[str, str] = {}
    for key, value in row.items():
        if key is None or not (value is None or isinstance(value, str)):
            raise IndexFileError(f"{INDEX_NAME} line {line}: more fields than columns", line)
        if value is None and key in REQUIRED_COLUMNS:
            raise IndexFileError(f"{INDEX_NAME} line {line}: the field {key!r} is missing", line)
        fields[key] = (value or "").strip()
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
    # int() would take "1_0", " 1" and other digits; an index holds plain ones.
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise IndexFileError(
            f"{INDEX_NAME} line {line}: {column} is {text!r}, not a whole number", line
        )
    number = int(text)
    if allowed is not None and number not in allowed:
        choices = " or ".join(str(choice) for choice in allowed)
        raise IndexFileError(
            f"{INDEX_NAME} line {line}: {column} is {text!r}, allowed is {choices}", line
        )
    return number


def _inside(folder: Path, name: str, line: int) -> Path:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name:
        raise IndexFileError(
            f"{INDEX_NAME} line {line}: {name!r} is not a path inside the data folder", line
        )
    path = folder / pure
    try:
        there = path.exists()
    except OSError:  # e.g. a name longer than the file system allows
        there = False
    if not there:
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
