"""Archives of arrays are refused by what they say of themselves, before numpy makes room."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from peer_client.errors import StoreError
from peer_client.evaluation.errors import ServedModelError
from peer_client.serving.served import load_served, read_facts
from peer_client.storage import study_store
from peer_client.storage.arrays import ArraysRefusedError, read_arrays
from peer_client.storage.study_store import StudyStore, read_file


def archive_of(shape: tuple[int, ...], content: bytes, name: str = "weights") -> io.BytesIO:
    member = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(member, header)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(f"{name}.npy", member.getvalue() + content)
    archive.seek(0)
    return archive


def test_arrays_within_the_limit_are_read() -> None:
    found = read_arrays(archive_of((2,), np.array([1, 2], "<f4").tobytes()), 1000)

    assert found["weights"].tolist() == [1, 2]


def test_an_array_that_says_more_than_it_has_is_refused() -> None:
    with pytest.raises(ArraysRefusedError, match="is shorter"):
        read_arrays(archive_of((2**35,), b"1234"), 1000)


def test_an_archive_that_unpacks_to_more_is_refused() -> None:
    with pytest.raises(ArraysRefusedError, match="unpacks to"):
        read_arrays(archive_of((2**20,), bytes(2**22)), 2**22)


def test_objects_are_refused() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, weights=np.array([{}], object))
    buffer.seek(0)

    with pytest.raises(ArraysRefusedError, match="holds objects"):
        read_arrays(buffer, 10_000)


def test_a_stored_model_that_lies_about_its_shape_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/000001.npz").write_bytes(archive_of((2**40,), b"").getvalue())

    with pytest.raises(StoreError, match="cannot be read"):
        StudyStore(tmp_path).read_model(1)


def test_a_file_beyond_its_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sum.bin"
    with path.open("wb") as file:
        file.truncate(study_store.FILE_BYTES_MAX + 1)  # a hole: no bytes on the disk

    with pytest.raises(StoreError, match="larger than 1073741824 bytes"):
        read_file(path)
    assert read_file(tmp_path / "absent") is None


@pytest.mark.parametrize("text", ["[" * 100_000, " " * (study_store.JSON_BYTES_MAX + 1)])
def test_deep_or_long_facts_beside_a_model_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "north.json").write_text(text)

    with pytest.raises(ServedModelError):
        read_facts(tmp_path / "north.keras")


def test_arrays_beside_a_served_model_are_bounded(tmp_path: Path) -> None:
    facts = {"kind": "served model", "npz_sha256": ""}
    (tmp_path / "north.json").write_text(json.dumps(facts))
    with (tmp_path / "north.npz").open("wb") as file:
        file.truncate(2**29 + 1)

    with pytest.raises(ServedModelError, match="larger than 536870912 bytes"):
        load_served(tmp_path / "north.keras")
