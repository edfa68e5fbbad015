"""A CT volume in Hounsfield units, with the place of its voxels in the patient.

Slices run from the feet to the head or the other way as the source has them, the geometry is kept,
and what has no single geometry is refused (`VolumeError`). Files are opened elsewhere
(`peer_client.ct.volume_files`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from peer_client.ct.byte_limits import VOLUME_BYTES_MAX
from peer_client.ct.errors import VolumeError
from peer_client.ct.grey_range import to_grey
from peer_client.ct.image import SIDE_MAX_PX, SIDE_MIN_PX, Image2D
from peer_client.ct.lung_field import LungField, find_lung_field

SLICES_MAX: Final = 4096
VOXELS_MAX: Final = 1 << 30
#: A CT of the chest in HU shows air and lung: more than this share of its voxels lies below -300.
#: Grey levels begin at 0; a few voxels below (padding, damage) do not make them HU.
_AIR_HU: Final = -300.0
_AIR_SHARE_MIN: Final = 0.005
_INT16: Final = (-32768, 32767)
_LUNG_AREA_CM2: Final = (8.0, 900.0)


@dataclass(frozen=True, slots=True, eq=False)
class CtVolume:
    """A CT volume.

    Attributes:
        voxels: Shape `(z, y, x)`: int16, whole HU, where `is_hu`, else float32, grey in
            [0, 1], scaled by the volume's own levels without outliers.
        spacing_mm: Distance of planes, rows and columns at right angles to them, mm: `(z, y, x)`.
            With a tilted gantry planes lie closer together than their origins.
        is_hu: Whether the voxels are Hounsfield units.
        affine: float64, shape `(4, 4)`: from (x, y, z) voxel positions to mm in the patient, axes
            to the right, the front and the head end (RAS), as NIfTI has it.
        source: "dicom", "nifti" or "npz".
        axes: Where the axes (x, y, z) of the source's own array point, e.g. "RAS"; what
            `nifti.write_nifti` writes goes back to them.
        passed_over: Files of a DICOM folder that were not read, each with its reason.
    """

    voxels: NDArray[np.int16] | NDArray[np.float32]
    spacing_mm: tuple[float, float, float]
    is_hu: bool
    affine: NDArray[np.float64]
    source: str
    axes: str = "LPS"
    passed_over: tuple[str, ...] = ()

    def slice(self, position: int) -> Image2D:
        """Return one axial slice, HU or grey as the volume is.

        Args:
            position: Along z, from 0.
        """
        pixels = self.voxels[position].astype(np.float32)
        return Image2D(pixels, self.is_hu, self.spacing_mm[1:])

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel, mm3: the determinant of the affine, also where axes are sheared."""
        return abs(float(np.linalg.det(self.affine[:3, :3])))

    def lung_slices(self) -> tuple[int, ...]:
        """Return the positions of the slices that show lungs, in rising order."""
        return tuple(self.lung_fields())

    def lung_fields(self) -> dict[int, LungField]:
        """Return the lung field of each slice that shows lungs, by its position, in rising order.

        Where HU and spacing are known the air inside the body must also cover 8 to 900 cm2,
        which leaves out the windpipe above the lungs and the bowel below.
        """
        fields: dict[int, LungField] = {}
        for position in range(self.voxels.shape[0]):
            image = self.slice(position)
            field = find_lung_field(image)
            if not field.found:
                continue
            height, width = image.pixels.shape
            area_cm2 = (
                float(field.mask.mean())
                * (height * self.spacing_mm[1] / 10)
                * (width * self.spacing_mm[2] / 10)
            )
            if self.is_hu and not _LUNG_AREA_CM2[0] <= area_cm2 <= _LUNG_AREA_CM2[1]:
                continue
            fields[position] = field
        return fields


def spacing_of(affine: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the distances of planes, rows and columns, mm; their product is a voxel's volume.

    Args:
        affine: float64, shape `(4, 4)`, from (x, y, z) voxels to mm.

    >>> tilted = np.array([[2.0, 0, 0, 0], [0, 3, 4, 0], [0, 0, 5, 0], [0, 0, 0, 1]])
    >>> spacing_of(tilted)
    (5.0, 3.0, 2.0)
    """
    x, y, z = affine[:3, :3].T
    columns = float(np.linalg.norm(x))
    area = np.cross(x, y)
    area_mm2 = float(np.linalg.norm(area))
    if not (columns > 0 and area_mm2 > 0):
        return (0.0, 0.0, columns)
    return (abs(float(z @ area)) / area_mm2, area_mm2 / columns, columns)


def check_volume_bytes(name: str, shape: tuple[int, ...], voxel_bytes: int) -> None:
    """Refuse a volume by its numbers, before anything of it is unpacked.

    Args:
        name: What error messages call it.
        shape: Lengths of its axes.
        voxel_bytes: Bytes of a voxel while it is held.

    Raises:
        VolumeError: It has more bytes or voxels than allowed.
    """
    voxels = math.prod(shape)
    if voxels * voxel_bytes > VOLUME_BYTES_MAX or voxels > VOXELS_MAX:
        raise VolumeError(
            f"{name} has the shape {shape} and needs {voxels * voxel_bytes} bytes; allowed are "
            f"{VOLUME_BYTES_MAX} bytes",
            "Cut the volume to the lungs, or store it as 16-bit integers.",
        )


def is_hounsfield(counted: int, air: int) -> bool:
    """Return whether levels are Hounsfield units, by how many of them are those of air or lung.

    Args:
        counted: Voxels.
        air: Those of them at or below -300.
    """
    return air >= _AIR_SHARE_MIN * counted


def is_air(levels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which levels are those of air or lung, were they HU."""
    return np.asarray(levels <= _AIR_HU)


def whole_hu(levels: NDArray[Any]) -> NDArray[np.int16]:
    """Return levels as whole Hounsfield units; noise is twenty times as large as what is lost."""
    if levels.dtype == np.int16:
        return levels
    return np.asarray(np.rint(np.clip(levels, *_INT16)), np.int16)


def checked_volume(
    voxels: NDArray[Any],
    affine: NDArray[np.float64],
    *,
    is_hu: bool | None,
    source: str,
    name: str,
    axes: str = "LPS",
    passed_over: tuple[str, ...] = (),
) -> CtVolume:
    """Check the shape, spacing and levels of a volume and put it together.

    Args:
        voxels: Shape `(z, y, x)`, any number type.
        affine: From (x, y, z) voxel positions to mm, RAS.
        is_hu: Whether voxels are HU; None judges by how many of them are as dark as air.
        source: "dicom", "nifti" or "npz".
        name: What error messages call it.
        axes: Where the axes of the source's own array point.
        passed_over: Files that were not read, each with its reason.

    Raises:
        VolumeError: Something of it is out of range.
    """
    if voxels.ndim != 3:
        raise VolumeError(f"{name} has {voxels.ndim} dimensions, a CT volume has 3")
    slices, height, width = voxels.shape
    if not 1 <= slices <= SLICES_MAX:
        raise VolumeError(f"{name} has {slices} slices; allowed are 1 to {SLICES_MAX}")
    if min(height, width) < SIDE_MIN_PX or max(height, width) > SIDE_MAX_PX:
        raise VolumeError(
            f"{name} has slices of {height} x {width} pixels; allowed are sides from "
            f"{SIDE_MIN_PX} to {SIDE_MAX_PX}"
        )
    check_volume_bytes(name, voxels.shape, 2)
    spacing_mm = spacing_of(affine)
    if not all(np.isfinite(step) and 0.05 <= step <= 50 for step in spacing_mm):
        raise VolumeError(
            f"{name} gives a voxel spacing of {spacing_mm} mm; allowed is 0.05 to 50 mm"
        )
    # Plane by plane: a large volume's own voxels are most of the memory.
    if not all(np.isfinite(plane).all() for plane in _planes(voxels)):
        raise VolumeError(f"{name} holds values that are not numbers")
    if voxels.min() == voxels.max():
        raise VolumeError(f"{name} is blank: all its voxels have the same level")
    if is_hu is None:
        air = sum(int(is_air(plane).sum()) for plane in _planes(voxels))
        is_hu = is_hounsfield(voxels.size, air)
    stored: NDArray[np.int16] | NDArray[np.float32]
    if is_hu:
        stored = whole_hu(voxels)
    else:
        check_volume_bytes(f"{name}, grey,", voxels.shape, 4)
        stored = to_grey(voxels)
    return CtVolume(
        stored, spacing_mm, is_hu, np.asarray(affine, np.float64), source, axes, passed_over
    )


def _planes(voxels: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (voxels[position] for position in range(voxels.shape[0]))
