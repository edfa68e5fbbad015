"""A hospital's private sealing keys, one a round, in memory-backed files only.

They must survive a restart of the client, or its answer in the round is lost, and must
never reach a disk, or an old round's shares could be opened later. So they live as
files of mode 0600 on a tmpfs and are overwritten before they are removed. A power cut
costs the answer of that one round. A folder that is not on a tmpfs, belongs to another
user or is open to others is refused; there is no fallback to a disk.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from chaincode.roundkey.frame import digest
from peer_client.sealing.boxes import PRIVATE_BYTES, SealingKey
from peer_client.sealing.errors import MemoryStorageError

FOLDER_NAME: Final = "capsule-consortium-keys"
MEMORY_FILE_SYSTEMS: Final = frozenset({"tmpfs", "ramfs"})
SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the folder below it is made and checked
MOUNTS: Final = Path("/proc/self/mountinfo")


def memory_backed_folder(environment: Mapping[str, str], *, mounts: Path = MOUNTS) -> Path:
    """Where sealing keys may lie: below XDG_RUNTIME_DIR, else below /dev/shm.

    Args:
        environment: The process's environment.
        mounts: The kernel's list of mounts.

    Returns:
        A folder of this user, mode 0700, on a tmpfs; made where it is missing.

    Raises:
        MemoryStorageError: Neither place is memory-backed, or the folder there is not
            this user's alone.
    """
    places = []
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        places.append((Path(runtime), FOLDER_NAME))
    places.append((SHARED_MEMORY, f"{FOLDER_NAME}-{os.getuid()}"))
    for parent, name in places:
        if parent.is_dir() and file_system_of(parent, mounts=mounts) in MEMORY_FILE_SYSTEMS:
            return _private_folder(parent / name)
    tried = ", ".join(str(parent) for parent, _ in places)
    raise MemoryStorageError(f"no memory-backed folder for sealing keys: tried {tried}")


def file_system_of(folder: Path, *, mounts: Path = MOUNTS) -> str:
    """The type of the file system that a folder lies on.

    Args:
        folder: An existing folder.
        mounts: The kernel's list of mounts (proc(5), mountinfo).

    Returns:
        The type, for example "tmpfs"; empty where the list cannot be read.
    """
    try:
        lines = mounts.read_text("utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    resolved = folder.resolve()
    longest, kind = -1, ""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        # Blanks in a mount point are written as octal escapes.
        point = Path(fields[4].encode("latin-1", "replace").decode("unicode_escape"))
        covers = resolved == point or point in resolved.parents
        # Of two mounts on one point the later one is seen.
        if covers and len(point.parts) >= longest:
            longest, kind = len(point.parts), after.split(" ")[0]
    return kind


class SealingKeys:
    """The sealing keys of one hospital in one study.

    Args:
        folder: Memory-backed, as `memory_backed_folder` gives.
        channel: Name of the channel.
        genesis_sha256: SHA-256 of its first block: a channel set up again under the old name never
            meets the old one's keys.
        study: Name of the study.
        msp_id: The hospital.
        entropy: Returns that many random bytes; `os.urandom` outside tests.
    """

    def __init__(
        self,
        folder: Path,
        *,
        channel: str,
        genesis_sha256: str,
        study: str,
        msp_id: str,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._folder = folder
        self._owner = (channel, genesis_sha256, study, msp_id)
        self._entropy = entropy

    def create(self, round_number: int) -> bytes:
        """Make the key of a round, or give the one made before a restart.

        Args:
            round_number: The round; a key serves one.

        Returns:
            The public half, 1216 bytes.

        Raises:
            MemoryStorageError: The file cannot be written, or is not this user's alone.
        """
        path = self._path(round_number)
        if path.exists():
            return self.load(round_number).public
        key = SealingKey(bytearray(self._entropy(PRIVATE_BYTES)))
        fresh = path.with_suffix(".new")
        try:
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(key.seed)
            fresh.rename(path)
        except OSError as error:
            raise MemoryStorageError(
                f"cannot keep a sealing key in {self._folder}: {error.strerror}"
            ) from None
        public = key.public
        key.wipe()
        return public

    def load(self, round_number: int) -> SealingKey:
        """The private key of a round; the caller wipes it after use.

        Args:
            round_number: The round.

        Returns:
            The key.

        Raises:
            MemoryStorageError: There is none (wiped, or lost with the machine's
                memory), or the file is not this user's alone.
        """
        path = self._path(round_number)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise MemoryStorageError(
                f"the sealing key of round {round_number} is gone: it was wiped, or the machine "
                "restarted. This hospital cannot answer in that round; the others can"
            ) from None
        except OSError as error:
            raise MemoryStorageError(f"cannot read {path}: {error.strerror}") from None
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
                raise MemoryStorageError(f"{path} can be read by others than this user")
            seed = bytearray(PRIVATE_BYTES)
            if status.st_size != PRIVATE_BYTES or file.readinto(seed) != PRIVATE_BYTES:
                raise MemoryStorageError(f"{path} is damaged")
        return SealingKey(seed)

    def wipe(self, round_number: int) -> None:
        """Overwrite and remove the key of a round, once the round has ended.

        Args:
            round_number: The round; nothing happens where it has no key.
        """
        _overwrite(self._path(round_number))

    def wipe_all_before(self, round_number: int) -> None:
        """Wipe the keys of all earlier rounds of this study.

        Args:
            round_number: The first round whose key stays.
        """
        for path in self._folder.glob(f"{self._prefix()}-*"):
            number = path.stem.rsplit("-", 1)[1]
            if number.isdigit() and int(number) < round_number:
                _overwrite(path)

    def _prefix(self) -> str:
        return digest("roundkey/sealing-keys/v2", *self._owner).hex()[:32]

    def _path(self, round_number: int) -> Path:
        return self._folder / f"{self._prefix()}-{round_number:06d}.key"


def _private_folder(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise MemoryStorageError(f"cannot make {folder}: {error.strerror}") from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise MemoryStorageError(f"{folder} is not a folder of this user")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise MemoryStorageError(f"{folder} is open to other users")
    return folder


def _overwrite(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(bytes(os.fstat(descriptor).st_size))
    path.unlink(missing_ok=True)
