"""Files of a study at one hospital: whole or absent, and held by one process."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from peer_client.errors import AlreadyRunningError, StoreError
from peer_client.storage.study_store import ModelState, StudyStore, write_file


def test_a_model_is_read_as_it_was_written(tmp_path: Path) -> None:
    store = StudyStore(tmp_path)
    written = ModelState(3, np.arange(5, dtype=np.float32), np.array([0.1, 0.2]))

    store.write_model(written)
    read = store.read_model(3)

    assert read is not None
    assert read.weights.tobytes() == written.weights.tobytes()
    assert read.scales.tobytes() == written.scales.tobytes()
    assert store.model_rounds() == (3,)


def test_what_was_never_written_reads_as_nothing(tmp_path: Path) -> None:
    store = StudyStore(tmp_path)

    assert store.read_model(1) is None
    assert store.read_trained(1) is None
    assert store.read_upload(1) is None
    assert store.read_sum(1) is None
    assert store.read_facts(1) == {}


def test_files_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    StudyStore(tmp_path).write_upload(1, b"ciphertext")

    (path,) = tmp_path.rglob("upload.bin")

    assert path.stat().st_mode & 0o777 == 0o600


def no_space(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_file(path, b"old")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(StoreError, match="cannot write"):
        write_file(path, b"new")

    assert path.read_bytes() == b"old"


def test_a_damaged_model_is_named_and_not_used(tmp_path: Path) -> None:
    store = StudyStore(tmp_path)
    write_file(tmp_path / "models" / "000001.npz", b"not an archive")

    with pytest.raises(StoreError, match=r"000001\.npz"):
        store.read_model(1)


def test_facts_are_added_to_what_is_known(tmp_path: Path) -> None:
    store = StudyStore(tmp_path)

    store.write_facts(2, {"a": 1, "b": 1})
    store.write_facts(2, {"b": 2})

    assert store.read_facts(2) == {"a": 1, "b": 2}


def test_a_second_client_of_the_same_study_is_refused(tmp_path: Path) -> None:
    store = StudyStore(tmp_path)

    with store.held(), pytest.raises(AlreadyRunningError), StudyStore(tmp_path).held():
        pass
    with store.held():
        pass


def test_an_ended_round_keeps_its_sum_and_loses_its_upload(tmp_path: Path) -> None:
    store = StudyStore(tmp_path)
    store.write_upload(1, b"upload")
    store.write_trained(1, np.zeros(2, np.float32))
    store.write_sum(1, b"sum")

    store.forget_upload(1)

    assert store.read_upload(1) is None
    assert store.read_trained(1) is None
    assert store.read_sum(1) == b"sum"
