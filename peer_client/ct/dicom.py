"""Read a DICOM CT series: slices ordered by geometry, levels in Hounsfield units.

Slices are put in order by their place along the normal of the image plane (DICOM PS3.3,
C.7.6.2.1.1), never by file name or instance number, and levels are rescaled by each file's own
slope and intercept (C.11.1). Refused, and named: files of several series in one folder, mixed
orientation, size, spacing or frame of reference, a slice that is missing or there twice, slices
that are not axial, anything but CT, multi-frame files, levels that are not Hounsfield units, and
compressed pixels that cannot be opened.
"""

from __future__ import annotations

import itertools
import struct
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from peer_client.ct.byte_limits import INFLATED_BYTES_MAX, TooManyBytesError, inflate
from peer_client.ct.errors import VolumeError
from peer_client.ct.image import SIDE_MAX_PX, SIDE_MIN_PX
from peer_client.ct.links import files_inside
from peer_client.ct.volume import SLICES_MAX, CtVolume, check_volume_bytes, checked_volume

FILE_BYTES_MAX: Final = 512 * 1024 * 1024
#: Scanners round positions to 0.01 to 0.1 mm; a real change of spacing is larger.
_POSITION_MM: Final = 0.15
_ORIENTATION: Final = 1e-3
#: Cosine to the body's long axis; a tilted gantry reaches 30 degrees, a coronal series 90.
_AXIAL_COSINE: Final = 0.8
_PADDING_HU: Final = -1024
#: What is looked at for the meta information; it has some hundred bytes.
_META_BYTES_MAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    """What is needed of one file, checked."""

    path: Path
    series: str
    frame: str
    orientation: NDArray[np.float64]
    position: NDArray[np.float64]
    spacing_mm: tuple[float, float]
    thickness_mm: float
    hu: NDArray[np.float32]


def read_dicom(path: Path) -> CtVolume:
    """Read a series.

    Args:
        path: A folder whose DICOM files are one series, or a single DICOM file. Files in
            the folder that are neither named .dcm nor begin like DICOM are passed over.

    Returns:
        The volume, slices from the feet to the head, columns to the patient's left, rows to the
        back (whatever way the patient lay).

    Raises:
        VolumeError: See the module; the message names the file.
    """
    files = _files(path)
    _check_bytes(path, files)
    slices = [_read_slice(file) for file in files]
    first = slices[0]
    for other in slices[1:]:
        _check_same_series(first, other)
    right, down = first.orientation[:3], first.orientation[3:]
    normal = np.cross(right, down)
    if abs(normal[2]) < _AXIAL_COSINE:
        raise VolumeError(
            f"{path} is not an axial series (its normal is {np.round(normal, 2).tolist()})",
            "Choose the axial reconstruction of the study.",
        )
    slices.sort(key=lambda one: float(one.position @ normal))
    step = _step(slices, normal, path)
    spacing = (float(np.linalg.norm(step)), *first.spacing_mm)
    # From (x, y, z) voxels to mm: DICOM's axes point left and back (LPS), ours right and front.
    lps = np.eye(4)
    lps[:3, 0] = right * first.spacing_mm[1]
    lps[:3, 1] = down * first.spacing_mm[0]
    lps[:3, 2] = step
    lps[:3, 3] = slices[0].position
    voxels, lps = _upright(np.stack([one.hu for one in slices]), lps)
    return checked_volume(
        voxels,
        spacing,
        np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps,
        is_hu=True,
        source="dicom",
        name=str(path),
    )


def _files(path: Path) -> list[Path]:
    try:
        if path.is_file():
            return [path]
        named = files_inside(path, path.iterdir())
        files = [
            file
            for file in named
            if not file.name.startswith(".")
            and file.name.upper() != "DICOMDIR"
            and (file.suffix.lower() == ".dcm" or _begins_like_dicom(file))
        ]
    except OSError as error:
        raise VolumeError(f"cannot read {path}: {error.strerror or error}") from error
    if not files:
        raise VolumeError(f"{path} holds no DICOM files")
    if len(files) > SLICES_MAX:
        raise VolumeError(f"{path} holds {len(files)} files; allowed are {SLICES_MAX}")
    return files


def _begins_like_dicom(file: Path) -> bool:
    with file.open("rb") as handle:
        return handle.read(132)[128:] == b"DICM"


def _check_bytes(path: Path, files: list[Path]) -> None:
    """Refuse a series by what its headers say, before a pixel of it is unpacked."""
    pixels = 0
    for number, file in enumerate(files, start=1):
        dataset = _opened(file, pixels=False)
        rows, columns = (_whole(dataset, name, file) for name in ("Rows", "Columns"))
        if min(rows, columns) < SIDE_MIN_PX or max(rows, columns) > SIDE_MAX_PX:
            raise VolumeError(f"{file} has {rows} x {columns} pixels")
        bits = _whole(dataset, "BitsAllocated", file)
        if not 1 <= bits <= 32:
            raise VolumeError(f"{file} has {bits} bits a pixel; allowed are 1 to 32")
        pixels += rows * columns
        # A slice is worked on as float32.
        check_volume_bytes(f"{path}, its first {number} files,", (pixels,), 4)


def _whole(dataset: pydicom.Dataset, name: str, file: Path) -> int:
    try:
        value = dataset.get(name)
    # An element is taken apart only when it is asked for, and then fails in any way.
    except Exception as error:
        raise VolumeError(f"{file}: its {name} is damaged ({type(error).__name__})") from error
    if not isinstance(value, int):
        raise VolumeError(f"{file}: a DICOM element is missing ({name})")
    return int(value)


def _opened(path: Path, *, pixels: bool) -> pydicom.Dataset:
    """Read one file's elements, with or without the packed pixels.

    Raises:
        VolumeError: It is empty, too large, packed or unpacked, or not readable.
    """
    try:
        size = path.stat().st_size
        if size == 0:
            raise VolumeError(f"{path} is empty")
        if size > FILE_BYTES_MAX:
            raise VolumeError(f"{path} is larger than {FILE_BYTES_MAX} bytes")
        with warnings.catch_warnings():
            # pydicom warns about oddities of vendors that do not touch what is read here.
            warnings.simplefilter("ignore")
            with path.open("rb") as file:
                # pydicom itself would inflate the whole file, whatever comes out.
                elements = _inflated(file)
            if elements is None and _is_deflated(path):
                raise VolumeError(f"{path} is a deflated DICOM file without the usual header")
            return pydicom.dcmread(
                path if elements is None else elements, stop_before_pixels=not pixels
            )
    except VolumeError:
        raise
    except TooManyBytesError as error:
        raise VolumeError(f"{path} is a deflated DICOM file: {error}") from error
    # Damaged files fail anywhere in the parser, with errors of every kind.
    except Exception as error:
        raise VolumeError(
            f"{path} is not a readable DICOM file ({type(error).__name__})"
        ) from error


def _is_deflated(path: Path) -> bool:
    """Return whether pydicom would inflate the file by itself."""
    meta = read_file_meta_info(path)
    return str(meta.get("TransferSyntaxUID", "")) == str(DeflatedExplicitVRLittleEndian)


def _inflated(file: BinaryIO) -> BytesIO | None:
    """Return a deflated file as one that is not, or nothing where it is no deflated file.

    The meta information stays as long as it is: explicit VR, little-endian (PS3.5, A.5) is what
    comes out of a deflated data set, and its name is padded with zeros (PS3.5, 9.1).
    """
    beginning = file.read(_META_BYTES_MAX)
    if beginning[128:132] != b"DICM":
        return None
    group, element, kind, two = struct.unpack_from("<HH2sH", beginning, 132)
    if (group, element, kind, two) != (2, 0, b"UL", 4):
        return None
    end = 144 + int(struct.unpack_from("<I", beginning, 140)[0])
    name = DeflatedExplicitVRLittleEndian.encode("ascii")
    place = beginning.find(b"\x02\x00\x10\x00UI", 144, min(end, len(beginning)))
    if place < 0:
        return None
    length = struct.unpack_from("<H", beginning, place + 6)[0]
    if beginning[place + 8 : place + 8 + length].rstrip(b"\0 ") != name:
        return None
    if end > len(beginning):
        raise VolumeError(f"{file.name}: its meta information has {end} bytes")
    plain = ExplicitVRLittleEndian.encode("ascii").ljust(length, b"\0")
    meta = beginning[: place + 8] + plain + beginning[place + 8 + length : end]
    file.seek(end)
    return BytesIO(meta + inflate(file, INFLATED_BYTES_MAX))


def _read_slice(path: Path) -> _Slice:
    try:
        dataset = _opened(path, pixels=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _checked_slice(path, dataset)
    except VolumeError:
        raise
    except (AttributeError, KeyError) as error:
        raise VolumeError(f"{path}: a DICOM element is missing ({error})") from error
    # Damaged files fail anywhere in the parser or the decoders, with errors of every kind.
    except Exception as error:
        raise VolumeError(
            f"{path} is not a readable DICOM file ({type(error).__name__})"
        ) from error


def _checked_slice(path: Path, dataset: pydicom.Dataset) -> _Slice:
    if str(dataset.get("Modality", "")) != "CT":
        raise VolumeError(f"{path} is of modality {str(dataset.get('Modality', ''))!r}, not CT")
    if int(dataset.get("NumberOfFrames", 1) or 1) != 1:
        raise VolumeError(
            f"{path} is a multi-frame file", "Export the series as one file for each slice."
        )
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    if min(rows, columns) < SIDE_MIN_PX or max(rows, columns) > SIDE_MAX_PX:
        raise VolumeError(f"{path} has {rows} x {columns} pixels")
    if int(dataset.SamplesPerPixel) != 1 or dataset.PhotometricInterpretation != "MONOCHROME2":
        raise VolumeError(f"{path} is not a grey CT slice ({dataset.PhotometricInterpretation})")
    kind = str(dataset.get("RescaleType", "HU") or "HU")
    # "US" (unspecified) is what some scanners write for HU.
    if kind not in ("HU", "US"):
        raise VolumeError(f"{path} holds levels of type {kind!r}, not Hounsfield units")
    if "RescaleSlope" not in dataset or "RescaleIntercept" not in dataset:
        raise VolumeError(f"{path} has no RescaleSlope and RescaleIntercept, so no HU")
    for keyword in ("ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing"):
        if dataset.get(keyword) is None:
            raise VolumeError(f"{path} has no {keyword}, so its place in the patient is unknown")
    orientation = np.array([float(part) for part in dataset.ImageOrientationPatient])
    position = np.array([float(part) for part in dataset.ImagePositionPatient])
    spacing = [float(part) for part in dataset.PixelSpacing]
    if orientation.shape != (6,) or position.shape != (3,) or len(spacing) != 2:
        raise VolumeError(f"{path}: its orientation, position or spacing has a wrong length")
    right, down = orientation[:3], orientation[3:]
    numbers = np.array([*orientation, *position, *spacing])
    if not np.isfinite(numbers).all() or min(spacing) <= 0:
        raise VolumeError(f"{path}: its orientation, position or spacing is no number")
    if (
        abs(np.linalg.norm(right) - 1) > 0.01
        or abs(np.linalg.norm(down) - 1) > 0.01
        or abs(right @ down) > 0.01
    ):
        raise VolumeError(f"{path}: its ImageOrientationPatient is no pair of right angles")
    slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
    if not (np.isfinite(slope) and np.isfinite(intercept)) or slope == 0:
        raise VolumeError(f"{path}: RescaleSlope {slope} and RescaleIntercept {intercept}")
    stored = dataset.pixel_array
    if stored.shape != (rows, columns):
        raise VolumeError(f"{path}: its pixels have the shape {stored.shape}")
    hu = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    padding = dataset.get("PixelPaddingValue")
    if padding is not None and not isinstance(padding, bytes):
        hu[stored == int(padding)] = _PADDING_HU
    thickness = dataset.get("SliceThickness")
    return _Slice(
        path=path,
        series=str(dataset.get("SeriesInstanceUID", "")),
        frame=str(dataset.get("FrameOfReferenceUID", "")),
        orientation=orientation,
        position=position,
        spacing_mm=(spacing[0], spacing[1]),
        thickness_mm=float(thickness) if thickness else 1.0,
        hu=np.maximum(hu, _PADDING_HU),
    )


def _check_same_series(first: _Slice, other: _Slice) -> None:
    def refuse(what: str) -> VolumeError:
        return VolumeError(
            f"{first.path.name} and {other.path.name} in {first.path.parent} have different {what}",
            "Put each series into a folder of its own.",
        )

    if other.series != first.series:
        raise refuse("series (SeriesInstanceUID)")
    if other.frame != first.frame:
        raise refuse("frames of reference (FrameOfReferenceUID)")
    if other.hu.shape != first.hu.shape:
        raise refuse("sizes (Rows, Columns)")
    if float(np.abs(other.orientation - first.orientation).max()) > _ORIENTATION:
        raise refuse("orientations (ImageOrientationPatient)")
    if max(abs(a - b) for a, b in zip(other.spacing_mm, first.spacing_mm, strict=True)) > 1e-3:
        raise refuse("spacings (PixelSpacing)")


def _step(slices: list[_Slice], normal: NDArray[np.float64], path: Path) -> NDArray[np.float64]:
    """Return the vector from one slice to the next, mm, the same for all (checked)."""
    if len(slices) == 1:
        return np.asarray(normal * max(slices[0].thickness_mm, 0.05))
    positions = np.stack([one.position for one in slices])
    gaps = np.diff(positions @ normal)
    usual = float(np.median(gaps))
    pairs = [
        f"{below.path.name} and {above.path.name} in {path}"
        for below, above in itertools.pairwise(slices)
    ]
    # First, because a slice that is there twice may leave a gap where it belongs.
    for pair, gap in zip(pairs, gaps.tolist(), strict=True):
        if gap < 0.01:
            raise VolumeError(f"{pair} lie at the same place", "Keep one of the two slices.")
    for pair, gap in zip(pairs, gaps.tolist(), strict=True):
        if gap > 1.5 * usual:
            raise VolumeError(
                f"a slice is missing between {pair}: they are {gap:.2f} mm apart, the others "
                f"{usual:.2f} mm"
            )
        if abs(gap - usual) > _POSITION_MM + 0.01 * usual:
            raise VolumeError(
                f"{pair} are {gap:.2f} mm apart, the others {usual:.2f} mm",
                "Choose a reconstruction with one slice distance.",
            )
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    straight = positions[0] + np.arange(len(slices))[:, None] * step
    off = np.linalg.norm(positions - straight, axis=1)
    if float(off.max()) > 1.0 + 2 * _POSITION_MM:
        place = int(off.argmax())
        raise VolumeError(
            f"{slices[place].path} lies {off[place]:.1f} mm off the line of its series"
        )
    return np.asarray(step)


def _upright(
    voxels: NDArray[np.float32], lps: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Flip axes so that columns run to the left, rows to the back and slices to the head.

    Axial series hold the patient's x along columns or rows; where rows and columns are
    exchanged they are exchanged back.
    """
    affine = lps.copy()
    if abs(affine[0, 0]) < abs(affine[0, 1]):
        voxels = voxels.transpose(0, 2, 1)
        affine[:, [0, 1]] = affine[:, [1, 0]]
    for axis in range(3):
        if affine[axis, axis] < 0:
            length = voxels.shape[2 - axis]
            voxels = np.flip(voxels, 2 - axis)
            affine[:3, 3] += affine[:3, axis] * (length - 1)
            affine[:3, axis] *= -1
    return np.ascontiguousarray(voxels), affine
