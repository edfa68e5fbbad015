"""The files that hold CT volumes: which reader opens which.

What hospitals have: a folder of DICOM files (or one of them), NIfTI, and npz with `hu` and
`spacing_mm`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from peer_client.ct.errors import VolumeError
from peer_client.ct.volume import CtVolume


def read_volume(path: Path) -> CtVolume:
    """Read a CT volume.

    Args:
        path: A folder of DICOM files of one series, one DICOM file, a NIfTI file (.nii,
            .nii.gz), or an .npz file with `hu` (int16, `(z, y, x)`) and `spacing_mm` (`(z, y, x)`).

    Returns:
        The volume.

    Raises:
        VolumeError: It cannot be read, or has no single geometry; the message names the file.
    """
    # Imported here: pydicom and nibabel cost a second at start, and pictures need neither.
    name = path.name.lower()
    if not path.exists():
        raise VolumeError(f"{path} does not exist", "Name the series' folder or the volume's file.")
    if name.endswith(".npz"):
        from peer_client.ct.npz import read_npz

        return read_npz(path)
    if name.endswith((".nii", ".nii.gz")):
        from peer_client.ct.nifti import read_nifti

        return read_nifti(path)
    from peer_client.ct.dicom import read_dicom

    return read_dicom(path)


def read_mask_of(path: Path, volume: CtVolume) -> NDArray[np.uint8]:
    """Read the lesion mask of a volume.

    Args:
        path: A NIfTI file on the volume's own grid, in any order of axes.
        volume: The volume.

    Returns:
        uint8, shape of the volume's voxels, values as for pictures: 0 to 3.

    Raises:
        MaskError: It cannot be read, lies on another grid, or holds other values.
    """
    from peer_client.ct.nifti import read_nifti_mask

    return read_nifti_mask(path, volume)
