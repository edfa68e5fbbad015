"""index.csv is read as spreadsheet programs save it, and names as file systems write them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from peer_client.ct.errors import IndexFileError
from peer_client.ct.hospitals import PartChoice, parse_hospitals
from peer_client.ct.index import read_index
from peer_client.ct.spreadsheet import TableError, read_table

PLAIN = "part,file,mask,label,patient,site,fold\na,p.png,,1,p1,Home,0\na,q.png,,0,p2,Away,1\n"
COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Müller") for form in ("NFC", "NFD"))


def folder_of(path: Path, text: str | bytes, names: tuple[str, ...] = ("p.png", "q.png")) -> Path:
    for number, name in enumerate(names):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        levels = np.random.default_rng(number).integers(0, 255, (40, 40)).astype(np.uint8)
        Image.fromarray(levels).save(path / name)
    raw = text if isinstance(text, bytes) else text.encode()
    (path / "index.csv").write_bytes(raw)
    return path


WAYS = {
    "plain": PLAIN,
    "byte order mark": PLAIN.encode("utf-8-sig"),
    "CRLF": PLAIN.replace("\n", "\r\n"),
    "old Mac": PLAIN.replace("\n", "\r"),
    "semicolons": PLAIN.replace(",", ";"),
    "semicolons, mark and CRLF": PLAIN.replace(",", ";").replace("\n", "\r\n").encode("utf-8-sig"),
    "tabs": PLAIN.replace(",", "\t"),
    "UTF-16 with tabs": PLAIN.replace(",", "\t").encode("utf-16"),
    "a line that names the separator": "sep=;\r\n" + PLAIN.replace(",", ";"),
    "empty columns": PLAIN.replace("\n", ",,\n"),
    "blank rows": PLAIN + ",,,,,,\n\n,,,,,,\n",
    "blank rows between": PLAIN.replace("\na,q", "\n,,,,,,\na,q"),
    "all quoted": "\n".join(
        ",".join(f'"{field}"' for field in line.split(",")) for line in PLAIN.splitlines()
    ),
    "numbers with decimals": PLAIN.replace(",1,", ",1.0,").replace(",0,", ",0.00,"),
    "numbers with decimal commas": PLAIN.replace(",", ";")
    .replace(";1;", ";1,0;")
    .replace(";0;", ";0,0;"),
    "capital headings": PLAIN.replace("part,file,mask", " Part,FILE ,Mask"),
}


@pytest.mark.parametrize("way", WAYS)
def test_one_table_is_read_whichever_way_it_is_saved(way: str, tmp_path: Path) -> None:
    first, second = read_index(folder_of(tmp_path, WAYS[way]))

    assert (first.name, first.label, first.patient, first.site, first.fold) == (
        ("p.png", 1, "p1", "Home", 0)
    )
    assert (second.name, second.label, second.patient, second.site, second.fold) == (
        ("q.png", 0, "p2", "Away", 1)
    )


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (PLAIN.replace("Away,1", "Away,1,,note"), 3, "more fields than columns"),
        (PLAIN.replace("fold\n", "fold,\n").replace("1\n", "1,note\n"), 3, "without a name"),
        (PLAIN.replace("site,fold", "site,SITE"), 1, "'site' appears twice"),
        (PLAIN.replace(",", ";").replace(";1;p1", ";1,5;p1"), 2, "label is '1,5'"),
        ("sep=;\n" + PLAIN.replace(",", ";").replace("q.png", "gone.png"), 4, "gone.png"),
        (PLAIN.replace(",", "|"), 1, "missing columns"),
    ],
)
def test_what_is_wrong_in_a_spreadsheet_is_named_by_its_line(text, line, what, tmp_path) -> None:
    with pytest.raises(IndexFileError, match=what) as caught:
        read_index(folder_of(tmp_path, text))

    assert caught.value.line == line


def test_a_quoted_separator_does_not_part_columns() -> None:
    header, rows = read_table(b'"a;b;c",d\n1,2\n')

    assert header == ("a;b;c", "d")
    assert rows == [(2, {"a;b;c": "1", "d": "2"})]


def test_text_of_another_encoding_is_refused() -> None:
    for raw in ("Müller".encode("latin-1"), b"\xff\xfea"):
        with pytest.raises(TableError, match="is not UTF"):
            read_table(raw)


@pytest.mark.parametrize("written", [COMPOSED, DECOMPOSED])
@pytest.mark.parametrize("stored", [COMPOSED, DECOMPOSED])
def test_names_may_be_composed_or_decomposed(written, stored, tmp_path: Path) -> None:
    text = f"part,file,mask,label,patient,site\na,{written}/{written}.png,,1,{written},{written}\n"

    (item,) = read_index(folder_of(tmp_path, text, (f"{stored}/{stored}.png",)))

    assert item.path == tmp_path / stored / f"{stored}.png"
    assert item.patient == item.site == COMPOSED
    assert PartChoice("a", sites=(COMPOSED,)).takes(item)


def test_a_patient_written_in_two_ways_is_one_patient(tmp_path: Path) -> None:
    text = f"part,file,mask,label,patient,site\na,p.png,,1,{COMPOSED},\na,q.png,,1,{DECOMPOSED},\n"

    items = read_index(folder_of(tmp_path, text))

    assert {item.patient for item in items} == {COMPOSED}


def test_sites_of_the_hospitals_file_are_composed_too() -> None:
    (hospital,) = parse_hospitals(
        f"""
format: 1
hospitals:
  - name: north
    member: north
    label_positive: a
    label_negative: b
    has_masks: false
    classes: [{{part: a, sites: [{DECOMPOSED}]}}]
    split: {{train: [0], validation: [1], test: [2]}}
""",
        name="h.yaml",
    )

    assert hospital.classes[0].sites == (COMPOSED,)
