from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from peer_client.ct.errors import CacheError, MaskError, VolumeError
from peer_client.ct.nifti import write_nifti
from peer_client.ct.normalise import to_network_input
from peer_client.ct.volume_files import read_mask_of, read_volume


def edit_dicom(path: Path, change) -> None:
    """Change one written file."""
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path, enforce_file_format=True)


def test_a_dicom_series_is_ordered_by_geometry_not_by_name(dicom_folder, scan) -> None:
    names = [f"{number:03d}.dcm" for number in (5, 2, 7, 0, 3, 1, 6, 4)]

    volume = read_volume(dicom_folder(names=names))

    np.testing.assert_array_equal(volume.voxels, scan[0].voxels[::-1])
    assert volume.voxels.dtype == np.int16
    assert volume.is_hu
    assert volume.spacing_mm == pytest.approx(scan[0].spacing_mm)
    assert volume.source == "dicom"


def test_the_affine_of_a_series_puts_its_first_voxel_where_dicom_says(dicom_folder, scan) -> None:
    volume = read_volume(dicom_folder())

    # DICOM's x and y point left and back, the affine's right and front.
    np.testing.assert_allclose(volume.affine @ [0, 0, 0, 1], [100, 80, 0, 1])
    z, y, x = scan[0].spacing_mm
    np.testing.assert_allclose(np.diag(volume.affine), [-x, -y, z, 1], rtol=1e-6)


def test_each_file_is_rescaled_by_its_own_slope_and_intercept(dicom_folder, scan) -> None:
    def change(dataset, number) -> None:
        if number == 3:
            stored = np.frombuffer(dataset.PixelData, "<u2").astype(np.int32)
            dataset.PixelData = (stored * 2).astype("<u2").tobytes()
            dataset.RescaleSlope = 0.5

    volume = read_volume(dicom_folder(change=change))

    np.testing.assert_array_equal(volume.voxels, scan[0].voxels[::-1])


def test_padding_becomes_air(dicom_folder) -> None:
    def change(dataset, number) -> None:
        dataset.PixelPaddingValue = 63536
        stored = np.frombuffer(dataset.PixelData, "<u2").copy()
        stored[:64] = 63536
        dataset.PixelData = stored.tobytes()

    volume = read_volume(dicom_folder(change=change))

    assert (volume.voxels[:, 0] == -1024).all()
    assert volume.voxels.max() < 3072


def test_a_patient_on_the_front_is_turned_to_lie_on_the_back(dicom_folder, scan) -> None:
    def change(dataset, number) -> None:
        pixels = np.frombuffer(dataset.PixelData, "<u2").reshape(64, 64)[::-1, ::-1]
        dataset.PixelData = pixels.tobytes()
        dataset.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]

    volume = read_volume(dicom_folder(change=change))

    np.testing.assert_array_equal(volume.voxels, scan[0].voxels[::-1])
    assert volume.affine[0, 0] < 0
    assert volume.affine[1, 1] < 0


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda d: setattr(d, "SeriesInstanceUID", "1.2.3"), "different series"),
        (lambda d: setattr(d, "FrameOfReferenceUID", "1.2.3"), "different frames"),
        (lambda d: setattr(d, "PixelSpacing", [0.7, 0.7]), "different spacings"),
        (
            lambda d: setattr(d, "ImageOrientationPatient", [1, 0, 0, 0, 0.995, 0.0998]),
            "different orientations",
        ),
        (lambda d: setattr(d, "Modality", "MR"), "modality 'MR'"),
        (lambda d: setattr(d, "NumberOfFrames", 3), "multi-frame"),
        (lambda d: setattr(d, "PhotometricInterpretation", "RGB"), "not a grey"),
        (lambda d: setattr(d, "RescaleType", "OD"), "not Hounsfield"),
        (lambda d: delattr(d, "RescaleSlope"), "no RescaleSlope"),
        (lambda d: delattr(d, "ImagePositionPatient"), "no ImagePositionPatient"),
        (lambda d: delattr(d, "Rows"), "element is missing"),
        (lambda d: setattr(d, "Rows", 63), r"004\.dcm"),
        (lambda d: delattr(d, "PixelData"), r"004\.dcm"),
        (lambda d: setattr(d, "PixelData", b"\0" * 10), r"004\.dcm"),
        (
            lambda d: setattr(d, "ImagePositionPatient", [-100.0, -80.0, 5 * 37.142857]),
            "same place",
        ),
        (lambda d: setattr(d, "ImagePositionPatient", [-80.0, -80.0, 4 * 37.142857]), "off the"),
    ],
)
def test_a_file_that_does_not_fit_its_series_is_named(dicom_folder, change, what: str) -> None:
    folder = dicom_folder()
    edit_dicom(folder / "004.dcm", change)

    with pytest.raises(VolumeError, match=what) as caught:
        read_volume(folder)

    assert "004.dcm" in str(caught.value) or "005.dcm" in str(caught.value)


def test_a_missing_slice_is_named_by_its_neighbours(dicom_folder) -> None:
    folder = dicom_folder()
    (folder / "003.dcm").unlink()

    with pytest.raises(VolumeError, match=r"missing between 002\.dcm and 004\.dcm"):
        read_volume(folder)


def test_a_coronal_series_is_refused(dicom_folder) -> None:
    def change(dataset, number) -> None:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        dataset.ImagePositionPatient = [-100, number * 2.0, 0]

    with pytest.raises(VolumeError, match="not an axial"):
        read_volume(dicom_folder(change=change))


def test_files_that_are_not_dicom_are_passed_over_unless_they_say_they_are(dicom_folder) -> None:
    folder = dicom_folder()
    (folder / "notes.txt").write_text("no scan")
    (folder / "DICOMDIR").write_bytes(b"x")

    assert read_volume(folder).voxels.shape[0] == 8

    (folder / "999.dcm").write_bytes(b"no scan either")
    with pytest.raises(VolumeError, match=r"999\.dcm"):
        read_volume(folder)


def test_an_empty_folder_and_a_missing_one_are_named(tmp_path) -> None:
    with pytest.raises(VolumeError, match="holds no DICOM"):
        read_volume(tmp_path)
    with pytest.raises(VolumeError, match="does not exist"):
        read_volume(tmp_path / "gone")


def test_a_single_dicom_file_is_a_volume_of_one_slice(dicom_folder) -> None:
    volume = read_volume(dicom_folder() / "002.dcm")

    assert volume.voxels.shape == (1, 64, 64)


@pytest.mark.parametrize("axes", ["LPS", "RAS", "LPI", "RPS"])
def test_nifti_is_turned_the_same_way_whatever_its_axes(tmp_path, scan, axes: str) -> None:
    volume = scan[0]
    path = tmp_path / "scan.nii.gz"
    here = nibabel.orientations.io_orientation(volume.affine)
    turn = nibabel.orientations.ornt_transform(here, nibabel.orientations.axcodes2ornt(axes))
    columns_first = volume.voxels.transpose(2, 1, 0)
    turned = nibabel.orientations.apply_orientation(columns_first, turn)
    affine = volume.affine @ nibabel.orientations.inv_ornt_aff(turn, columns_first.shape)
    nibabel.save(nibabel.Nifti1Image(turned, affine), path)

    read = read_volume(path)

    np.testing.assert_array_equal(read.voxels, volume.voxels[::-1])
    assert read.is_hu
    assert read.axes == axes
    np.testing.assert_allclose(read.spacing_mm, volume.spacing_mm, rtol=1e-5)


def test_what_is_written_lies_voxel_by_voxel_on_the_file_that_was_read(tmp_path, scan) -> None:
    volume, mask = scan
    source = nibabel.Nifti1Image(
        np.ascontiguousarray(volume.voxels.transpose(2, 1, 0))[::-1], np.diag([3.0, -2.0, -7.0, 1])
    )
    nibabel.save(source, tmp_path / "scan.nii")
    read = read_volume(tmp_path / "scan.nii")

    write_nifti(tmp_path / "mask.nii.gz", mask[::-1].copy(), read)

    written = nibabel.load(tmp_path / "mask.nii.gz")
    np.testing.assert_allclose(written.affine, source.affine)
    np.testing.assert_array_equal(
        np.asarray(written.dataobj), np.ascontiguousarray(mask.transpose(2, 1, 0))[::-1]
    )
    assert not list(tmp_path.glob(".*"))


def test_a_mask_in_other_axes_is_brought_to_its_volume(tmp_path, scan) -> None:
    volume, mask = scan
    write_nifti(tmp_path / "mask.nii", mask, volume)
    image = nibabel.load(tmp_path / "mask.nii")
    nibabel.save(nibabel.as_closest_canonical(image), tmp_path / "ras.nii")

    np.testing.assert_array_equal(read_mask_of(tmp_path / "ras.nii", volume), mask)


def test_a_mask_on_another_grid_or_place_is_refused(tmp_path, scan) -> None:
    volume, mask = scan
    moved = volume.affine.copy()
    moved[0, 3] += 5
    columns_first = np.ascontiguousarray(mask.transpose(2, 1, 0))
    nibabel.save(nibabel.Nifti1Image(columns_first[:-1], volume.affine), tmp_path / "small.nii")
    nibabel.save(nibabel.Nifti1Image(columns_first, moved), tmp_path / "moved.nii")
    nibabel.save(nibabel.Nifti1Image(columns_first + 5, volume.affine), tmp_path / "other.nii")

    with pytest.raises(MaskError, match="its volume"):
        read_mask_of(tmp_path / "small.nii", volume)
    with pytest.raises(MaskError, match="elsewhere"):
        read_mask_of(tmp_path / "moved.nii", volume)
    with pytest.raises(MaskError, match="holds the value"):
        read_mask_of(tmp_path / "other.nii", volume)


def test_writing_where_a_folder_cannot_be_is_a_sentence(tmp_path, scan) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CacheError, match="cannot write"):
        write_nifti(tmp_path / "file" / "mask.nii", scan[1], scan[0])


@pytest.mark.parametrize("name", ["mask.nii", "mask.nii.gz"])
def test_what_is_written_is_its_owners_alone(tmp_path, scan, name: str) -> None:
    write_nifti(tmp_path / name, scan[1], scan[0])

    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_grey_nifti_is_not_taken_for_hounsfield_units(tmp_path) -> None:
    grey = np.random.default_rng(0).integers(0, 255, (40, 40, 6)).astype(np.uint8)
    nibabel.save(nibabel.Nifti1Image(grey, np.eye(4)), tmp_path / "grey.nii")

    volume = read_volume(tmp_path / "grey.nii")

    assert not volume.is_hu
    assert volume.voxels.min() == 0
    assert volume.voxels.max() == 1


@pytest.mark.parametrize(
    ("values", "affine", "what"),
    [
        (np.zeros((40, 40, 3, 2), np.int16), np.eye(4), "3 dimensions"),
        (np.zeros((40, 40), np.int16), np.eye(4), "3 dimensions"),
        (np.zeros((40, 40, 3), np.int16), np.eye(4), "blank"),
        (np.full((40, 40, 3), np.nan, np.float32), np.eye(4), "not numbers"),
        (np.ones((40, 40, 3), np.complex64), np.eye(4), "not grey"),
        (np.eye(40, dtype=np.int16)[:, :, None], np.diag([1, 1, 900.0, 1]), "spacing"),
        (np.eye(8, dtype=np.int16)[:, :, None], np.eye(4), "8 x 8"),
        (
            np.eye(40, dtype=np.int16)[:, :, None],
            np.array([[1, -1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
            "obliquely",
        ),
    ],
)
def test_nifti_that_is_no_ct_volume_is_refused(tmp_path, values, affine, what: str) -> None:
    nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / "scan.nii")

    with pytest.raises(VolumeError, match=what):
        read_volume(tmp_path / "scan.nii")


def test_npz_volumes_keep_their_order_and_know_their_units(tmp_path, scan) -> None:
    path = tmp_path / "scan.npz"
    np.savez(path, hu=scan[0].voxels, spacing_mm=np.array(scan[0].spacing_mm), extra=1)

    volume = read_volume(path)

    np.testing.assert_array_equal(volume.voxels, scan[0].voxels)
    assert volume.is_hu
    assert volume.spacing_mm == pytest.approx(scan[0].spacing_mm)


@pytest.mark.parametrize(
    ("arrays", "what"),
    [
        ({"hu": np.zeros((2, 40, 40), np.int16)}, "no array 'spacing_mm'"),
        ({"hu": np.zeros((2, 40, 40), np.int16), "spacing_mm": np.ones(2)}, "three numbers"),
        ({"hu": np.zeros((2, 40, 40), "U3"), "spacing_mm": np.ones(3)}, "not numbers"),
        ({"hu": np.zeros((40, 40), np.int16), "spacing_mm": np.ones(3)}, "2 dimensions"),
        ({"hu": np.array([{}, 1], object), "spacing_mm": np.ones(3)}, "holds objects, not numbers"),
        ({"hu": np.arange(3200).reshape(2, 40, 40), "spacing_mm": np.full(3, np.nan)}, "spacing"),
    ],
)
def test_npz_without_a_volume_is_refused(tmp_path, arrays, what: str) -> None:
    np.savez(tmp_path / "scan.npz", **arrays)

    with pytest.raises(VolumeError, match=what):
        read_volume(tmp_path / "scan.npz")


def test_an_npz_that_would_unpack_to_gigabytes_is_refused_unopened(tmp_path) -> None:
    path = tmp_path / "scan.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("hu.npy", b"\0" * 1000)
    raw = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = raw.index(signature) + offset
        raw[place : place + 4] = (0xFFFFFFF0 + 10).to_bytes(4, "little")
    # Two such members, to be above any limit.
    path.write_bytes(bytes(raw))

    with pytest.raises(VolumeError):
        read_volume(path)


@pytest.mark.parametrize("kind", ["dicom", "nifti", "npz"])
def test_damaged_volumes_give_a_volume_or_a_volume_error(
    tmp_path, scan, dicom_folder, kind
) -> None:
    if kind == "dicom":
        path = dicom_folder() / "000.dcm"
    elif kind == "nifti":
        path = tmp_path / "scan.nii.gz"
        write_nifti(path, scan[0].voxels.astype(np.float32), scan[0])
    else:
        path = tmp_path / "scan.npz"
        buffer = io.BytesIO()
        np.savez_compressed(buffer, hu=scan[0].voxels[:2], spacing_mm=np.ones(3))
        path.write_bytes(buffer.getvalue())
    raw = path.read_bytes()
    rng = random.Random(kind)

    for _ in range(60):
        damaged = bytearray(raw[: rng.randrange(len(raw))] if rng.random() < 0.4 else raw)
        for _ in range(rng.randrange(1, 12)):
            if damaged:
                damaged[rng.randrange(min(len(damaged), 2000))] = rng.randrange(256)
        path.write_bytes(bytes(damaged))
        try:
            read_volume(path)
        except VolumeError:
            continue


def test_lung_slices_leave_out_what_shows_no_lungs(scan) -> None:
    positions = scan[0].lung_slices()

    assert len(positions) >= 6
    assert 0 not in positions  # above the apex
    assert positions == tuple(range(positions[0], positions[-1] + 1))


@pytest.mark.parametrize(
    ("dtype", "white", "slope"),
    [(np.uint8, 255, None), (np.float32, 255, None), (np.uint16, 65535, None), (np.uint8, 51, 5)],
)
def test_white_in_a_volumes_mask_is_a_lesion_of_no_told_kind(
    tmp_path, scan, dtype, white: int, slope
) -> None:
    volume, mask = scan
    values = np.where(mask > 0, white, 0).astype(dtype).transpose(2, 1, 0)
    image = nibabel.Nifti1Image(values, volume.affine)
    if slope:
        image.header.set_slope_inter(slope, 0)
    nibabel.save(image, tmp_path / "mask.nii.gz")

    read = read_mask_of(tmp_path / "mask.nii.gz", volume)

    np.testing.assert_array_equal(read, np.where(mask > 0, 3, 0))


@pytest.mark.parametrize("slope", [0.1, 1 / 3, 2.0])
def test_a_scaled_mask_holds_the_classes_that_its_scale_gives(tmp_path, scan, slope) -> None:
    volume, mask = scan
    stored = np.rint(mask / slope).astype(np.int16) if slope < 1 else (mask // 2).astype(np.int16)
    image = nibabel.Nifti1Image(stored.transpose(2, 1, 0), volume.affine)
    image.header.set_slope_inter(slope, 0)
    nibabel.save(image, tmp_path / "mask.nii")

    wanted = mask if slope < 1 else mask // 2 * 2
    np.testing.assert_array_equal(read_mask_of(tmp_path / "mask.nii", volume), wanted)


@pytest.mark.parametrize("values", [0.4, np.nan, -1, 128])
def test_a_mask_of_other_values_is_refused_with_one_of_them(tmp_path, scan, values) -> None:
    volume, mask = scan
    odd = np.where(mask > 0, values, 0).astype(np.float32).transpose(2, 1, 0)
    nibabel.save(nibabel.Nifti1Image(odd, volume.affine), tmp_path / "mask.nii")

    with pytest.raises(MaskError, match=r"0\.4|not numbers|-1|128"):
        read_mask_of(tmp_path / "mask.nii", volume)


def test_a_scan_named_as_a_mask_is_refused(tmp_path, scan) -> None:
    volume, _ = scan
    values = np.arange(volume.voxels.size, dtype=np.int32).reshape(volume.voxels.shape[::-1])
    image = nibabel.Nifti1Image(values, volume.affine)
    nibabel.save(image, tmp_path / "mask.nii")

    with pytest.raises(MaskError, match="holds the value 8"):
        read_mask_of(tmp_path / "mask.nii", volume)


@pytest.mark.parametrize("outlier", [-1000, 60000])
def test_one_voxel_does_not_decide_how_grey_volumes_are_scaled(tmp_path, scan, outlier) -> None:
    levels = (scan[0].voxels.astype(np.int32) + 1024).transpose(2, 1, 0)
    volumes = []
    for name, value in (("plain", levels[0, 0, 0]), ("hot", outlier)):
        levels[0, 0, 0] = value
        nibabel.save(nibabel.Nifti1Image(levels, np.eye(4)), tmp_path / f"{name}.nii")
        volumes.append(read_volume(tmp_path / f"{name}.nii"))

    assert not any(volume.is_hu for volume in volumes)
    inputs = [to_network_input(volume.slice(3), size_px=64).pixels for volume in volumes]
    assert float(np.abs(inputs[0] - inputs[1]).mean()) < 0.02


def test_a_float_volume_is_held_as_whole_hounsfield_units(tmp_path, scan) -> None:
    values = scan[0].voxels.astype(np.float64).transpose(2, 1, 0) + 0.25
    nibabel.save(nibabel.Nifti1Image(values, scan[0].affine), tmp_path / "scan.nii")

    volume = read_volume(tmp_path / "scan.nii")

    assert volume.is_hu
    assert volume.voxels.dtype == np.int16
    np.testing.assert_array_equal(volume.voxels, scan[0].voxels[::-1])
