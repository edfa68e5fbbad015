"""What in a folder counts as input is one rule, and what predict wrote is never input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom.uid import generate_uid

from peer_client.ct.errors import VolumeError
from peer_client.ct.folder_input import OWN_MARK, begins_like_dicom, folder_input, is_own_output
from peer_client.ct.index import read_index
from peer_client.ct.slices import SliceOptions, make_slices
from peer_client.ct.volume_files import read_volume


def picture(path: Path, **how) -> Path:
    levels = np.random.default_rng(0).integers(0, 255, (40, 40)).astype(np.uint8)
    Image.fromarray(levels).save(path, **how)
    return path


def marked() -> PngInfo:
    info = PngInfo()
    info.add_text("Description", OWN_MARK)
    return info


def reasons(folder: Path) -> dict[str, str]:
    return {each.name: each.reason for each in folder_input(folder).passed_over}


def test_pictures_beside_a_series_are_previews(dicom_folder, scan) -> None:
    folder = dicom_folder()
    picture(folder / "preview.jpg")
    picture(folder / "._000.png")

    volume = read_volume(folder)

    assert volume.voxels.shape[0] == 8
    assert folder_input(folder).pictures == ()
    assert volume.passed_over == (
        "._000.png: a hidden file",
        "preview.jpg: a picture beside DICOM files",
    )


def test_hidden_files_are_never_pictures(tmp_path: Path) -> None:
    picture(tmp_path / "s1.png")
    (tmp_path / "._s1.png").write_bytes(b"\0\5\x16\7 a Mac's notes")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("x")

    assert [each.name for each in folder_input(tmp_path).pictures] == ["s1.png"]
    assert reasons(tmp_path) == {
        "._s1.png": "a hidden file",
        ".DS_Store": "a hidden file",
        "notes.txt": "neither DICOM nor a picture",
    }


def test_what_predict_wrote_is_known_by_its_mark_wherever_it_lies(tmp_path: Path) -> None:
    picture(tmp_path / "s1.png")
    picture(tmp_path / "renamed.png", pnginfo=marked())

    assert [each.name for each in folder_input(tmp_path).pictures] == ["s1.png"]
    assert reasons(tmp_path) == {"renamed.png": "written by predict"}


def test_what_predict_listed_is_known_by_its_list(tmp_path: Path) -> None:
    for name in ("s1.png", "s1_lesion.png", "contour.jpg"):
        picture(tmp_path / name)
    document = {"use": OWN_MARK, "files": ["s1_lesion.png", "contour.jpg", "prediction.json"]}
    (tmp_path / "prediction.json").write_text(json.dumps(document))

    assert [each.name for each in folder_input(tmp_path).pictures] == ["s1.png"]


@pytest.mark.parametrize("text", ["[" * 100_000, "{", '{"files": 3}', '["s1.png"]', "\xff"])
def test_a_list_of_somebody_else_hides_nothing(text: str, tmp_path: Path) -> None:
    picture(tmp_path / "s1.png")
    (tmp_path / "prediction.json").write_text(text, encoding="latin-1")

    assert [each.name for each in folder_input(tmp_path).pictures] == ["s1.png"]


def test_a_volume_mask_of_predict_is_known(tmp_path: Path) -> None:
    for name in ("mask.nii", "mask.nii.gz"):
        image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4))
        image.header["descrip"] = OWN_MARK.encode()
        nibabel.save(image, tmp_path / name)
        assert is_own_output(tmp_path / name)
    (tmp_path / "damaged.nii.gz").write_bytes(b"\x1f\x8b\x08")
    assert not is_own_output(tmp_path / "damaged.nii.gz")


def test_localizers_reports_and_captures_are_passed_over_by_name(dicom_folder) -> None:
    def change(dataset, number) -> None:
        if number == 0:
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
            dataset.SeriesInstanceUID = generate_uid()
        elif number == 1:
            dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.67"
        elif number == 7:
            dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"

    volume = read_volume(dicom_folder(change=change))

    assert volume.voxels.shape[0] == 5
    assert volume.passed_over == (
        "000.dcm: a localizer",
        "001.dcm: a report of radiation dose",
        "007.dcm: a secondary capture",
    )


def test_a_folder_without_any_slice_says_what_it_holds(dicom_folder, tmp_path: Path) -> None:
    folder = dicom_folder(
        change=lambda d, _: setattr(d, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"])
    )
    with pytest.raises(VolumeError, match=r"no CT slices: 000\.dcm: a localizer"):
        read_volume(folder)
    with pytest.raises(VolumeError, match="holds no DICOM files") as caught:
        read_volume(folder.parent)
    assert "data import" in caught.value.hint


@pytest.mark.parametrize(
    ("beginning", "is_dicom"),
    [
        (b"\0" * 128 + b"DICM", True),
        (b"\x08\0\x05\0CS\x0a\0ISO_IR 100", True),
        (b"\x08\0\0\0\x04\0\0\0", True),
        (b"\x02\0\0\0UL\x04\0", True),
        (b"\0\x08\0\x05CS\0\x0aISO_IR 100", True),
        (b"", False),
        (b"\x08", False),
        (b"\0" * 200, False),
        (b"\x08\0\x05\0\xff\xff\xff\xff", False),
        (b"notes of the ward" * 20, False),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 200, False),
    ],
)
def test_a_file_is_dicom_by_how_it_begins(beginning: bytes, is_dicom, tmp_path: Path) -> None:
    (tmp_path / "IM0001").write_bytes(beginning)

    assert begins_like_dicom(tmp_path / "IM0001") == is_dicom


def test_the_cache_goes_by_the_files_that_are_read(dicom_folder, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.move(dicom_folder(), folder / "scan")
    (folder / "index.csv").write_text("part,file,mask,label,patient,site\na,scan,,1,p,s\n")
    cache, options = tmp_path / "cache", SliceOptions(32)

    def cached() -> int:
        make_slices(read_index(folder), options, cache=cache)
        return len(list(cache.glob("*.npz")))

    assert cached() == 1
    picture(folder / "scan" / "preview.jpg")
    assert cached() == 1  # what is not read makes no new entry
    (folder / "scan" / "000.dcm").unlink()
    assert cached() == 2


def test_a_volume_larger_than_any_picture_is_hashed_and_read(tmp_path: Path, scan) -> None:
    """512 x 512 x 400 voxels of 16 bits, made sparse: it is read, and then found blank."""
    image = nibabel.Nifti1Image(np.zeros((512, 512, 1), np.int16), np.eye(4))
    nibabel.save(image, tmp_path / "scan.nii")
    head = bytearray((tmp_path / "scan.nii").read_bytes()[:352])
    head[46:48] = (400).to_bytes(2, "little")
    with (tmp_path / "scan.nii").open("wb") as file:
        file.write(head)
        file.truncate(352 + 512 * 512 * 400 * 2)
    (tmp_path / "index.csv").write_text("part,file,mask,label,patient,site\na,scan.nii,,1,p,s\n")

    with pytest.raises(VolumeError, match="blank"):
        make_slices(read_index(tmp_path), SliceOptions(32), cache=tmp_path / "cache")
