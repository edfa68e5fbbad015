"""Read and write NIfTI volumes, with their affine.

A volume is turned so that columns run to the patient's left, rows to the back and slices to the
head, which is how axial slices are looked at; what is written goes back to the axes of the file
that was read, so that a mask lies voxel by voxel on its scan. Refused: more than three dimensions,
colour, oblique volumes beyond 37 degrees, an affine that is no geometry, truncated files.
"""

from __future__ import annotations

import gzip
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nibabel as _nibabel
import numpy as np
from numpy.typing import NDArray

from network.runtime.files import write_durably
from peer_client.ct.byte_limits import NIFTI_OFFSET_MAX
from peer_client.ct.errors import CacheError, MaskError, VolumeError
from peer_client.ct.mask_values import mask_classes
from peer_client.ct.volume import (
    CtVolume,
    check_volume_bytes,
    checked_volume,
    is_air,
    is_hounsfield,
    whole_hu,
)

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
#: A mask has at most four classes; a scan that was named as a mask has thousands of values.
_MASK_VALUES_MAX: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """A checked file, its voxels still packed.

    Attributes:
        path: The file.
        values: nibabel's array proxy; slices of it are read when they are asked for.
        shape: Lengths of its three axes.
        affine: From its axes to mm.
        is_int16: Whether its levels are 16-bit integers as stored.
    """

    path: Path
    values: Any
    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    is_int16: bool

    def slabs(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield the planes of the last axis with their positions, one at a time."""
        rest = (0,) * (len(self.values.shape) - 3)
        for position in range(self.shape[2]):
            yield position, np.asarray(self.values[(..., position, *rest)])


def read_nifti(path: Path) -> CtVolume:
    """Read a NIfTI file.

    Args:
        path: A .nii or .nii.gz file of a CT.

    Returns:
        The volume; HU where a share of the voxels is below -300, as air and lung are, else grey.

    Raises:
        VolumeError: See the module.
    """
    with _opened(path) as opened:
        values, is_hu = _levels(opened)
    source = orientations.io_orientation(opened.affine)
    columns_first, placed = _turned(values, opened.affine, orientations.axcodes2ornt(_AXES))
    return checked_volume(
        np.ascontiguousarray(columns_first.transpose(2, 1, 0)),
        placed,
        is_hu=is_hu,
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
        with _opened(path) as opened:
            values = _mask_values(opened)
    except VolumeError as error:
        raise MaskError(f"mask {error}", "Masks of volumes are NIfTI files.") from error
    columns_first, placed = _turned(
        values, opened.affine, orientations.io_orientation(volume.affine)
    )
    mask = columns_first.transpose(2, 1, 0)
    if mask.shape != volume.voxels.shape:
        raise MaskError(f"mask {path} has {mask.shape} voxels, its volume {volume.voxels.shape}")
    corners = np.array([[0, 0, 0, 1], [*(length - 1 for length in columns_first.shape), 1]]).T
    if float(np.abs((placed - volume.affine) @ corners).max()) > _MASK_OFF_MM:
        raise MaskError(f"mask {path} lies elsewhere in the patient than its volume")
    return np.ascontiguousarray(mask, np.uint8)


def _levels(opened: _Opened) -> tuple[NDArray[Any], bool]:
    """Return the levels, three axes as stored, and whether they are HU.

    As whole HU in 16 bits where they are HU, so that a volume takes two bytes a voxel whatever its
    number type; as they are where they are grey.
    """
    values = np.empty(opened.shape, np.int16, order="F")
    air = 0
    exact = True
    for position, slab in opened.slabs():
        if not np.isfinite(slab).all():
            raise VolumeError(f"{opened.path} holds values that are not numbers")
        air += int(is_air(slab).sum())
        values[:, :, position] = whole_hu(slab)
        exact = exact and (opened.is_int16 or bool((values[:, :, position] == slab).all()))
    is_hu = is_hounsfield(values.size, air)
    if is_hu or exact:
        return values, is_hu
    check_volume_bytes(f"{opened.path}, grey,", opened.shape, 4)
    levels = np.empty(opened.shape, np.float32, order="F")
    for position, slab in opened.slabs():
        levels[:, :, position] = slab
    return levels, False


def _mask_values(opened: _Opened) -> NDArray[np.uint8]:
    """Return the classes of a mask, three axes as stored."""
    found: set[float] = set()
    whole = np.empty(opened.shape, np.uint16, order="F")
    for position, slab in opened.slabs():
        distinct = np.unique(slab)
        found.update(distinct[:_MASK_VALUES_MAX].tolist())
        if len(distinct) > _MASK_VALUES_MAX or len(found) > _MASK_VALUES_MAX:
            mask_classes(np.array(sorted(found)), str(opened.path))
            raise MaskError(f"mask {opened.path} holds more than {_MASK_VALUES_MAX} values")
        whole[:, :, position] = np.rint(np.clip(np.nan_to_num(slab), 0, 65535))
    values = np.array(sorted(found))
    classes = mask_classes(values, str(opened.path))
    table = np.zeros(65536, np.uint8)
    table[np.rint(values).astype(np.int64)] = classes
    return np.asarray(table[whole])


@contextmanager
def _opened(path: Path) -> Iterator[_Opened]:
    """Open a file, its header checked; errors of what is read of it become sentences."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _check_beginning(path)
            # Kept open: a packed file is unpacked once, not from its start for each plane.
            image = nibabel.load(path, keep_file_open=True)
            shape = tuple(int(length) for length in image.shape)
            affine = np.asarray(image.affine, np.float64)
            scaled = (image.dataobj.slope, image.dataobj.inter) != (1, 0)
            dtype = image.get_data_dtype()
            _check(path, shape, affine, dtype)
            _check_length(path, shape, dtype, image.dataobj.offset)
            yield _Opened(
                path,
                image.dataobj,
                (shape[0], shape[1], shape[2]),
                affine,
                not scaled and dtype == np.int16,
            )
    except (VolumeError, MaskError):
        raise
    # Damaged headers and truncated streams fail in many ways inside nibabel, gzip and zlib.
    except Exception as error:
        raise VolumeError(
            f"{path} is not a readable NIfTI file ({type(error).__name__})"
        ) from error


def _check_length(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int) -> None:
    """Refuse an unpacked file that is shorter than it says, before room is made for its voxels."""
    needed = int(offset) + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if not path.name.lower().endswith(".gz") and path.stat().st_size < needed:
        raise VolumeError(
            f"{path} ends early: it has {path.stat().st_size} bytes, its header gives {needed}"
        )


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
    values: NDArray[np.uint8] | NDArray[np.int16] | NDArray[np.float32],
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
    content = image.to_bytes()
    try:
        # Private: it is of a patient.
        write_durably(path, gzip.compress(content) if path.name.endswith(".gz") else content)
    except OSError as error:
        raise CacheError(
            f"cannot write {path}: {error.strerror or error}",
            "Free some disk space, or name another output folder.",
        ) from error


def _check(
    path: Path,
    shape: tuple[int, ...],
    affine: NDArray[np.float64],
    dtype: np.dtype[np.generic],
) -> None:
    if len(shape) < 3 or any(length != 1 for length in shape[3:]):
        raise VolumeError(f"{path} has the shape {shape}; a CT volume has 3 dimensions")
    if dtype.kind not in "iuf":
        raise VolumeError(f"{path} holds {dtype}, not grey levels")
    if min(shape[:3]) < 1:
        raise VolumeError(f"{path} has the shape {shape}")
    check_volume_bytes(str(path), shape, max(dtype.itemsize, 2))
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
