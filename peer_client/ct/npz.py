"""Read npz volumes: `hu` int16 `(z, y, x)` and `spacing_mm` `(z, y, x)`, slices from the apex down.

Other arrays in the file are ignored. Pickled objects are refused.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from peer_client.ct.byte_limits import VOLUME_BYTES_MAX
from peer_client.ct.errors import VolumeError
from peer_client.ct.volume import CtVolume, check_volume_bytes, checked_volume
from peer_client.storage.arrays import ArraysRefusedError, check_array_header


def read_npz(path: Path) -> CtVolume:
    """Read an npz volume.

    Args:
        path: The file.

    Returns:
        The volume. Its affine has the origin in the first voxel, rows running to the back and
        slices to the feet, which is what "apex first" means for a patient on the back.

    Raises:
        VolumeError: The file is not such a volume.
    """
    try:
        # A packed file of a few bytes may say that it unpacks to anything.
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > VOLUME_BYTES_MAX:
                raise VolumeError(
                    f"{path} unpacks to {unpacked} bytes; allowed are {VOLUME_BYTES_MAX}"
                )
            for name in sorted({"hu.npy", "spacing_mm.npy"} & set(archive.namelist())):
                shape, dtype = check_array_header(archive, name)
                check_volume_bytes(f"{path}: {name}", shape, dtype.itemsize)
        # Opened here: numpy leaves the file open where it is damaged.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
            missing = [key for key in ("hu", "spacing_mm") if key not in stored.files]
            if missing:
                raise VolumeError(f"{path} has no array {missing[0]!r}; it needs hu and spacing_mm")
            hu, spacing = stored["hu"], stored["spacing_mm"]
    except VolumeError:
        raise
    except ArraysRefusedError as error:
        raise VolumeError(f"{path}: {error}") from error
    # numpy and zipfile meet damaged files with many kinds of errors; each means the same here.
    except Exception as error:
        raise VolumeError(f"{path} is not a readable npz file") from error
    if hu.dtype.kind not in "iuf":
        raise VolumeError(f"{path}: hu holds {hu.dtype}, not numbers of a CT volume")
    if spacing.shape != (3,) or spacing.dtype.kind not in "iuf":
        raise VolumeError(f"{path}: spacing_mm must be three numbers (z, y, x)")
    z, y, x = (float(step) for step in spacing)
    affine = np.diag([-x, -y, -z, 1.0])
    return checked_volume(hu, affine, is_hu=True, source="npz", name=str(path), axes="LPI")
