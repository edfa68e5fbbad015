"""A CT volume in Hounsfield units, with the place of its voxels in the patient.

Slices run from the feet to the head or the other way as the source has them, the geometry is kept,
and what has no single geometry is refused (`VolumeError`). Files are opened elsewhere
(`peer_client.ct.volume_files`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from peer_client.ct.byte_limits import VOLUME_BYTES_MAX
from peer_client.ct.errors import VolumeError
from peer_client.ct.image import SIDE_MAX_PX, SIDE_MIN_PX, Image2D
from peer_client.ct.lung_field import LungField, find_lung_field

SLICES_MAX: Final = 4096
VOXELS_MAX: Final = 1 << 30
#: A CT in HU shows air (-1000) or lung; grey levels begin at 0.
_HU_LEAST_MAX: Final = -300.0
_LUNG_AREA_CM2: Final = (8.0, 900.0)


@dataclass(frozen=True, slots=True, eq=False)
class CtVolume:
    """A CT volume.

    Attributes:
        voxels: int16 or float32, shape `(z, y, x)`: HU where `is_hu`, else
            grey in [0, 1], scaled by the volume's own least and greatest level.
        spacing_mm: Distance of slices, rows and columns, mm: `(z, y, x)`.
        is_hu: Whether the voxels are Hounsfield units.
        affine: float64, shape `(4, 4)`: from (x, y, z) voxel positions to mm in the patient, axes
            to the right, the front and the head end (RAS), as NIfTI has it.
        source: "dicom", "nifti" or "npz".
        axes: Where the axes (x, y, z) of the source's own array point, e.g. "RAS"; what
            `nifti.write_nifti` writes goes back to them.
    """

    voxels: NDArray[np.int16] | NDArray[np.float32]
    spacing_mm: tuple[float, float, float]
    is_hu: bool
    affine: NDArray[np.float64]
    source: str
    axes: str = "LPS"

    def slice(self, position: int) -> Image2D:
        """Return one axial slice, HU or grey as the volume is.

        Args:
            position: Along z, from 0.
        """
        pixels = self.voxels[position].astype(np.float32)
        return Image2D(pixels, self.is_hu, self.spacing_mm[1:])

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


def check_volume_bytes(name: str, shape: tuple[int, ...], voxel_bytes: int) -> None:
    """Refuse a volume by its numbers, before anything of it is unpacked.

    Args:
        name: What error messages call it.
        shape: Lengths of its axes.
        voxel_bytes: Bytes of a voxel at the widest number type it has while it is read.

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


def checked_volume(
    voxels: NDArray[np.generic],
    spacing_mm: tuple[float, float, float],
    affine: NDArray[np.float64],
    *,
    is_hu: bool | None,
    source: str,
    name: str,
    axes: str = "LPS",
) -> CtVolume:
    """Check the shape, spacing and levels of a volume and put it together.

    Args:
        voxels: Shape `(z, y, x)`, any number type.
        spacing_mm: Distance of slices, rows and columns.
        affine: From (x, y, z) voxel positions to mm, RAS.
        is_hu: Whether voxels are HU; None judges by their range (a CT holds air: some voxels below
            -300).
        source: "dicom", "nifti" or "npz".
        name: What error messages call it.
        axes: Where the axes of the source's own array point.

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
    check_volume_bytes(name, voxels.shape, voxels.itemsize)
    if not all(np.isfinite(step) and 0.05 <= step <= 50 for step in spacing_mm):
        raise VolumeError(
            f"{name} gives a voxel spacing of {spacing_mm} mm; allowed is 0.05 to 50 mm"
        )
    if voxels.dtype == np.int16:
        stored: NDArray[np.int16] | NDArray[np.float32] = voxels.astype(np.int16, copy=False)
    else:
        floats = np.asarray(voxels).astype(np.float32)
        if not np.isfinite(floats).all():
            raise VolumeError(f"{name} holds values that are not numbers")
        whole = bool(floats.min() >= -32768 and floats.max() <= 32767) and bool(
            (floats == np.rint(floats)).all()
        )
        stored = floats.astype(np.int16) if whole else floats
    if float(stored.min()) == float(stored.max()):
        raise VolumeError(f"{name} is blank: all its voxels have the same level")
    if is_hu is None:
        is_hu = float(stored.min()) <= _HU_LEAST_MAX
    if not is_hu:
        low, high = float(stored.min()), float(stored.max())
        stored = ((stored.astype(np.float64) - low) / (high - low)).astype(np.float32)
    return CtVolume(stored, spacing_mm, is_hu, np.asarray(affine, np.float64), source, axes)
