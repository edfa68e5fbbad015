"""Read and write NIfTI volumes, with their affine.

A volume is turned so that columns run to the patient's left, rows to the back and slices to the
head, which is how axial slices are looked at; what is written goes back to the axes of the file
that was read, so that a mask lies voxel by voxel on its scan. Refused: more than three dimensions,
colour, oblique volumes beyond 37 degrees, an affine that is no geometry, truncated files.
"""

from __future__ import annotations

import gzip
import os
import struct
import warnings
from pathlib import Path
from typing import Any, Final

import nibabel as _nibabel
import numpy as np
from numpy.typing import NDArray

from peer_client.ct.byte_limits import NIFTI_OFFSET_MAX
from peer_client.ct.errors import CacheError, MaskError, VolumeError
from peer_client.ct.volume import CtVolume, check_volume_bytes, checked_volume

# nibabel is typed in part only; what comes out of it is checked here by hand.
nibabel: Any = _nibabel
orientations: Any = _nibabel.orientations

#: Columns to the left, rows to the back (posterior), slices to the head (superior).
_AXES: Final = ("L", "P", "S")
_AXIS_COSINE: Final = 0.8
#: Bytes of a header: NIfTI-1, NIfTI-2.
_NIFTI1_BYTES: Final = 348
_NIFTI2_BYTES: Final = 540
#: Programs round affines to float32; a voxel has 0.5 mm and more.
_MASK_OFF_MM: Final = 0.2


def read_nifti(path: Path) -> CtVolume:
    """Read a NIfTI file.

    Args:
        path: A .nii or .nii.gz file of a CT.

    Returns:
        The volume; HU where some voxels are below -300, as every CT in HU has, else grey.

    Raises:
        VolumeError: See the module.
    """
    values, affine = _load(path)
    source = orientations.io_orientation(affine)
    columns_first, placed = _turned(values, affine, orientations.axcodes2ornt(_AXES))
    spacing = np.linalg.norm(placed[:3, :3], axis=0)
    return checked_volume(
        np.ascontiguousarray(columns_first.transpose(2, 1, 0)),
        (float(spacing[2]), float(spacing[1]), float(spacing[0])),
        placed,
        is_hu=None,
        source="nifti",
        name=str(path),
        axes="".join(orientations.ornt2axcodes(source)),
    )


def read_nifti_mask(path: Path, volume: CtVolume) -> NDArray[np.uint8]:
    """Read a lesion mask that lies on a volume's grid; see `volume.read_mask_of`.

    Raises:
        MaskError: It cannot be read, lies on another grid, or holds other values.
    """
    try:
        values, affine = _load(path)
    except VolumeError as error:
        raise MaskError(f"mask {error}", "Masks of volumes are NIfTI files.") from error
    columns_first, placed = _turned(values, affine, orientations.io_orientation(volume.affine))
    mask = columns_first.transpose(2, 1, 0)
    if mask.shape != volume.voxels.shape:
        raise MaskError(f"mask {path} has {mask.shape} voxels, its volume {volume.voxels.shape}")
    corners = np.array([[0, 0, 0, 1], [*(length - 1 for length in columns_first.shape), 1]]).T
    if float(np.abs((placed - volume.affine) @ corners).max()) > _MASK_OFF_MM:
        raise MaskError(f"mask {path} lies elsewhere in the patient than its volume")
    found = np.unique(mask)
    if not np.isin(found, (0, 1, 2, 3)).all():
        raise MaskError(f"mask {path} holds the value {found[-1]:g}; allowed are 0 to 3")
    return np.ascontiguousarray(mask, np.uint8)


def _load(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the values, three axes as stored, and the affine, both checked."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _check_beginning(path)
            image = nibabel.load(path)
            shape = tuple(int(length) for length in image.shape)
            affine = np.asarray(image.affine, np.float64)
            # Levels that are rescaled become float64.
            scaled = (image.dataobj.slope, image.dataobj.inter) != (1, 0)
            _check(path, shape, affine, image.get_data_dtype(), scaled=scaled)
            return np.asarray(image.dataobj).reshape(shape[:3]), affine
    except VolumeError:
        raise
    # Damaged headers and truncated streams fail in many ways inside nibabel, gzip and zlib.
    except Exception as error:
        raise VolumeError(
            f"{path} is not a readable NIfTI file ({type(error).__name__})"
        ) from error


def _check_beginning(path: Path) -> None:
    """Refuse a file whose voxels begin far from its start, or whose extensions are not as told.

    nibabel reads every header extension before anyone sees the shape, at the length that the
    extension gives, so this much is read here first. Layout: nifti1.h and nifti2.h (NIfTI-1.1,
    NIfTI-2), `sizeof_hdr`, `vox_offset`, then extensions of (esize, ecode, data).
    """
    with gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb") as file:
        head = file.read(_NIFTI2_BYTES)
        for order in "<>":
            header_bytes = struct.unpack_from(order + "i", head)[0]
            if header_bytes == _NIFTI1_BYTES:
                offset = struct.unpack_from(order + "f", head, 108)[0]
                break
            if header_bytes == _NIFTI2_BYTES:
                offset = struct.unpack_from(order + "q", head, 168)[0]
                break
        else:
            raise VolumeError(f"{path} does not begin with a NIfTI header")
        if not header_bytes + 4 <= offset <= NIFTI_OFFSET_MAX:
            raise VolumeError(
                f"{path}: its voxels begin at byte {offset:.0f}; allowed are "
                f"{header_bytes + 4} to {NIFTI_OFFSET_MAX}",
                "Export the volume without its header extensions.",
            )
        beginning = head + file.read(max(0, int(offset) - len(head)))
    place = header_bytes + 4
    if beginning[header_bytes : header_bytes + 1] in (b"", b"\0"):
        return
    while place + 16 <= int(offset):
        size = struct.unpack_from(order + "i", beginning, place)[0]
        if not 8 <= size <= int(offset) - place:
            raise VolumeError(f"{path}: a header extension gives its length as {size} bytes")
        place += size


def _turned(
    values: NDArray[Any], affine: NDArray[np.float64], axes: NDArray[np.float64]
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the values with their axes turned to an orientation, and the affine that fits."""
    turn = orientations.ornt_transform(orientations.io_orientation(affine), axes)
    placed = affine @ orientations.inv_ornt_aff(turn, values.shape)
    return orientations.apply_orientation(values, turn), placed


def write_nifti(
    path: Path,
    values: NDArray[np.uint8] | NDArray[np.float32],
    volume: CtVolume,
    *,
    description: str = "",
) -> None:
    """Write values that belong to a volume's voxels, aligned with its source.

    The file is written beside its place and renamed: it is whole or not there.

    Args:
        path: Ends in .nii or .nii.gz.
        values: Shape of the volume's voxels, `(z, y, x)`.
        volume: The volume they belong to.
        description: What the header says of them, at most 79 characters of ASCII.

    Raises:
        VolumeError: The shapes differ.
        CacheError: The file cannot be written, e.g. because the disk is full.
    """
    if values.shape != volume.voxels.shape:
        raise VolumeError(
            f"values of shape {values.shape} do not belong to a volume of {volume.voxels.shape}"
        )
    turned, affine = _turned(
        np.ascontiguousarray(values.transpose(2, 1, 0)),
        volume.affine,
        orientations.axcodes2ornt(tuple(volume.axes)),
    )
    image = nibabel.Nifti1Image(turned, affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description.encode("ascii")[:79]
    suffix = ".nii.gz" if path.name.endswith(".gz") else ".nii"
    temporary = path.with_name(f".{path.name}.{os.getpid()}{suffix}")
    try:
        nibabel.save(image, temporary)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CacheError(
            f"cannot write {path}: {error.strerror or error}",
            "Free some disk space, or name another output folder.",
        ) from error


def _check(
    path: Path,
    shape: tuple[int, ...],
    affine: NDArray[np.float64],
    dtype: np.dtype[np.generic],
    *,
    scaled: bool,
) -> None:
    if len(shape) < 3 or any(length != 1 for length in shape[3:]):
        raise VolumeError(f"{path} has the shape {shape}; a CT volume has 3 dimensions")
    if dtype.kind not in "iuf":
        raise VolumeError(f"{path} holds {dtype}, not grey levels")
    if min(shape[:3]) < 1:
        raise VolumeError(f"{path} has the shape {shape}")
    check_volume_bytes(str(path), shape, max(dtype.itemsize, 8 if scaled else 4))
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise VolumeError(f"{path} has no usable affine")
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if not (lengths > 0).all():
        raise VolumeError(f"{path} has an affine without extent along one axis")
    cosines = np.abs(affine[:3, :3] / lengths)
    if not (cosines.max(axis=0) >= _AXIS_COSINE).all() or len(set(cosines.argmax(axis=0))) != 3:
        raise VolumeError(
            f"{path} lies obliquely in the patient", "Choose the axial reconstruction of the study."
        )
