from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import time
from pathlib import Path

import numpy as np
import pytest

from peer_client.ct.cache import cache_key, read_cached, write_cached
from peer_client.ct.errors import CacheError

ARRAYS = {"pixels": np.arange(64, dtype=np.uint8), "item": np.arange(3)}


def test_what_is_stored_comes_back(tmp_path: Path) -> None:
    write_cached(tmp_path / "new" / "cache", "k", ARRAYS)

    stored = read_cached(tmp_path / "new" / "cache", "k")

    assert stored is not None
    np.testing.assert_array_equal(stored["pixels"], ARRAYS["pixels"])
    np.testing.assert_array_equal(stored["item"], ARRAYS["item"])


def test_the_cache_is_for_its_owner_only(tmp_path: Path) -> None:
    write_cached(tmp_path / "cache", "k", ARRAYS)

    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "cache" / "k.npz").stat().st_mode) == 0o600


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_cached(tmp_path, "k") is None


@pytest.mark.parametrize("keep", [0, 1, 30, 200])
def test_a_file_cut_short_is_none(tmp_path: Path, keep: int) -> None:
    write_cached(tmp_path, "k", ARRAYS)
    path = tmp_path / "k.npz"
    path.write_bytes(path.read_bytes()[:keep])

    assert read_cached(tmp_path, "k") is None


def test_a_changed_byte_of_the_pixels_is_noticed(tmp_path: Path) -> None:
    write_cached(tmp_path, "k", ARRAYS)
    path = tmp_path / "k.npz"
    raw = bytearray(path.read_bytes())
    place = raw.index(bytes(range(64)))
    raw[place + 5] ^= 1
    path.write_bytes(bytes(raw))

    assert read_cached(tmp_path, "k") is None


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("network.runtime.files.os.fsync", full)

    with pytest.raises(CacheError, match="No space left on device") as caught:
        write_cached(tmp_path, "k", ARRAYS)

    assert caught.value.exit_code == 88
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("x")

    with pytest.raises(CacheError, match="cannot write the cache folder"):
        write_cached(tmp_path / "cache", "k", ARRAYS)


def write_forever(folder: Path) -> None:
    big = {"pixels": np.zeros(2_000_000, np.uint8)}
    while True:
        write_cached(folder, "k", big)


def test_a_killed_writer_leaves_a_whole_file_or_none(tmp_path: Path) -> None:
    writer = multiprocessing.get_context("fork").Process(target=write_forever, args=(tmp_path,))
    writer.start()
    assert writer.pid is not None
    deadline = time.monotonic() + 20
    while not (tmp_path / "k.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()

    stored = read_cached(tmp_path, "k")

    assert stored is not None
    assert stored["pixels"].shape == (2_000_000,)


def test_keys_differ_in_every_part() -> None:
    keys = {
        cache_key(1, 96, ["a", "b"]),
        cache_key(2, 96, ["a", "b"]),
        cache_key(1, 128, ["a", "b"]),
        cache_key(1, 96, ["b", "a"]),
        cache_key(1, 96, ["ab"]),
        cache_key(1, 96, ["a"], ["b"]),
    }

    assert len(keys) == 6
