from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peer_client.ct.errors import DataFolderError, IndexFileError, IntakeError
from peer_client.ct.index import parts_of, read_index


def test_rows_come_back_in_order_with_their_lines(data_folder) -> None:
    folder = data_folder(["a,x.png,,1,p1,Home,0", "b,y.png,m.png,0,p2,Home,3"])

    first, second = read_index(folder)

    assert (first.part, first.label, first.patient, first.fold, first.line) == ("a", 1, "p1", 0, 2)
    assert first.mask_path is None
    assert second.mask_path == folder / "m.png"
    assert parts_of((first, second)) == ("a", "b")


def test_columns_may_stand_in_any_order_and_others_are_ignored(data_folder) -> None:
    folder = data_folder(
        ["p1,x.png,,Home,1,a,anything"], header="patient,file,mask,site,label,part,extra"
    )

    (item,) = read_index(folder)

    assert (item.patient, item.site, item.fold) == ("p1", "Home", None)


def test_a_quoted_field_may_hold_commas_and_line_ends(data_folder) -> None:
    folder = data_folder(['a,x.png,,1,p1,"Home, sweet\nhome",0', "a,y.png,,1,,Home,0"])

    with pytest.raises(IndexFileError) as caught:
        read_index(folder)

    assert caught.value.line == 4


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("a,x.png,,2,p1,Home,0", "label is '2'"),
        ("a,x.png,,yes,p1,Home,0", "label is 'yes'"),
        ("a,x.png,,1,p1,Home,-1", "fold is '-1'"),
        ("a,x.png,,1,,Home,0", "'patient' is empty"),
        (",x.png,,1,p1,Home,0", "'part' is empty"),
        ("a,,,1,p1,Home,0", "'file' is empty"),
        ("a,x.png,,1,p1,Home,0,more", "more fields"),
        ("a,x.png,,1", "'patient' is missing"),
        ("a,gone/x.png,,1,p1,Home,0", "'gone/x.png' is not in the data folder"),
        ("a,x.png,gone/m.png,1,p1,Home,0", "'gone/m.png' is not in the data folder"),
        ("a,../x.png,,1,p1,Home,0", "not a path inside"),
        ("a,/etc/passwd,,1,p1,Home,0", "not a path inside"),
        ('a,x.png,,1,"p1,Home,0', "line 3"),
    ],
)
def test_a_wrong_row_is_named_by_its_line(data_folder, row: str, what: str) -> None:
    folder = data_folder(["a,x.png,,1,p0,Home,0", row])

    with pytest.raises(IndexFileError, match="line 3") as caught:
        read_index(folder)

    assert what in str(caught.value)
    assert caught.value.line == 3


def test_missing_columns_are_named(data_folder) -> None:
    folder = data_folder(["a,x.png"], header="part,file")

    with pytest.raises(IndexFileError, match="missing columns mask, label, patient, site"):
        read_index(folder)


def test_a_column_given_twice_is_refused(data_folder) -> None:
    folder = data_folder(["a,x.png,,1,p,s,0"], header="part,file,mask,label,patient,site,label")

    with pytest.raises(IndexFileError, match="'label' appears twice"):
        read_index(folder)


def test_an_index_without_rows_is_refused(data_folder) -> None:
    with pytest.raises(IndexFileError, match="no rows"):
        read_index(data_folder([]))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataFolderError, match="nowhere"):
        read_index(tmp_path / "nowhere")


def test_text_that_is_not_utf8_is_refused(data_folder) -> None:
    folder = data_folder(["a,x.png,,1,p1,Home,0"])
    (folder / "index.csv").write_bytes(b"part,file\n\xff\xfe\n")

    with pytest.raises(IndexFileError, match="UTF-8"):
        read_index(folder)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(raw=st.binary(max_size=300))
def test_any_bytes_give_items_or_an_intake_error(tmp_path: Path, raw: bytes) -> None:
    header = b"part,file,mask,label,patient,site\n"
    (tmp_path / "index.csv").write_bytes(header + raw)

    try:
        items = read_index(tmp_path)
    except IntakeError:
        return
    assert items
