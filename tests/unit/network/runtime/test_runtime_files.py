import os
import resource
import stat
from pathlib import Path

import pytest

from network.runtime.files import (
    PUBLIC,
    FileTooLargeError,
    append_durably,
    durable_file,
    read_bounded,
    write_durably,
)


@pytest.mark.parametrize(("mode", "expected"), [(None, 0o600), (PUBLIC, 0o644)])
def test_a_file_has_exactly_the_mode_asked_for(
    tmp_path: Path, mode: int | None, expected: int
) -> None:
    path = tmp_path / "kept" / "file"
    old = os.umask(0)
    try:
        if mode is None:
            write_durably(path, b"content")
        else:
            write_durably(path, b"content", mode=mode)
    finally:
        os.umask(old)
    assert path.read_bytes() == b"content"
    assert stat.S_IMODE(path.stat().st_mode) == expected


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_durably(path, b"old")

    def stopped_halfway() -> None:
        with durable_file(path) as file:
            file.write(b"half of the n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stopped_halfway()
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_content_and_name_are_flushed_before_the_writer_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    flush, rename = os.fsync, os.replace
    monkeypatch.setattr(
        os,
        "fsync",
        lambda fd: (
            seen.append("folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file"),
            flush(fd),
        ),
    )
    monkeypatch.setattr(os, "replace", lambda a, b: (seen.append("name"), rename(a, b)))
    write_durably(tmp_path / "file", b"content")
    assert seen == ["file", "name", "folder"]


@pytest.mark.parametrize("room", [0, 4])
def test_what_the_disk_takes_only_in_part_is_not_appended(tmp_path: Path, room: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"first\n")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6 + room, limits[1]))
    try:
        with pytest.raises(OSError, match=r"only a part|too large"):
            append_durably(descriptor, b"second\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"first\n"

    append_durably(descriptor, b"third\n")
    os.close(descriptor)
    assert path.read_bytes() == b"first\nthird\n"


def test_a_file_above_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    assert read_bounded(path, 100) == bytes(100)
    with pytest.raises(FileTooLargeError, match="100 bytes, at most 99"):
        read_bounded(path, 99)


def test_a_device_without_a_size_is_bounded_too() -> None:
    with pytest.raises(FileTooLargeError):
        read_bounded(Path("/dev/zero"), 1000)
