"""Read a DICOM CT series: slices ordered by geometry, levels in Hounsfield units.

Slices are put in order by their place along the normal of the image plane (DICOM PS3.3,
C.7.6.2.1.1), never by file name or instance number, and levels are rescaled by each frame's own
slope and intercept (C.11.1). A file has one slice, or many (Enhanced CT, A.38, with the geometry
of each frame in its functional groups, C.7.6.16). Refused, and named: files of several series in
one folder, mixed orientation, size, spacing or frame of reference, a slice that is missing or there
twice, slices that are not axial, anything but CT, levels that are not Hounsfield units.

MONOCHROME1 says that the least value is shown white. Some programs write Hounsfield units all the
same and others inverted values; the one of the two that shows air and tissue is read.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray

from peer_client.ct.dicom_files import DicomFile, read_elements, reading
from peer_client.ct.dicom_pixels import PixelFormat, pixel_format, stored_frames
from peer_client.ct.errors import VolumeError
from peer_client.ct.folder_input import PassedOver, folder_input
from peer_client.ct.image import SIDE_MAX_PX, SIDE_MIN_PX
from peer_client.ct.volume import (
    SLICES_MAX,
    CtVolume,
    check_volume_bytes,
    checked_volume,
    is_hounsfield,
    whole_hu,
)

#: Scanners round positions to 0.01 to 0.1 mm; a real change of spacing is larger.
_POSITION_MM: Final = 0.15
_ORIENTATION: Final = 1e-3
#: Cosine to the body's long axis; a tilted gantry reaches 30 degrees, a coronal series 90.
AXIAL_COSINE: Final = 0.8
_PADDING_HU: Final = -1024
_AIR_HU: Final = (-1100.0, -300.0)
_TISSUE_HU: Final = (-200.0, 300.0)
#: Objects about a series, without a CT's pixels (PS3.4, B.5), by how their class begins.
_NOT_IMAGES: Final = {
    "1.2.840.10008.1.3.10": "the directory of a DICOM medium",
    "1.2.840.10008.5.1.4.1.1.7": "a secondary capture",
    "1.2.840.10008.5.1.4.1.1.9": "a waveform",
    "1.2.840.10008.5.1.4.1.1.11": "a presentation state",
    "1.2.840.10008.5.1.4.1.1.66": "a segmentation or registration",
    "1.2.840.10008.5.1.4.1.1.67": "a mapping of values",
    "1.2.840.10008.5.1.4.1.1.88.67": "a report of radiation dose",
    "1.2.840.10008.5.1.4.1.1.88": "a structured report",
    "1.2.840.10008.5.1.4.1.1.104": "an encapsulated document",
    "1.2.840.10008.5.1.4.1.1.481": "an object of radiotherapy",
}


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    """Where one slice lies and how its values become HU, checked.

    Attributes:
        path: Its file.
        frame: Its number in the file, from 0.
        frames: How many the file has.
    """

    path: Path
    frame: int
    frames: int
    series: str
    reference: str
    orientation: NDArray[np.float64]
    position: NDArray[np.float64]
    spacing_mm: tuple[float, float]
    thickness_mm: float
    size_px: tuple[int, int]
    slope: float
    intercept: float

    @property
    def name(self) -> str:
        """File name, with the frame where the file has several."""
        return self.path.name if self.frames == 1 else f"{self.path.name} frame {self.frame + 1}"


def read_dicom(path: Path) -> CtVolume:
    """Read a series.

    Args:
        path: A folder whose DICOM files are one series, or a single DICOM file. What else lies
            in the folder is passed over by the rule of `peer_client.ct.folder_input`, and so are
            localizers and objects that are no images.

    Returns:
        The volume, slices from the feet to the head, columns to the patient's left, rows to the
        back (whatever way the patient lay).

    Raises:
        VolumeError: See the module; the message names the file.
    """
    paths, passed = _paths(path)
    return read_series(paths, path, passed)


def read_series(
    paths: Sequence[Path], path: Path, passed_over: Sequence[PassedOver] = ()
) -> CtVolume:
    """Read the files of a series, wherever they lie.

    Args:
        paths: The files.
        path: What error messages call them.
        passed_over: What was passed over on the way to them.

    Raises:
        VolumeError: See the module.
    """
    files, passed = _images(path, paths, list(passed_over))
    forms = _formats(path, files)
    slices = [
        one for file, form in zip(files, forms, strict=True) for one in _slices_of(file, form)
    ]
    first = slices[0]
    for other in slices[1:]:
        _check_same_series(first, other)
    right, down = first.orientation[:3], first.orientation[3:]
    normal = np.cross(right, down)
    if abs(normal[2]) < AXIAL_COSINE:
        raise VolumeError(
            f"{path} is not an axial series (its normal is {np.round(normal, 2).tolist()})",
            "Choose the axial reconstruction of the study.",
        )
    order = sorted(range(len(slices)), key=lambda row: float(slices[row].position @ normal))
    ordered = [slices[row] for row in order]
    # From (x, y, z) voxels to mm: DICOM's axes point left and back (LPS), ours right and front.
    lps = np.eye(4)
    lps[:3, 0] = right * first.spacing_mm[1]
    lps[:3, 1] = down * first.spacing_mm[0]
    lps[:3, 2] = _step(ordered, normal, path)
    lps[:3, 3] = ordered[0].position
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    voxels = _hounsfield(files, forms, slices, places)
    voxels, lps = _upright(voxels, lps)
    return checked_volume(
        voxels,
        np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps,
        is_hu=True,
        source="dicom",
        name=str(path),
        passed_over=tuple(str(each) for each in passed),
    )


def _paths(path: Path) -> tuple[Sequence[Path], list[PassedOver]]:
    """Return the DICOM files that a path names, and what lies beside them."""
    try:
        if path.is_file():
            return [path], []
        found = folder_input(path)
    except OSError as error:
        raise VolumeError(f"cannot read {path}: {error.strerror or error}") from error
    if not found.dicom:
        deeper = "Its subfolders are not entered: `hospital-client data import` sorts an export."
        raise VolumeError(f"{path} holds no DICOM files", deeper if _has_folders(path) else None)
    if len(found.dicom) > SLICES_MAX:
        raise VolumeError(f"{path} holds {len(found.dicom)} files; allowed are {SLICES_MAX}")
    return found.dicom, list(found.passed_over)


def _has_folders(path: Path) -> bool:
    return any(each.is_dir() for each in path.iterdir())


def _images(
    path: Path, paths: Iterable[Path], passed: list[PassedOver]
) -> tuple[list[DicomFile], list[PassedOver]]:
    """Read the elements of files; pass over those that are no slices."""
    files = []
    for each in paths:
        file = read_elements(each)
        with reading(each):
            reason = not_a_slice(file.elements)
        if reason:
            passed.append(PassedOver(each.name, reason))
        else:
            files.append(file)
    if not files:
        raise VolumeError(f"{path} holds no CT slices: {passed[0] if passed else 'it is empty'}")
    return files, passed


def not_a_slice(elements: pydicom.Dataset) -> str:
    """Return why a DICOM object is no slice of a series, a short clause, or an empty text."""
    sop_class = str(elements.get("SOPClassUID", ""))
    for begin, reason in _NOT_IMAGES.items():
        if sop_class == begin or sop_class.startswith(begin + "."):
            return reason
    kinds = elements.get("ImageType")
    if kinds is not None and not isinstance(kinds, str) and "LOCALIZER" in list(kinds)[2:]:
        return "a localizer"
    return ""


def _formats(path: Path, files: Sequence[DicomFile]) -> list[PixelFormat]:
    """Refuse a series by what its headers say, before a pixel of it is unpacked."""
    forms = []
    pixels = frames = 0
    for number, file in enumerate(files, start=1):
        with reading(file.path):
            modality = str(file.elements.get("Modality", ""))
            count = int(file.elements.get("NumberOfFrames", 1) or 1)
        if modality != "CT":
            raise VolumeError(f"{file.path} is of modality {modality!r}, not CT")
        rows, columns = file.whole("Rows"), file.whole("Columns")
        if min(rows, columns) < SIDE_MIN_PX or max(rows, columns) > SIDE_MAX_PX:
            raise VolumeError(f"{file.path} has {rows} x {columns} pixels")
        if count < 1:
            raise VolumeError(f"{file.path} has {count} frames")
        if count > 1 and "PerFrameFunctionalGroupsSequence" not in file.elements:
            raise VolumeError(
                f"{file.path} is a multi-frame file that does not say where its frames lie",
                "Export the series as one file for each slice.",
            )
        frames += count
        if frames > SLICES_MAX:
            raise VolumeError(f"{path} has {frames} and more slices; allowed are {SLICES_MAX}")
        pixels += rows * columns * count
        # A series is held as whole HU in 16 bits.
        check_volume_bytes(f"{path}, its first {number} files,", (pixels,), 2)
        forms.append(pixel_format(file, frames=count))
    return forms


def _slices_of(file: DicomFile, form: PixelFormat) -> list[_Slice]:
    """Return where the slices of a file lie."""
    with reading(file.path):
        return [_checked_slice(file, form, frame) for frame in range(form.frames)]


def _element(file: DicomFile, frame: int, group: str, keyword: str) -> Any:
    """Return an element of a frame: its own, the one that frames share, or the file's."""
    for holder, number in (("PerFrame", frame), ("Shared", 0)):
        groups = file.elements.get(f"{holder}FunctionalGroupsSequence")
        if groups is not None and number < len(groups):
            inner = groups[number].get(group)
            if inner:
                value = inner[0].get(keyword)
                if value is not None:
                    return value
    return file.elements.get(keyword)


def _checked_slice(file: DicomFile, form: PixelFormat, frame: int) -> _Slice:
    path = file.path
    rescale = "PixelValueTransformationSequence"
    # "US" (unspecified) is what some scanners write for HU.
    kind = str(_element(file, frame, rescale, "RescaleType") or "HU").strip()
    if kind.upper() not in ("HU", "US"):
        raise VolumeError(f"{path} holds levels of type {kind!r}, not Hounsfield units")
    slope = _element(file, frame, rescale, "RescaleSlope")
    intercept = _element(file, frame, rescale, "RescaleIntercept")
    if slope is None or intercept is None:
        raise VolumeError(f"{path} has no RescaleSlope and RescaleIntercept, so no HU")
    slope, intercept = float(slope), float(intercept)
    if not (np.isfinite(slope) and np.isfinite(intercept)) or slope == 0:
        raise VolumeError(f"{path}: RescaleSlope {slope} and RescaleIntercept {intercept}")
    found = {}
    for group, keyword in (
        ("PlaneOrientationSequence", "ImageOrientationPatient"),
        ("PlanePositionSequence", "ImagePositionPatient"),
        ("PixelMeasuresSequence", "PixelSpacing"),
    ):
        found[keyword] = _element(file, frame, group, keyword)
        if found[keyword] is None:
            raise VolumeError(f"{path} has no {keyword}, so its place in the patient is unknown")
    orientation = np.array([float(part) for part in found["ImageOrientationPatient"]])
    position = np.array([float(part) for part in found["ImagePositionPatient"]])
    spacing = [float(part) for part in found["PixelSpacing"]]
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
    thickness = _element(file, frame, "PixelMeasuresSequence", "SliceThickness")
    return _Slice(
        path=path,
        frame=frame,
        frames=form.frames,
        series=str(file.elements.get("SeriesInstanceUID", "")),
        reference=str(file.elements.get("FrameOfReferenceUID", "")),
        orientation=orientation,
        position=position,
        spacing_mm=(spacing[0], spacing[1]),
        thickness_mm=float(thickness) if thickness else 1.0,
        size_px=(form.rows, form.columns),
        slope=slope,
        intercept=intercept,
    )


def _hounsfield(
    files: Sequence[DicomFile],
    forms: Sequence[PixelFormat],
    slices: Sequence[_Slice],
    places: NDArray[np.int64],
) -> NDArray[np.int16]:
    """Unpack all frames, one at a time, and put each at its place.

    Returns:
        int16, shape `(slices, rows, columns)`, HU; padding is -1024.
    """
    inverted = any(form.inverted for form in forms)
    shape = (len(slices), *slices[0].size_px)
    if inverted:  # held in full until it is known how they are meant
        check_volume_bytes(f"{files[0].path.parent}, MONOCHROME1,", shape, 4)
    voxels: NDArray[Any] = np.empty(shape, np.float32 if inverted else np.int16)
    inverse = np.zeros(len(slices))
    row = 0
    for file, form in zip(files, forms, strict=True):
        for values, padding in stored_frames(file, form):
            one, place = slices[row], places[row]
            hu = values * one.slope + one.intercept
            if padding is not None:
                hu[padding] = _PADDED
            voxels[place] = hu if inverted else whole_hu(hu)
            inverse[place] = one.slope * form.inverse + 2 * one.intercept
            row += 1
    if inverted:
        _invert_where_it_shows_a_body(voxels, inverse, files[0].path)
    voxels = whole_hu(voxels)
    return np.maximum(voxels, _PADDING_HU, out=voxels)


def _invert_where_it_shows_a_body(
    levels: NDArray[np.float32], inverse: NDArray[np.float64], path: Path
) -> None:
    """Read a MONOCHROME1 series as what it is: HU, or inverted HU (in place)."""
    as_written, inverted = np.zeros(2), np.zeros(2)
    for plane, total in zip(levels, inverse.tolist(), strict=True):
        known = plane[plane != _PADDED]
        as_written += _air_and_tissue(known)
        inverted += _air_and_tissue(total - known)
    if not is_hounsfield(levels.size, int(max(as_written.min(), inverted.min()))):
        raise VolumeError(
            f"{path.parent} is written as MONOCHROME1 and shows no air and tissue, inverted or not",
            "Export the series as MONOCHROME2.",
        )
    if inverted.min() > as_written.min():
        for plane, total in zip(levels, inverse.tolist(), strict=True):
            plane[plane != _PADDED] = total - plane[plane != _PADDED]


def _air_and_tissue(hu: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Count the levels of air or lung, and those of fat, muscle and blood."""
    counts = [((hu >= low) & (hu <= high)).sum() for low, high in (_AIR_HU, _TISSUE_HU)]
    return np.array(counts, np.float64)


#: Marks padding until all is read; below any HU.
_PADDED: Final = -32768.0


def _check_same_series(first: _Slice, other: _Slice) -> None:
    def refuse(what: str) -> VolumeError:
        return VolumeError(
            f"{first.name} and {other.name} in {first.path.parent} have different {what}",
            "Put each series into a folder of its own: `hospital-client data import` does it.",
        )

    if other.series != first.series:
        raise refuse("series (SeriesInstanceUID)")
    if other.reference != first.reference:
        raise refuse("frames of reference (FrameOfReferenceUID)")
    if other.size_px != first.size_px:
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
        f"{below.name} and {above.name} in {path}" for below, above in itertools.pairwise(slices)
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
    voxels: NDArray[np.int16], lps: NDArray[np.float64]
) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
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
