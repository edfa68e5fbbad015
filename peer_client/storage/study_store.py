"""What one hospital's client keeps between two moments of a study, as plain files.

    client/studies/<study>/
      models/000000.npz     where the study starts from an earlier model, that one
      models/000003.npz     after round 3: weights float32 (p,), clipping scales float64 (tensors,)
      rounds/000004/trained.npz   the vector trained in round 4, float32 (p,)
      rounds/000004/upload.bin    the sealed upload; sent again as it is, never made again
      rounds/000004/sum.bin       the summed ciphertext (the round's bundle), u64 little-endian
      rounds/000004/facts.json    seconds by phase, metrics, bytes
      rounds/000004/seen          digests of what the ledger showed (rounds/seen_records.py)
      seen                        the digest of the study's record, as it was first seen
      accepted.json               a person's decisions to go on from a parent (spoiled_parent.py)
      lock                        held by the one client that works on the study
      journal                     what must not be done twice (peer_client/sealing)
      personal/                   what never leaves the hospital

Every write goes to a new file, is flushed to the disk and renamed, so that a file is whole or
absent. No key and no share is ever here; sealing keys live in memory-backed storage
(peer_client/sealing). Refuses to read what it did not write: no pickles.
"""

from __future__ import annotations

import fcntl
import json
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from network.runtime.files import (
    FileTooLargeError,
    append_durably,
    flush_folder,
    read_bounded,
    write_durably,
)
from peer_client.errors import AlreadyRunningError, StoreError
from peer_client.storage.arrays import read_arrays

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

#: A sum or an upload has 2.2 bytes for each byte of the weights, at most.
FILE_BYTES_MAX: Final = 1 << 30
#: Facts beside a model or a round.
JSON_BYTES_MAX: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ModelState:
    """The shared model after a round, and what the next round's updates are clipped to.

    Attributes:
        round_number: The round that made it; 0 for the initial model.
        weights: float32, shape `(p,)`.
        scales: float64, shape `(tensors,)`: largest magnitude of a change, by tensor.
    """

    round_number: int
    weights: NDArray[np.float32]
    scales: NDArray[np.float64]


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole and durably, readable by its owner alone.

    Raises:
        StoreError: The disk is full, or the folder cannot be written.
    """
    try:
        write_durably(path, content)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def read_file(path: Path, bytes_max: int = FILE_BYTES_MAX) -> bytes | None:
    """Return a file's bytes, or nothing where there is none.

    Args:
        path: The file.
        bytes_max: Most bytes that it may have.

    Raises:
        StoreError: It cannot be read, or is larger.
    """
    try:
        return read_bounded(path, bytes_max)
    except FileNotFoundError:
        return None
    except FileTooLargeError as error:
        raise StoreError(f"{path} is larger than {bytes_max} bytes") from error
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error


class StudyStore:
    """One study's folder at one hospital."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def round_folder(self, round_number: int) -> Path:
        """Return a round's folder (which may not exist yet)."""
        return self.folder / "rounds" / f"{round_number:06d}"

    @property
    def personal_folder(self) -> Path:
        """Return the folder of what never leaves the hospital."""
        return self.folder / "personal"

    @property
    def journal_path(self) -> Path:
        """Return where the journal lies."""
        return self.folder / "journal"

    def write_model(self, model: ModelState) -> None:
        """Keep a model."""
        content = _npz(weights=model.weights, scales=model.scales)
        write_file(self.folder / "models" / f"{model.round_number:06d}.npz", content)

    def read_model(self, round_number: int) -> ModelState | None:
        """Return the model that a round made, or nothing where it is not here."""
        path = self.folder / "models" / f"{round_number:06d}.npz"
        if not path.exists():
            return None
        arrays = _read_npz(path)
        return ModelState(round_number, arrays["weights"], arrays["scales"])

    def has_model(self, round_number: int) -> bool:
        """Return whether the model that a round made is here, without reading it."""
        return (self.folder / "models" / f"{round_number:06d}.npz").exists()

    def has_trained(self, round_number: int) -> bool:
        """Return whether a vector trained in a round is here."""
        return (self.round_folder(round_number) / "trained.npz").exists()

    def has_upload(self, round_number: int) -> bool:
        """Return whether the sealed upload of a round is here."""
        return (self.round_folder(round_number) / "upload.bin").exists()

    def model_rounds(self) -> tuple[int, ...]:
        """Return the rounds whose models are here, ascending."""
        found = (self.folder / "models").glob("[0-9]*.npz")
        return tuple(sorted(int(path.stem) for path in found))

    def write_trained(self, round_number: int, vector: NDArray[np.float32]) -> None:
        """Keep the vector trained in a round."""
        write_file(self.round_folder(round_number) / "trained.npz", _npz(vector=vector))

    def read_trained(self, round_number: int) -> NDArray[np.float32] | None:
        """Return the vector trained in a round, or nothing."""
        path = self.round_folder(round_number) / "trained.npz"
        return _read_npz(path)["vector"] if path.exists() else None

    def write_upload(self, round_number: int, payload: bytes) -> None:
        """Keep a sealed upload before any of it is sent."""
        write_file(self.round_folder(round_number) / "upload.bin", payload)

    def read_upload(self, round_number: int) -> bytes | None:
        """Return the sealed upload of a round, or nothing."""
        return read_file(self.round_folder(round_number) / "upload.bin")

    def write_sum(self, round_number: int, ciphertext: bytes) -> None:
        """Keep the summed ciphertext, from which anyone can recompute the round's model."""
        write_file(self.round_folder(round_number) / "sum.bin", ciphertext)

    def read_sum(self, round_number: int) -> bytes | None:
        """Return the summed ciphertext of a round, or nothing."""
        return read_file(self.round_folder(round_number) / "sum.bin")

    def write_facts(self, round_number: int, facts: Mapping[str, Any]) -> None:
        """Add to what is known of a round; a key given again takes the new value."""
        known = {**self.read_facts(round_number), **facts}
        text = json.dumps(known, sort_keys=True, indent=1)
        write_file(self.round_folder(round_number) / "facts.json", text.encode())

    def read_facts(self, round_number: int) -> dict[str, Any]:
        """Return what is known of a round; empty where nothing is."""
        content = read_file(self.round_folder(round_number) / "facts.json", JSON_BYTES_MAX)
        if content is None:
            return {}
        try:
            facts: dict[str, Any] = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise StoreError(f"{self.round_folder(round_number)}/facts.json is damaged") from error
        return facts

    def append_seen(self, round_number: int, entries: Sequence[Mapping[str, Any]]) -> None:
        """Add lines to what was seen of a round (0: of the study), flushed to the disk.

        Raises:
            StoreError: They cannot be kept; whoever asked must not go on.
        """
        path = self._seen_path(round_number)
        lines = b"".join(
            json.dumps(entry, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"
            for entry in entries
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            is_new = not path.exists()
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                append_durably(descriptor, lines)
            finally:
                os.close(descriptor)
            if is_new:
                flush_folder(path.parent)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}") from error

    def read_seen(self, round_number: int) -> list[dict[str, Any]]:
        """Return the lines kept of what was seen of a round (0: of the study), oldest first.

        A last line without its end was cut off by a crash before anybody acted on it, and is
        removed.

        Raises:
            StoreError: A line is damaged.
        """
        path = self._seen_path(round_number)
        content = read_file(path)
        if content is None:
            return []
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            os.truncate(path, whole)
        try:
            entries = [json.loads(line) for line in content[:whole].splitlines()]
        except ValueError as error:
            raise StoreError(f"{path} is damaged") from error
        if not all(isinstance(entry, dict) for entry in entries):
            raise StoreError(f"{path} is damaged")
        return entries

    def _seen_path(self, round_number: int) -> Path:
        return (self.round_folder(round_number) if round_number else self.folder) / "seen"

    def accepted(self) -> dict[str, int]:
        """Return a person's decisions: parent's digest, and opened sums that were accepted."""
        content = read_file(self.folder / "accepted.json")
        if content is None:
            return {}
        try:
            return {str(parent): int(count) for parent, count in json.loads(content).items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise StoreError(f"{self.folder}/accepted.json is damaged") from error

    def accept(self, parent_sha256: str, opened: int) -> None:
        """Keep a person's decision to go on from a parent from which so many sums were opened."""
        known = {**self.accepted(), parent_sha256: opened}
        write_file(
            self.folder / "accepted.json", json.dumps(known, sort_keys=True, indent=1).encode()
        )

    def round_numbers(self) -> tuple[int, ...]:
        """Return the rounds of which something is here, ascending."""
        found = (self.folder / "rounds").glob("[0-9]*")
        return tuple(sorted(int(path.name) for path in found))

    def forget_upload(self, round_number: int) -> None:
        """Remove the bytes of an upload and the vector behind it once the round has ended."""
        for name in ("upload.bin", "trained.npz"):
            (self.round_folder(round_number) / name).unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the study for this process alone.

        Raises:
            AlreadyRunningError: Another process holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / "lock").open("w") as file:
            _lock(file, self.folder)
            yield


def _lock(file: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        message = f"another hospital-client is training in {folder}"
        raise AlreadyRunningError(message) from error


def _npz(**arrays: NDArray[Any]) -> bytes:
    """Return arrays as the bytes of an uncompressed .npz archive."""
    from io import BytesIO

    buffer = BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an archive that this module wrote."""
    try:
        with path.open("rb") as file:
            return read_arrays(file, FILE_BYTES_MAX)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise StoreError(f"{path} cannot be read; remove it and start again") from error
