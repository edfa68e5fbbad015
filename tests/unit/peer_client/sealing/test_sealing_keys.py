from __future__ import annotations

import os
from pathlib import Path

import pytest

from peer_client.sealing import MemoryStorageError, SealingKeys, memory_backed_folder
from peer_client.sealing.boxes import PRIVATE_BYTES
from peer_client.sealing.sealing_keys import file_system_of


def _keys(folder: Path, **changes: str) -> SealingKeys:
    names = {"channel": "consortium", "study": "lungs", "msp_id": "NorthMSP"}
    names |= {"genesis_sha256": "ab" * 32, **changes}
    return SealingKeys(folder, entropy=os.urandom, **names)


def _mounts(tmp_path: Path, *lines: str) -> Path:
    file = tmp_path / "mountinfo"
    file.write_text("".join(f"36 35 0:1 / {line}\n" for line in lines))
    return file


def test_key_survives_a_restart_and_is_the_same(tmp_path: Path) -> None:
    public = _keys(tmp_path).create(3)

    assert _keys(tmp_path).create(3) == public
    assert _keys(tmp_path).load(3).public == public


def test_every_round_study_and_hospital_has_its_own_key(tmp_path: Path) -> None:
    keys = [
        _keys(tmp_path).create(1),
        _keys(tmp_path).create(2),
        _keys(tmp_path, study="brains").create(1),
        _keys(tmp_path, msp_id="SouthMSP").create(1),
        _keys(tmp_path, channel="other").create(1),
        _keys(tmp_path, genesis_sha256="cd" * 32).create(1),
    ]

    assert len(set(keys)) == len(keys)


def test_file_is_readable_by_this_user_alone(tmp_path: Path) -> None:
    _keys(tmp_path).create(1)

    files = list(tmp_path.iterdir())

    assert [path.stat().st_mode & 0o777 for path in files] == [0o600]
    assert files[0].stat().st_size == PRIVATE_BYTES


def test_wiped_key_is_overwritten_and_gone(tmp_path: Path) -> None:
    keys = _keys(tmp_path)
    keys.create(1)
    file = next(tmp_path.iterdir())
    with file.open("rb") as still_open:
        keys.wipe(1)
        content = still_open.read()

    assert content == bytes(PRIVATE_BYTES)
    with pytest.raises(MemoryStorageError, match="the sealing key of round 1 is gone"):
        keys.load(1)
    keys.wipe(1)  # again: nothing to do


def test_keys_of_ended_rounds_are_wiped_and_the_others_stay(tmp_path: Path) -> None:
    keys = _keys(tmp_path)
    for number in (1, 2, 3):
        keys.create(number)
    other = _keys(tmp_path, study="brains")
    other.create(1)

    keys.wipe_all_before(3)

    assert keys.load(3).public
    assert other.load(1).public
    for number in (1, 2):
        with pytest.raises(MemoryStorageError):
            keys.load(number)


def test_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    _keys(tmp_path).create(1)
    next(tmp_path.iterdir()).chmod(0o640)

    with pytest.raises(MemoryStorageError, match="can be read by others"):
        _keys(tmp_path).load(1)


def test_damaged_key_is_refused_without_its_content(tmp_path: Path) -> None:
    _keys(tmp_path).create(1)
    next(tmp_path.iterdir()).write_bytes(b"short")

    with pytest.raises(MemoryStorageError, match="damaged"):
        _keys(tmp_path).load(1)


def test_link_in_the_place_of_a_key_is_refused(tmp_path: Path) -> None:
    _keys(tmp_path).create(1)
    file = next(tmp_path.iterdir())
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(MemoryStorageError, match="cannot read"):
        _keys(tmp_path).load(1)


def test_folder_that_cannot_be_written_is_a_sentence_without_a_key(tmp_path: Path) -> None:
    with pytest.raises(MemoryStorageError, match="cannot keep a sealing key") as caught:
        _keys(tmp_path / "missing").create(1)

    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_runtime_folder_is_taken_where_it_is_a_tmpfs(tmp_path: Path) -> None:
    mounts = _mounts(tmp_path, "/ rw - ext4 disk rw", f"{tmp_path} rw - tmpfs tmpfs rw")

    folder = memory_backed_folder({"XDG_RUNTIME_DIR": str(tmp_path)}, mounts=mounts)

    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700


def test_runtime_folder_on_a_disk_is_passed_over(tmp_path: Path) -> None:
    mounts = _mounts(
        tmp_path, "/ rw - ext4 disk rw", "/dev/shm rw - tmpfs shm rw", f"{tmp_path} rw - ext4 d rw"
    )

    folder = memory_backed_folder({"XDG_RUNTIME_DIR": str(tmp_path)}, mounts=mounts)

    assert folder.parent == Path("/dev/shm")


def test_nothing_memory_backed_is_refused_and_no_disk_is_fallen_back_to(tmp_path: Path) -> None:
    mounts = _mounts(tmp_path, "/ rw - ext4 disk rw", "/dev/shm rw - ext4 disk rw")

    with pytest.raises(MemoryStorageError, match="no memory-backed folder"):
        memory_backed_folder({"XDG_RUNTIME_DIR": str(tmp_path)}, mounts=mounts)


def test_unreadable_mounts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MemoryStorageError):
        memory_backed_folder({}, mounts=tmp_path / "absent")


@pytest.mark.parametrize("kind", ["open", "link", "file"])
def test_folder_that_is_not_this_users_alone_is_refused(tmp_path: Path, kind: str) -> None:
    mounts = _mounts(tmp_path, f"{tmp_path} rw - tmpfs tmpfs rw")
    folder = tmp_path / "capsule-consortium-keys"
    if kind == "open":
        folder.mkdir(mode=0o700)
        folder.chmod(0o755)
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.write_text("")

    with pytest.raises(MemoryStorageError):
        memory_backed_folder({"XDG_RUNTIME_DIR": str(tmp_path)}, mounts=mounts)


def test_the_mount_nearest_to_a_folder_counts_and_of_two_the_later(tmp_path: Path) -> None:
    inner = tmp_path / "with blank"
    inner.mkdir()
    escaped = str(inner).replace(" ", "\\040")
    mounts = _mounts(
        tmp_path, "/ rw - ext4 disk rw", f"{escaped} rw - ext4 d rw", f"{escaped} rw - tmpfs t rw"
    )

    assert file_system_of(inner, mounts=mounts) == "tmpfs"
    assert file_system_of(tmp_path, mounts=mounts) == "ext4"
