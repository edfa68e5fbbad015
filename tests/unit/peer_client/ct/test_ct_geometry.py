"""Hounsfield units and geometry agree with SimpleITK (ITK, GDCM) and dcm2niix on drawn series."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - the name that its documentation uses
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage, generate_uid

from peer_client.ct.errors import VolumeError
from peer_client.ct.volume import CtVolume, spacing_of
from peer_client.ct.volume_files import read_volume

HU = 1.0
MM = 1e-3
#: From DICOM's axes (left, back, head) to those of NIfTI (right, front, head).
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def by_simpleitk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return HU `(z, y, x)` and the affine (RAS), as ITK reads a series or a NIfTI file."""
    if path.is_dir():
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
        image = reader.Execute()
    else:
        image = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image), TO_RAS @ affine


def by_dcm2niix(folder: Path, output: Path) -> tuple[np.ndarray, np.ndarray, float]:
    """Return values `(x, y, z)`, the affine (RAS) and mm3 of a voxel, as dcm2niix converts."""
    output.mkdir()
    program = "import dcm2niix, sys; sys.exit(dcm2niix.main(sys.argv[1:]).returncode)"
    subprocess.run(
        [sys.executable, "-c", program, "-b", "n", "-z", "n", "-f", "out", "-o", output, folder],
        check=False,  # of a tilted series it says that it cannot straighten it, and converts it
        capture_output=True,
        timeout=60,
    )
    image = nibabel.load(output / "out.nii")
    voxel_mm3 = float(np.prod(image.header.get_zooms()[:3]))
    return np.asarray(image.dataobj), image.affine, voxel_mm3


def same_places(volume: CtVolume, values: np.ndarray, affine: np.ndarray) -> None:
    """Check that both say the same HU at the same millimetres.

    Args:
        volume: As read here.
        values: Shape `(x, y, z)`, any axes.
        affine: From them to mm, RAS.
    """
    shape = volume.voxels.shape[::-1]
    corners = np.array([(*at, 1) for at in np.ndindex(2, 2, 2)]).T * [[n - 1] for n in (*shape, 2)]
    corners[3] = 1
    there = np.linalg.inv(affine) @ volume.affine @ corners
    assert float(np.abs(there - np.rint(there)).max()) < MM
    assert float(np.abs(affine @ np.rint(there) - volume.affine @ corners).max()) < MM
    chance = np.random.default_rng(0)
    here = np.stack([chance.integers(0, n, 500) for n in shape] + [np.ones(500, int)])
    other = np.rint(np.linalg.inv(affine) @ volume.affine @ here).astype(int)
    off = volume.voxels[here[2], here[1], here[0]] - values[other[0], other[1], other[2]]
    assert float(np.abs(off).max()) <= HU


def oriented(right: list[float], down: list[float], step: list[float]):
    """Return a change that puts slices along a step, with the given axes."""

    def change(dataset, number) -> None:
        dataset.ImageOrientationPatient = [f"{part:.10g}" for part in (*right, *down)]
        place = np.array([-100.0, -80.0, 30.0]) + number * np.array(step)
        dataset.ImagePositionPatient = [f"{part:.10g}" for part in place]
        dataset.PixelSpacing = [1.5, 1.25]

    return change


def tilted(degrees: float):
    angle = np.radians(degrees)
    return oriented([1, 0, 0], [0, np.cos(angle), np.sin(angle)], [0, 0, 5])


STRAIGHT = {
    "on the back": oriented([1, 0, 0], [0, 1, 0], [0, 0, 5]),
    "on the front": oriented([-1, 0, 0], [0, -1, 0], [0, 0, 5]),
    "on the left side": oriented([0, 1, 0], [-1, 0, 0], [0, 0, 5]),
    "from the head down": oriented([1, 0, 0], [0, 1, 0], [0, 0, -2.5]),
    "feet first": oriented([-1, 0, 0], [0, 1, 0], [0, 0, 5]),
    "lying a little askew": oriented(
        [np.cos(0.1), np.sin(0.1), 0], [-np.sin(0.1), np.cos(0.1), 0], [0, 0, 5]
    ),
}


@pytest.mark.parametrize("pose", STRAIGHT)
@pytest.mark.parametrize("scale", [(1, -1024), (0.5, -900.25)], ids=["whole", "halves"])
def test_a_series_is_read_as_simpleitk_reads_it(pose: str, scale, dicom_folder) -> None:
    def change(dataset, number) -> None:
        STRAIGHT[pose](dataset, number)
        dataset.RescaleSlope, dataset.RescaleIntercept = scale

    folder = dicom_folder(change=change)

    values, affine = by_simpleitk(folder)
    same_places(read_volume(folder), np.maximum(values, -1024).transpose(2, 1, 0), affine)


@pytest.mark.parametrize("pose", ["on the back", "on the front", "from the head down"])
def test_a_series_is_read_as_dcm2niix_converts_it(pose: str, dicom_folder, tmp_path) -> None:
    folder = dicom_folder(change=STRAIGHT[pose])

    values, affine, voxel_mm3 = by_dcm2niix(folder, tmp_path / "out")
    volume = read_volume(folder)

    same_places(volume, values, affine)
    assert volume.voxel_mm3 == pytest.approx(voxel_mm3, rel=1e-5)


@pytest.mark.parametrize("degrees", [-30, 12.5, 20, 30])
def test_a_tilted_gantry_shrinks_voxels_as_dcm2niix_says(degrees, dicom_folder, tmp_path) -> None:
    folder = dicom_folder(change=tilted(degrees))

    _, _, voxel_mm3 = by_dcm2niix(folder, tmp_path / "out")
    volume = read_volume(folder)

    assert volume.voxel_mm3 == pytest.approx(1.5 * 1.25 * 5 * np.cos(np.radians(degrees)), rel=1e-6)
    assert volume.voxel_mm3 == pytest.approx(voxel_mm3, rel=1e-5)
    assert np.prod(volume.spacing_mm) == pytest.approx(volume.voxel_mm3)
    assert volume.spacing_mm == pytest.approx((5 * np.cos(np.radians(degrees)), 1.5, 1.25))


@pytest.mark.parametrize(
    "shear",
    [
        [[0, 0, 0.3], [0, 0, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 0, -0.5], [0, 0, 0]],
        [[0, 0.4, 0], [0, 0, 0], [0, 0, 0]],
        [[0, 0.2, 0.1], [0.1, 0, 0.2], [0, 0, 0]],
    ],
)
def test_a_sheared_nifti_has_voxels_of_its_determinant(shear, tmp_path, scan) -> None:
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) + np.array(shear)) @ np.diag([-0.7, -0.8, 2.5])
    image = nibabel.Nifti1Image(scan[0].voxels.transpose(2, 1, 0), affine)
    nibabel.save(image, tmp_path / "scan.nii")

    volume = read_volume(tmp_path / "scan.nii")

    assert volume.voxel_mm3 == pytest.approx(abs(np.linalg.det(affine)), rel=1e-5)
    assert np.prod(spacing_of(volume.affine)) == pytest.approx(volume.voxel_mm3, rel=1e-5)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_nifti_is_read_as_simpleitk_reads_it(dtype, tmp_path, scan) -> None:
    affine = np.diag([-0.75, 0.75, 3.0, 1.0])
    affine[:3, 3] = [100, -120, 40]
    values = scan[0].voxels.transpose(2, 1, 0).astype(np.float64)
    image = nibabel.Nifti1Image((values + 1024).astype(dtype), affine)
    image.header.set_slope_inter(1.0, -1024.0)
    nibabel.save(image, tmp_path / "scan.nii.gz")

    volume = read_volume(tmp_path / "scan.nii.gz")

    theirs, placed = by_simpleitk(tmp_path / "scan.nii.gz")
    assert volume.voxels.dtype == np.int16
    same_places(volume, theirs.transpose(2, 1, 0), placed)


#: What a file of many frames says of each frame.
OF_FRAMES = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "RescaleSlope",
    "RescaleIntercept",
    "InstanceNumber",
)


def enhanced(folder: Path, *, frames: slice = slice(None), shuffled: bool = True) -> Path:
    """Put the slices of a series into one file of many frames (Enhanced CT)."""
    slices = [dcmread(file) for file in sorted(folder.glob("*.dcm"))][frames]
    if shuffled:
        slices = [slices[at] for at in np.random.default_rng(3).permutation(len(slices))]
    first = slices[0]
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = first.PixelSpacing, first.SliceThickness
    orientation.ImageOrientationPatient = first.ImageOrientationPatient
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([orientation])
    groups = []
    for each in slices:
        group, position, rescale = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = each.ImagePositionPatient
        rescale.RescaleSlope, rescale.RescaleIntercept = each.RescaleSlope, each.RescaleIntercept
        rescale.RescaleType = "HU"
        group.PlanePositionSequence = Sequence([position])
        group.PixelValueTransformationSequence = Sequence([rescale])
        groups.append(group)
    pixels = b"".join(each.PixelData for each in slices)
    for keyword in OF_FRAMES:
        delattr(first, keyword)
    first.SOPClassUID = first.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    first.SOPInstanceUID = first.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    first.NumberOfFrames = len(slices)
    first.SharedFunctionalGroupsSequence = Sequence([shared])
    first.PerFrameFunctionalGroupsSequence = Sequence(groups)
    first.PixelData = pixels
    target = folder.parent / f"enhanced_{folder.name}"
    target.mkdir(exist_ok=True)
    path = target / f"{len(list(target.iterdir()))}.dcm"
    dcmwrite(path, first, enforce_file_format=True)
    return path


def test_a_file_of_many_frames_is_read_as_its_slices_are(dicom_folder, scan) -> None:
    folder = dicom_folder(change=tilted(10))

    whole = read_volume(enhanced(folder))

    np.testing.assert_array_equal(whole.voxels, scan[0].voxels[::-1])
    np.testing.assert_allclose(whole.affine, read_volume(folder).affine)


def test_each_frame_is_rescaled_by_its_own_slope(dicom_folder, scan) -> None:
    def change(dataset, number) -> None:
        stored = np.frombuffer(dataset.PixelData, "<u2").astype(np.int32)
        dataset.PixelData = (stored * (1 + number % 2)).astype("<u2").tobytes()
        dataset.RescaleSlope = 1 / (1 + number % 2)

    volume = read_volume(enhanced(dicom_folder(change=change)))

    np.testing.assert_array_equal(volume.voxels, scan[0].voxels[::-1])


def test_a_series_in_two_files_of_many_frames_is_one_volume(dicom_folder, scan) -> None:
    folder = dicom_folder()
    enhanced(folder, frames=slice(0, 3))
    path = enhanced(folder, frames=slice(3, None))

    np.testing.assert_array_equal(read_volume(path.parent).voxels, scan[0].voxels[::-1])
    path.unlink()
    assert read_volume(path.parent).voxels.shape[0] == 3


def test_a_frame_that_is_missing_or_there_twice_is_named(dicom_folder) -> None:
    path = enhanced(dicom_folder(), shuffled=False)
    dataset = dcmread(path)
    dataset.PerFrameFunctionalGroupsSequence[4].PlanePositionSequence[0].ImagePositionPatient = (
        dataset.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence[0].ImagePositionPatient
    )
    dcmwrite(path, dataset)

    with pytest.raises(VolumeError, match=r"0\.dcm frame [45] .*lie at the same place"):
        read_volume(path)


def test_fewer_frames_than_a_file_says_are_refused(dicom_folder) -> None:
    path = enhanced(dicom_folder())
    dataset = dcmread(path)
    dataset.PixelData = dataset.PixelData[: 5 * 64 * 64 * 2]
    dcmwrite(path, dataset)

    with pytest.raises(VolumeError, match=r"0\.dcm"):
        read_volume(path)
