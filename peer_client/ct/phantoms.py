"""Write the phantoms of one or more hospitals as a data folder, with an index.csv like real data's.

A fresh machine needs no download: everything is drawn from seeds. Each hospital has its own
scanner; nothing about the scanner depends on the label, so the label cannot be read from noise or
grey levels. Phantoms show that software works; no figure measured on them says anything about
patients.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from network.runtime.files import write_durably
from peer_client.ct.errors import CacheError, HospitalFileError
from peer_client.ct.hospitals import HospitalData, PhantomSource, Scanner
from peer_client.ct.index import INDEX_NAME
from peer_client.ct.mapper import mapper
from peer_client.ct.phantom_anatomy import LUNG_HEIGHT_MM, Anatomy, draw_anatomy, slice_hu
from peer_client.ct.volume import CtVolume

COLUMNS: Final = (
    "part", "file", "mask", "label", "label_name", "patient", "site", "fold", "extra",
)  # fmt: skip
#: Changes whenever the same settings would give other pictures.
PHANTOM_VERSION: Final = 1
_FOLDS: Final = 5
_STAMP: Final = "phantoms.json"


def write_phantoms(
    hospitals: Sequence[HospitalData],
    folder: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    processes: int = 1,
) -> Path:
    """Write the phantoms of hospitals into one data folder.

    A folder that already holds exactly these phantoms is left as it is; a stopped run is begun
    again.

    Args:
        hospitals: Hospitals with a `phantoms` source and one class part each.
        folder: The data folder; made where it is missing.
        progress: Called with (pictures done, pictures in all).
        processes: How many processes draw; with more than 1 the caller's main module must be
            safe to import (`if __name__ == "__main__"`).

    Returns:
        The folder.

    Raises:
        HospitalFileError: A hospital has no phantom source.
        CacheError: The folder cannot be written.
    """
    sources = [_source(hospital) for hospital in hospitals]
    stamp = json.dumps(
        {
            "version": PHANTOM_VERSION,
            "sources": [
                {"part": hospital.classes[0].part, **asdict(source)}
                for hospital, source in zip(hospitals, sources, strict=True)
            ],
        },
        sort_keys=True,
    )
    total = sum(source.patients * source.slices for source in sources)
    try:
        if _is_written(folder, stamp):
            if progress is not None:
                progress(total, total)
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        rows: list[dict[str, str]] = []
        jobs = [
            (folder, hospital, source, number)
            for hospital, source in zip(hospitals, sources, strict=True)
            for number in range(source.patients)
        ]
        with mapper(processes) as mapped:
            for written in mapped(_write_patient, jobs):
                rows += written
                if progress is not None:
                    progress(len(rows), total)
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_durably(folder / INDEX_NAME, text.getvalue().encode())
        # The stamp comes last: it says that everything before it is there.
        write_durably(folder / _STAMP, stamp.encode())
    except OSError as error:
        raise CacheError(
            f"cannot write phantoms to {folder}: {error.strerror or error}",
            "Free some disk space, or name another folder.",
        ) from error
    return folder


def draw_slice(
    anatomy: Anatomy, scanner: Scanner, rng: np.random.Generator, z: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one slice as a scanner shows it.

    Args:
        anatomy: The patient.
        scanner: The scanner.
        rng: Of noise and of where the patient lies in the field of view.
        z: 0 at the apex of the lungs, 1 at their base.

    Returns:
        Grey levels and lesion classes, both uint8, shape `(size_px, size_px)`.
    """
    size = scanner.size_px
    field_mm = 2 * anatomy.half_width_mm * float(rng.uniform(1.04, 1.18))
    shift = rng.uniform(-8, 8, 2)
    axis = ((np.arange(size) + 0.5) / size - 0.5) * field_mm
    x, y = np.meshgrid((axis + shift[0]).astype(np.float32), (axis + shift[1]).astype(np.float32))
    hu, mask = slice_hu(anatomy, x, y, z)
    pixel_mm = field_mm / size
    hu = ndimage.gaussian_filter(hu, scanner.kernel_mm / pixel_mm)
    noise = rng.standard_normal((size, size)).astype(np.float32)
    noise = ndimage.gaussian_filter(noise, scanner.grain_mm / pixel_mm)
    noise *= scanner.noise_hu * float(rng.uniform(0.8, 1.25)) / float(noise.std())
    return _shown(hu + noise, scanner), mask


def phantom_volume(
    seed: int,
    *,
    kind: str = "pneumonia",
    slices: int = 24,
    size_px: int = 128,
    noise_hu: float = 12.0,
) -> tuple[CtVolume, NDArray[np.uint8]]:
    """Draw a whole phantom as a volume in HU.

    Args:
        seed: Of the patient and the noise.
        kind: As for `draw_anatomy`.
        slices: From just above the apex to the base of the lungs.
        size_px: Rows and columns.
        noise_hu: Standard deviation of the noise.

    Returns:
        The volume, slices from the head to the feet, and its lesion classes, uint8, same shape.
    """
    anatomy = draw_anatomy(np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1]), kind)
    rng = np.random.default_rng([seed, 2])
    field_mm = 2 * anatomy.half_width_mm * 1.1
    axis = (((np.arange(size_px) + 0.5) / size_px - 0.5) * field_mm).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    drawn = [slice_hu(anatomy, x, y, z) for z in np.linspace(-0.04, 1.0, slices).tolist()]
    hu = np.stack([levels for levels, _ in drawn])
    hu += noise_hu * rng.standard_normal(hu.shape).astype(np.float32)
    voxels = np.clip(np.rint(hu), -1024, 3071).astype(np.int16)
    z_mm = 1.04 * LUNG_HEIGHT_MM / max(slices - 1, 1)
    in_plane = field_mm / size_px
    affine = np.diag([-in_plane, -in_plane, -z_mm, 1.0])
    affine[:2, 3] = field_mm / 2
    return (
        CtVolume(voxels, (z_mm, in_plane, in_plane), True, affine, "npz", "LPI"),
        np.stack([mask for _, mask in drawn]),
    )


def _shown(hu: NDArray[np.float32], scanner: Scanner) -> NDArray[np.uint8]:
    """Window, pad, bend and round the levels as the export of a scanner does."""
    if scanner.window == "lung":
        low, high = -1350.0, 150.0
    elif scanner.window == "wide":
        low, high = -1024.0, 1024.0
    else:
        size = hu.shape[0]
        axis = (np.arange(size) + 0.5) / (size / 2) - 1
        hu = np.where(np.hypot(axis[:, None], axis[None, :]) > 1, -2048, hu).astype(np.float32)
        low, high = float(hu.min()), float(hu.max())
    grey = np.clip((hu - low) / (high - low), 0, 1) ** scanner.gamma
    return np.asarray(np.rint(grey * 255), np.uint8)


def _source(hospital: HospitalData) -> PhantomSource:
    if hospital.phantoms is None or len(hospital.classes) != 1 or hospital.masks:
        raise HospitalFileError(
            f"{hospital.name} (line {hospital.line}) says no way to make phantoms",
            hospital.line,
            "Name a data folder, or use a file of hospitals with phantoms, e.g. "
            "examples/phantoms.yaml.",
        )
    return hospital.phantoms


def _write_patient(job: tuple[Path, HospitalData, PhantomSource, int]) -> list[dict[str, str]]:
    folder, hospital, source, number = job
    part = hospital.classes[0].part
    label = 1 - number % 2
    kind = "pneumonia" if label else source.negatives[(number // 2) % len(source.negatives)]
    seeds = [source.seed, number]
    anatomy = draw_anatomy(
        np.random.default_rng([*seeds, 0]), np.random.default_rng([*seeds, 1]), kind
    )
    rng = np.random.default_rng([*seeds, 2])
    rows: list[dict[str, str]] = []
    suffix = "png" if source.scanner.jpeg_quality is None else "jpg"
    for position in range(source.slices):
        z = 0.32 + 0.5 * (position + float(rng.uniform(0, 1))) / source.slices
        levels, mask = draw_slice(anatomy, source.scanner, rng, z)
        name = f"{part}/images/p{number:04d}_{position:02d}.{suffix}"
        write_durably(folder / name, _encoded(levels, source.scanner.jpeg_quality))
        mask_name = ""
        if mask.any():
            mask_name = f"{part}/masks/p{number:04d}_{position:02d}.png"
            write_durably(folder / mask_name, _encoded(mask, None))
        rows.append(
            {
                "part": part,
                "file": name,
                "mask": mask_name,
                "label": str(label),
                "label_name": kind,
                "patient": f"{part}_p{number:04d}",
                "site": hospital.name,
                # Two patients, one of each label, go to a fold at a time.
                "fold": str((number // 2) % _FOLDS),
                "extra": f"z={z:.3f}",
            }
        )
    return rows


def _encoded(levels: NDArray[np.uint8], jpeg_quality: int | None) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(levels)
    if jpeg_quality is None:
        picture.save(buffer, "PNG")
    else:
        picture.save(buffer, "JPEG", quality=jpeg_quality)
    return buffer.getvalue()


def _is_written(folder: Path, stamp: str) -> bool:
    try:
        return (folder / INDEX_NAME).is_file() and hashlib.sha256(
            (folder / _STAMP).read_bytes()
        ).digest() == hashlib.sha256(stamp.encode()).digest()
    except FileNotFoundError:
        return False
