"""Read a table as spreadsheet programs save it.

Commas, semicolons (where the comma is the decimal sign) or tabs; UTF-8 with or without a byte
order mark, or UTF-16 with one; any line ends; a first line `sep=;`; quoted fields; columns without
a name and rows without a field, which are passed over where they are empty; headings in any case.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Mapping
from typing import Final

SEPARATORS: Final = (",", ";", "\t")
_SEPARATOR_LINE: Final = "sep="


class TableError(ValueError):
    """A table cannot be read.

    Attributes:
        line: The line, or 0 where the whole is meant.
        hint: What to do, or None.
    """

    def __init__(self, message: str, line: int = 0, hint: str | None = None) -> None:
        super().__init__(message)
        self.line = line
        self.hint = hint


def read_table(raw: bytes) -> tuple[tuple[str, ...], list[tuple[int, Mapping[str, str]]]]:
    """Read a table with a header.

    Args:
        raw: The bytes of the file.

    Returns:
        The names of the columns, in small letters, and for each row that is not empty its line
        and its fields by column. A field that the row does not have is missing.

    Raises:
        TableError: It is no such table.
    """
    text = _text(raw)
    skipped = 0
    separator = None
    first, _, rest = text.partition("\n")
    if first.lower().startswith(_SEPARATOR_LINE):
        separator = first.strip()[len(_SEPARATOR_LINE) :][:1] or ","
        text, skipped = rest, 1
    lines = text.splitlines()
    separator = separator or _separator(lines[0] if lines else "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header: tuple[str, ...] | None = None
    rows: list[tuple[int, Mapping[str, str]]] = []
    finished = 0
    try:
        for fields in reader:
            # A quoted field may hold line ends, so the reader's own line is the last of a row.
            finished = reader.line_num
            line = finished + skipped
            cells = [field.strip() for field in fields]
            if not any(cells):
                continue
            if header is None:
                header = _header(cells, line)
            else:
                rows.append((line, _row(header, cells, line)))
    except csv.Error as error:
        # The wrong row begins behind the last one that could be read.
        raise TableError(str(error), finished + 1 + skipped) from error
    return tuple(name for name in header or () if name), rows


def _text(raw: bytes) -> str:
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if raw.startswith(mark):
            try:
                return raw.decode(encoding)
            except UnicodeDecodeError as error:
                raise TableError(f"it is not UTF-16 text (byte {error.start})") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(
            f"it is not UTF-8 text (byte {error.start})", hint="Save the file as UTF-8."
        ) from error


def _separator(heading: str) -> str:
    """Return what separates the columns: what the heading has most of outside of quotes."""
    outside = "".join(heading.split('"')[::2])
    return max(SEPARATORS, key=outside.count)


def _header(cells: list[str], line: int) -> tuple[str, ...]:
    names = tuple(cell.lower() for cell in cells)
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise TableError(f"column {twice[0]!r} appears twice", line)
    return names


def _row(header: tuple[str, ...], cells: list[str], line: int) -> Mapping[str, str]:
    if any(cells[len(header) :]):
        raise TableError("more fields than columns", line)
    fields = {}
    for name, cell in zip(header, cells, strict=False):
        if name:
            fields[name] = cell
        elif cell:
            raise TableError(f"{cell!r} stands in a column without a name", line)
    return fields
