"""Turn the items of an index into normalised slices, in parallel and through the cache.

A picture gives one slice; a volume gives slices evenly spaced through its lungs. Work is cut into
shards of 256 items, the unit of the cache. An item that cannot be read stops the work with the
error that names it; nothing is skipped silently.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from peer_client.ct.cache import cache_key, read_cached, write_cached
from peer_client.ct.errors import ImageError, NormalisationError, VolumeError
from peer_client.ct.fingerprint import FINGERPRINT_BYTES, fingerprint
from peer_client.ct.folder_input import folder_input, is_own_output, is_picture
from peer_client.ct.grid import resized_mask
from peer_client.ct.image import FILE_BYTES_MAX, Image2D, decode_image, decode_mask
from peer_client.ct.index import Item
from peer_client.ct.mapper import mapper
from peer_client.ct.normalise import NORMALISATION_VERSION, to_network_input
from peer_client.ct.volume import CtVolume
from peer_client.ct.volume_files import read_mask_of, read_volume

#: Called with (items done, items in all) while slices are made.
Progress = Callable[[int, int], None]
SHARD_ITEMS: Final = 256
#: Slices taken from each volume.
VOLUME_SLICES: Final = 16
#: Changes with the layout of a shard.
_SHARD_FORMAT: Final = 2


@dataclass(frozen=True, slots=True)
class SliceOptions:
    """How slices are made.

    Attributes:
        size_px: Side of the network's input, pixels.
        spatial: Whether the spatial normalisation is on.
        signal: Whether the signal normalisation is on.
    """

    size_px: int
    spatial: bool = True
    signal: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """Normalised slices of some items; one row each.

    Attributes:
        pixels: uint8, shape `(n, size_px, size_px)`: the network's input times 255.
        masks: uint8, shape `(n, size_px, size_px)`: values 0 to 3; zeros where no mask.
        has_mask: bool, shape `(n,)`.
        lung_found: bool, shape `(n,)`.
        item: int64, shape `(n,)`: position of the slice's item among the items asked for.
        digest: uint8, shape `(n, 32)`: SHA-256 of the picture's size and pixels.
        fingerprint: uint8, shape `(n, 32)`: see `peer_client.ct.fingerprint`.
    """

    pixels: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    has_mask: NDArray[np.bool_]
    lung_found: NDArray[np.bool_]
    item: NDArray[np.int64]
    digest: NDArray[np.uint8]
    fingerprint: NDArray[np.uint8]


def make_slices(
    items: Sequence[Item],
    options: SliceOptions,
    *,
    cache: Path | None,
    progress: Progress | None = None,
    processes: int = 1,
) -> Slices:
    """Read and normalise items.

    Args:
        items: Rows of the index.
        options: How slices are made.
        cache: Cache folder, or None for none.
        progress: Called after each shard.
        processes: How many processes work; 1 works in this one. With more, the caller's main
            module must be safe to import (`if __name__ == "__main__"`).

    Returns:
        The slices, in the order of the items.

    Raises:
        IntakeError: An item cannot be read or normalised (`ImageError`, `VolumeError`, `MaskError`,
            `NormalisationError`), or the cache cannot be written (`CacheError`).
    """
    shards = [
        tuple(items[start : start + SHARD_ITEMS]) for start in range(0, len(items), SHARD_ITEMS)
    ]
    done: list[Slices] = []
    finished = 0
    jobs = [(shard, options, cache) for shard in shards]
    # Spawning costs a second: one shard is done here.
    with mapper(min(processes, len(jobs))) as mapped:
        for shard, made in zip(shards, mapped(_shard_of, jobs), strict=True):
            done.append(replace(made, item=made.item + finished))
            finished += len(shard)
            if progress is not None:
                progress(finished, len(items))
    if not done:
        return _empty(options.size_px)
    columns = [_fields(made) for made in done]
    return Slices(
        **{name: np.concatenate([column[name] for column in columns]) for name in columns[0]}
    )


def _shard_of(job: tuple[tuple[Item, ...], SliceOptions, Path | None]) -> Slices:
    """Make one shard, or take it from the cache."""
    items, options, cache = job
    if cache is None:
        return _normalised(items, options)
    key = cache_key(
        _SHARD_FORMAT,
        NORMALISATION_VERSION,
        options.size_px,
        int(options.spatial),
        int(options.signal),
        VOLUME_SLICES,
        [_source_digest(item) for item in items],
    )
    stored = read_cached(cache, key)
    if stored is not None and _complete(stored, options.size_px):
        return Slices(**stored)
    made = _normalised(items, options)
    write_cached(cache, key, _fields(made))
    return made


def _normalised(items: Sequence[Item], options: SliceOptions) -> Slices:
    size = options.size_px
    pixels: list[NDArray[np.uint8]] = []
    masks: list[NDArray[np.uint8]] = []
    has_mask: list[bool] = []
    found: list[bool] = []
    owner: list[int] = []
    digests: list[bytes] = []
    prints: list[bytes] = []
    for position, item in enumerate(items):
        for image, mask in _pictures(item):
            try:
                normal = to_network_input(
                    image, size_px=size, spatial=options.spatial, signal=options.signal
                )
            except NormalisationError as error:
                raise NormalisationError(f"{item.name}: {error}", error.hint) from error
            pixels.append(np.round(normal.pixels[:, :, 0] * 255).astype(np.uint8))
            masks.append(
                np.zeros((size, size), np.uint8)
                if mask is None
                else resized_mask(mask, size, normal.box)
            )
            has_mask.append(mask is not None)
            found.append(normal.lung_found)
            owner.append(position)
            digests.append(bytes.fromhex(image.digest()))
            prints.append(fingerprint(image))
    if not owner:
        return _empty(size)
    return Slices(
        pixels=np.stack(pixels),
        masks=np.stack(masks),
        has_mask=np.array(has_mask, np.bool_),
        lung_found=np.array(found, np.bool_),
        item=np.array(owner, np.int64),
        digest=np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32),
        fingerprint=np.frombuffer(b"".join(prints), np.uint8).reshape(-1, FINGERPRINT_BYTES),
    )


def _pictures(item: Item) -> Iterator[tuple[Image2D, NDArray[np.uint8] | None]]:
    """Yield each picture of an item with its mask, or None where it has none."""
    if is_picture(item.path):
        if is_own_output(item.path):
            raise ImageError(f"index.csv line {item.line}: {item.name} was written by predict")
        image = decode_image(_bytes(item.path, item), name=item.name)
        mask = None
        if item.mask_path is not None:
            shape = (image.pixels.shape[0], image.pixels.shape[1])
            raw = _bytes(item.mask_path, item)
            mask = decode_mask(raw, shape, name=str(item.mask_path))
        yield image, mask
        return
    volume = read_volume(item.path)
    masks = None if item.mask_path is None else read_mask_of(item.mask_path, volume)
    for position in spaced_slices(volume, VOLUME_SLICES):
        yield volume.slice(position), None if masks is None else masks[position]


def spaced_slices(volume: CtVolume, count: int) -> tuple[int, ...]:
    """Return positions of at most `count` slices, evenly spaced through the lungs.

    Args:
        volume: The volume.
        count: How many slices.

    Returns:
        Positions in rising order; through the whole volume where no lungs are found.
    """
    lungs = volume.lung_slices()
    if not lungs:
        lungs = tuple(range(volume.voxels.shape[0]))
    if len(lungs) <= count:
        return lungs
    chosen = np.linspace(0, len(lungs) - 1, count).round().astype(int)
    return tuple(lungs[position] for position in chosen)


def _bytes(path: Path, item: Item) -> bytes:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ImageError(f"index.csv line {item.line}: {path} is too large")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(
            f"index.csv line {item.line}: cannot read {path}: {error.strerror or error}"
        ) from error


def _source_digest(item: Item) -> str:
    """SHA-256 of the files that an item is read from, by content."""
    digest = hashlib.sha256()
    paths = folder_input(item.path).dicom if item.path.is_dir() else (item.path,)
    for path in paths:
        digest.update(_file_digest(path, item))
    digest.update(b"mask" if item.mask_path is not None else b"none")
    if item.mask_path is not None:
        digest.update(_file_digest(item.mask_path, item))
    return digest.hexdigest()


def _file_digest(path: Path, item: Item) -> bytes:
    """SHA-256 of a file, read in pieces: a volume may have gigabytes."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        kind = ImageError if is_picture(path) else VolumeError
        raise kind(
            f"index.csv line {item.line}: cannot read {path}: {error.strerror or error}"
        ) from error


def _fields(made: Slices) -> dict[str, NDArray[Any]]:
    return {name: getattr(made, name) for name in Slices.__dataclass_fields__}


def _complete(stored: dict[str, NDArray[Any]], size_px: int) -> bool:
    if set(stored) != set(Slices.__dataclass_fields__):
        return False
    rows = len(stored["item"])
    return stored["pixels"].shape == (rows, size_px, size_px) and all(
        len(array) == rows for array in stored.values()
    )


def _empty(size_px: int) -> Slices:
    return Slices(
        pixels=np.zeros((0, size_px, size_px), np.uint8),
        masks=np.zeros((0, size_px, size_px), np.uint8),
        has_mask=np.zeros(0, np.bool_),
        lung_found=np.zeros(0, np.bool_),
        item=np.zeros(0, np.int64),
        digest=np.zeros((0, 32), np.uint8),
        fingerprint=np.zeros((0, FINGERPRINT_BYTES), np.uint8),
    )
