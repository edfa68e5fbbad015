"""An export as it comes becomes a data folder; all that is passed over is named."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from peer_client.cli.main import main
from peer_client.ct.index import read_index
from peer_client.ct.volume_files import read_volume
from peer_client.pacs.data_folder import Import, import_export
from peer_client.pacs.errors import ExportError
from peer_client.pacs.patients_table import read_patients_table
from peer_client.pacs.pseudonyms import KEY_FILE, Pseudonyms, key_in


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def imported(messy, target: Path, pseudonyms: Pseudonyms) -> Import:
    return import_export(messy.root, target, pseudonyms, part="ward")


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "index.csv").read_text().splitlines()))


def table_of(path: Path, text: str):
    path.write_text(text)
    return read_patients_table(path)


def reason_of(found: Import, name: str) -> str:
    (reason,) = [each.reason for each in found.passed_over if name in each.name]
    return reason


def test_each_study_gives_one_volume_with_its_hounsfield_units(imported, target, drawn) -> None:
    assert [each.slices for each in imported.volumes] == [12, 12, 12]
    assert len({each.patient for each in imported.volumes}) == 2
    for item in read_index(target):
        volume = read_volume(item.path)
        np.testing.assert_array_equal(volume.voxels, drawn.voxels[::-1])
        assert volume.is_hu
        np.testing.assert_allclose(volume.spacing_mm, drawn.spacing_mm, rtol=1e-5)


def test_the_index_tells_scanner_kernel_thickness_sex_and_age_group(
    imported, target, drawn
) -> None:
    first = next(row for row in rows(target) if row["kernel"] == "B60f")

    assert first["scanner"] == "Drawn Phantom 2"
    assert float(first["slice_thickness_mm"]) == pytest.approx(drawn.spacing_mm[0], rel=1e-4)
    assert (first["sex"], first["age_group"]) == ("F", "60-69")
    assert (first["part"], first["site"], first["label"], first["fold"]) == ("ward", "Ward", "", "")


def test_everything_passed_over_is_named_with_its_reason(imported) -> None:
    reasons = {
        "SE001": "not a lung kernel; the one chosen has B60f",
        "SE002": "it covers",
        "SE003": "a localizer",
        "SE004": "not axial",
        "SE005": "a report of radiation dose",
        "SE006": "a secondary capture",
        "._ST000": "a hidden file",
        "empty": "an empty file",
        "README.TXT": "not a DICOM file",
        "preview.jpg": "a picture",
    }
    for name, reason in reasons.items():
        assert reason in reason_of(imported, name), name
    copies = [each for each in imported.passed_over if "a copy of" in each.reason]
    assert len(copies) == 1
    assert len(imported.passed_over) == len(reasons) + 1


def test_no_identity_of_a_patient_is_in_the_data_folder(imported, target: Path) -> None:
    import gzip

    secrets = [b"Name^Of", b"A007-1", b"19580704", b"20250630"]
    for file in target.rglob("*"):
        if file.is_file():
            raw = file.read_bytes()
            raw = gzip.decompress(raw) if file.suffix == ".gz" else raw
            assert not any(secret in raw for secret in secrets), file
            assert file.stat().st_mode & 0o777 == 0o600
        else:
            assert file.stat().st_mode & 0o777 == 0o700
    assert all(re.fullmatch("p_[0-9a-f]{20}", row["patient"]) for row in rows(target))


def test_pseudonyms_are_the_same_under_one_key_and_others_under_another(tmp_path: Path) -> None:
    here, there = tmp_path / "here" / "client", tmp_path / "there" / "client"

    assert key_in(here).patient("007") == key_in(here).patient("007")
    assert key_in(here).patient("007") != key_in(there).patient("007")
    assert key_in(here).patient("007") != key_in(here).patient("07")
    assert (here / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert len((here / KEY_FILE).read_bytes()) == 32


def test_a_key_that_others_can_read_or_that_is_damaged_is_not_used(tmp_path: Path) -> None:
    key_in(tmp_path)
    (tmp_path / KEY_FILE).chmod(0o644)
    with pytest.raises(ExportError, match="can be read by others"):
        key_in(tmp_path)
    (tmp_path / KEY_FILE).chmod(0o600)
    (tmp_path / KEY_FILE).write_bytes(b"short")
    with pytest.raises(ExportError, match="has 5 bytes"):
        key_in(tmp_path)


def test_labels_and_splits_are_joined_by_accession_number_or_patient(
    messy, target, pseudonyms, tmp_path: Path
) -> None:
    table = table_of(
        tmp_path / "labels.csv",
        "Accession;Patient;Label;Split;Site\r\nA007-2;;0;train;\r\n;7;1;train;North\r\n;9;1;test;\r\n",
    )

    found = import_export(messy.root, target, pseudonyms, part="ward", table=table)

    joined = {(row["label"], row["fold"], row["site"]) for row in rows(target)}
    assert joined == {("0", "0", "Ward"), ("1", "0", "North"), ("", "", "Ward")}
    assert len(found.without_label) == 1  # patient 008
    assert found.unused_lines == (4,)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("label\n1\n", "no column patient or accession"),
        ("patient,label\n7,2\n", "line 2: label is '2'"),
        ("patient,fold\n7,x\n", "line 2: fold is 'x'"),
        ("patient,split\n7,some\n", "line 2: split is 'some'"),
        ("patient,label\n7,1\n7,0\n", "lines 2 and 3 say two things"),
        ("patient,label\n,1\n", "line 2: neither patient nor accession"),
        ("accession,fold\nA007-1,0\nA007-2,4\n", "in the folds 0, 4"),
    ],
)
def test_a_wrong_table_of_labels_is_named_by_its_line(
    messy, target, pseudonyms, tmp_path: Path, text: str, what: str
) -> None:
    def joined() -> None:
        table = table_of(tmp_path / "labels.csv", text)
        import_export(messy.root, target, pseudonyms, part="ward", table=table)

    with pytest.raises(ExportError, match=what):
        joined()
    assert not (target / "index.csv").exists()


@pytest.mark.parametrize("wanted", ["Soft", "3"])
def test_the_choice_is_overruled_by_number_or_description(
    messy, target, pseudonyms, wanted: str
) -> None:
    found = import_export(messy.root, target, pseudonyms, part="ward", wanted=[wanted])

    kernels = {row["kernel"] for row in rows(target)}
    assert kernels == {"B30f", "", "LUNG"}  # in studies without such a series the rules choose
    assert reason_of(found, "Lung 1.0") == "not named by --series"


RULES = {
    "original before derived": (
        {"ImageType": ["DERIVED", "PRIMARY", "AXIAL"], "ConvolutionKernel": "B60f"},
        {"ConvolutionKernel": "B30f"},
        "derived",
    ),
    "a lung kernel before others": (
        {"ConvolutionKernel": "STANDARD"},
        {"ConvolutionKernel": "LUNG"},
        "not a lung kernel",
    ),
    "thin slices before thick ones": ({"step_mm": 6.0}, {"step_mm": 5.0}, "6.00 mm apart"),
    "but not the very thinnest": (
        {"step_mm": 0.5},
        {"step_mm": 0.6},
        "noisier",
    ),
    "the lower number else": ({"SeriesNumber": 8}, {"SeriesNumber": 4}, "higher series number"),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("swapped", [False, True])
def test_one_series_is_chosen_by_stated_rules(
    rule: str, swapped: bool, export, target, pseudonyms
) -> None:
    worse, better, reason = RULES[rule]
    names = ("b", "a") if swapped else ("a", "b")
    export.series(names[0], patient="1", **worse)
    export.series(names[1], patient="1", **better)

    found = import_export(export.root, target, pseudonyms, part="ward")

    assert len(found.volumes) == 1
    assert reason in reason_of(found, f"{names[0]}:")


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}, "ImageType SECONDARY"),
        ({"ImageType": ["DERIVED", "PRIMARY", "MIP"]}, "a projection"),
        ({"Modality": "MR"}, "of modality MR"),
        ({"BurnedInAnnotation": "YES"}, "burned-in"),
        ({"PatientID": ""}, "without a PatientID"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4"}, "a segmentation"),
    ],
)
def test_what_is_no_reconstruction_is_never_chosen(
    export, target, pseudonyms, elements, reason: str
) -> None:
    export.series("a", patient="1", **elements)

    with pytest.raises(ExportError, match=reason):
        import_export(export.root, target, pseudonyms, part="ward")


def test_a_series_that_cannot_be_read_gives_way_to_the_next(export, target, pseudonyms) -> None:
    gone = export.series("a", patient="1", ConvolutionKernel="LUNG")
    (gone / "005.dcm").unlink()
    export.series("b", patient="1", ConvolutionKernel="SOFT")

    found = import_export(export.root, target, pseudonyms, part="ward")

    assert rows(target)[0]["kernel"] == "SOFT"
    assert "a slice is missing between 004.dcm and 006.dcm" in reason_of(found, "a:")


def test_phases_in_one_series_are_told_apart_by_acquisition(
    export, target, pseudonyms, drawn
) -> None:
    uid, frame = generate_uid(), generate_uid()
    for number, folder in enumerate(("a", "b"), start=1):
        export.series(
            folder, patient="1", SeriesInstanceUID=uid, FrameOfReferenceUID=frame,
            AcquisitionNumber=number,
        )  # fmt: skip

    found = import_export(export.root, target, pseudonyms, part="ward")

    assert [each.slices for each in found.volumes] == [12]
    assert len(found.passed_over) == 1


def test_one_series_in_several_folders_is_one_volume(export, target, pseudonyms, drawn) -> None:
    folder = export.series("a", patient="1")
    for number, file in enumerate(sorted(folder.iterdir())):
        other = export.root / f"disk{number % 3}"
        other.mkdir(exist_ok=True)
        file.rename(other / "IMAGE0" if number < 3 else other / f"{number}")

    import_export(export.root, target, pseudonyms, part="ward")

    np.testing.assert_array_equal(
        read_volume(read_index(target)[0].path).voxels, drawn.voxels[::-1]
    )


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_what_a_dicomdir_lists_and_is_not_there_is_named(export, target, pseudonyms) -> None:
    export.series("IMAGES", patient="1", names=[f"{number:03d}" for number in range(12)])
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory, records = Dataset(), []
    for name in (["IMAGES", "000"], ["IMAGES", "LOST"], ["..", "secret"]):
        record = Dataset()
        record.ReferencedFileID = name
        records.append(record)
    directory.file_meta, directory.DirectoryRecordSequence = meta, Sequence(records)
    directory.save_as(export.root / "DICOMDIR", enforce_file_format=True)

    found = import_export(export.root, target, pseudonyms, part="ward")

    assert {(each.name, each.reason) for each in found.passed_over} == {
        ("DICOMDIR", "the directory of a DICOM medium"),
        ("IMAGES/LOST", "listed in DICOMDIR, and missing"),
    }


def test_links_out_of_the_export_are_not_followed(export, target, pseudonyms, tmp_path) -> None:
    folder = export.series("a", patient="1")
    stolen = (folder / "000.dcm").rename(tmp_path / "stolen.dcm")
    (folder / "000.dcm").symlink_to(stolen)
    (export.root / "round").symlink_to(export.root)

    found = import_export(export.root, target, pseudonyms, part="ward")

    assert found.volumes[0].slices == 11
    assert reason_of(found, "000.dcm") == "a link that leads out of the export"


def test_a_folder_that_is_not_empty_is_added_to_only_when_asked(export, target, pseudonyms) -> None:
    export.series("a", patient="1")
    import_export(export.root, target, pseudonyms, part="first")
    before = rows(target)
    export.series("b", patient="2")

    with pytest.raises(ExportError, match="is not empty"):
        import_export(export.root, target, pseudonyms, part="second")
    import_export(export.root / "b", target, pseudonyms, part="second", add=True)

    assert [row for row in rows(target) if row["part"] == "first"] == before
    assert len(read_index(target)) == 2


def test_an_import_into_its_own_source_never_reads_what_it_wrote(export, pseudonyms) -> None:
    export.series("a", patient="1")
    target = export.root / "data"

    first = import_export(export.root, target, pseudonyms, part="ward")
    again = import_export(export.root, target, pseudonyms, part="ward", add=True)

    assert first == again
    assert len(rows(target)) == 1


def test_an_export_without_ct_is_refused_with_a_reason(tmp_path, target, pseudonyms) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "notes.txt").write_text("x")

    with pytest.raises(ExportError, match=r"no axial CT series .* notes\.txt: not a DICOM file"):
        import_export(tmp_path / "export", target, pseudonyms, part="ward")
    assert not target.exists()


def test_the_command_imports_for_a_member_and_names_what_it_passes_over(
    messy, target: Path, tmp_path: Path
) -> None:
    member = tmp_path / "ucsd"
    member.mkdir()
    (member / "member.json").write_text(json.dumps({"name": "ucsd"}))
    command = ["--member", str(member), "data", "import", str(messy.root)]

    done = CliRunner().invoke(main, [*command, str(target)])
    assert done.exit_code == 0, done.output
    assert "3 of 2 patients" in done.output
    assert "preview.jpg: a picture" in done.output
    assert os.stat(member / "client" / KEY_FILE).st_mode & 0o777 == 0o600

    refused = CliRunner().invoke(main, [*command, str(target)])
    assert refused.exit_code == 115
    again = CliRunner().invoke(main, [*command, str(tmp_path / "other"), "--json"])
    document = json.loads(again.stdout)
    assert len(document["volumes"]) == 3
    assert {each["patient"] for each in document["volumes"]} == {
        row["patient"] for row in rows(target)
    }
    nobody = CliRunner().invoke(main, ["data", "import", str(messy.root), str(tmp_path / "x")])
    assert nobody.exit_code == 60
