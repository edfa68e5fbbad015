"""Keep normalised slices on disk, so that the next start does not read every picture again.

One npz file holds up to 256 slices; its name is the SHA-256 of what went into it (the version of
the normalisation, the size, the digests of the source files), so a changed picture or a changed
program can never be served an old result. Files are written beside their place, synced
and renamed: a killed process leaves a whole file or none, and two processes may share the folder.
A damaged file is read as absent and written again. A full disk is a `CacheError`; nothing
half-written stays.

The cache holds pictures of patients: only its owner can read it (folder 0700, files 0600).
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from network.runtime.files import write_durably
from network.runtime.folders import cache_folder
from peer_client.ct.errors import CacheError
from peer_client.storage.arrays import read_arrays

#: 256 pictures of 1024 x 1024 and their masks have half of it.
SHARD_BYTES_MAX: Final = 1 << 30
Arrays = Mapping[str, NDArray[Any]]


def slices_cache() -> Path:
    """Return where normalised slices are kept: XDG_CACHE_HOME/capsule-consortium/slices."""
    return cache_folder() / "slices"


def cache_key(*parts: str | int | Iterable[str]) -> str:
    """Return the name of a cache file: SHA-256 over what its content depends on.

    >>> cache_key("v1", 96, ["ab"]) == cache_key("v1", 96, ["ab"])
    True
    >>> cache_key("ab", "c") == cache_key("a", "bc")
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        texts = [str(part)] if isinstance(part, str | int) else list(part)
        digest.update(f"{len(texts)};".encode("ascii"))
        for text in texts:
            raw = text.encode("utf-8")
            digest.update(f"{len(raw)}:".encode("ascii") + raw)
    return digest.hexdigest()


def read_cached(folder: Path, key: str) -> dict[str, NDArray[Any]] | None:
    """Return the arrays stored under a key, or None where there are none that can be read."""
    path = folder / f"{key}.npz"
    try:
        # Opened here: numpy leaves the file open where it is damaged.
        with path.open("rb") as handle:
            # Reading every member checks its CRC.
            return read_arrays(handle, SHARD_BYTES_MAX)
    except FileNotFoundError:
        return None
    # A file cut short or overwritten fails in many ways (BadZipFile, zlib.error, ValueError,
    # EOFError, KeyError); each only means that the work is done again.
    except Exception:
        return None


def write_cached(folder: Path, key: str, arrays: Arrays) -> None:
    """Store arrays under a key, whole or not at all.

    Args:
        folder: The cache folder; made where it is missing.
        key: From `cache_key`.
        arrays: What to store; no objects.

    Raises:
        CacheError: The folder cannot be written, e.g. because the disk is full.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
            # A fixed date: equal slices give equal files.
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), member.getvalue()
            )
    try:
        write_durably(folder / f"{key}.npz", buffer.getvalue())
    except OSError as error:
        raise CacheError(
            f"cannot write the cache folder {folder}: {error.strerror or error}"
        ) from error
