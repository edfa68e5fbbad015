"""From a PACS to the start of training: an export or a DICOMweb server, a data folder, a check."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from pydicom.uid import JPEG2000Lossless, generate_uid

from peer_client.cli.main import main
from peer_client.ct.index import read_index
from peer_client.ct.phantoms import phantom_volume
from peer_client.ct.volume_files import read_volume
from peer_client.pacs.dicomweb import TOKEN_VARIABLE, DicomwebServer
from peer_client.pacs.errors import ExportError
from tests.support.dicom_series import write_dicom
from tests.support.orthanc import Orthanc, running_orthanc

#: PatientID: label and split.
PATIENTS = {
    "0011": (1, "train"),
    "0012": (0, "train"),
    "0013": (1, "validation"),
    "0014": (0, "validation"),
    "0015": (1, "test"),
    "0016": (0, "test"),
}


def written(root: Path, *, patients: list[str]) -> Path:
    """Write an export: a series of each patient and a localizer."""
    for number, patient in enumerate(patients):
        study = generate_uid()
        kind = "pneumonia" if PATIENTS[patient][0] else "sound"
        volume, _ = phantom_volume(number, kind=kind, slices=10, size_px=64)

        def change(dataset, position, patient=patient, study=study) -> None:
            dataset.PatientID, dataset.PatientName = patient, "Name^Of"
            dataset.StudyInstanceUID, dataset.StudyDate = study, "20250102"
            dataset.StudyTime = dataset.StudyID = ""
            dataset.AccessionNumber = f"A{patient}"
            dataset.PatientSex, dataset.PatientBirthDate = "M", "19700101"
            dataset.SeriesNumber = 2
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]

        def topogram(dataset, position, change=change) -> None:
            change(dataset, position)
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

        write_dicom(root / patient / "SE1", volume, change=change)
        write_dicom(root / patient / "SE0", volume, change=topogram)
        for file in sorted((root / patient / "SE0").iterdir())[1:]:
            file.unlink()
    return root


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("pacs") / "export", patients=list(PATIENTS))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, export: Path) -> Iterator[Orthanc]:
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        for file in sorted(export.rglob("*.dcm")):
            running.store(file)
        yield running


@pytest.fixture
def member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A member's directory; caches and sheets go into the test's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "ucsd"
    folder.mkdir()
    (folder / "member.json").write_text(json.dumps({"name": "ucsd"}))
    labels = [
        f"{patient.lstrip('0')};{label};{split}" for patient, (label, split) in PATIENTS.items()
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["patient;label;split", *labels]) + "\n")
    return folder


def run(member: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["--member", str(member), "data", *map(str, arguments)])


def test_an_export_becomes_a_folder_that_train_would_start_with(export: Path, member: Path) -> None:
    imported = run(member, "import", export, "ward", "--labels", "labels.csv")
    assert imported.exit_code == 0, imported.output

    checked = run(member, "check", "ward", "--no-step", "--threads", "1", "--json")

    document = json.loads(checked.stdout)
    assert checked.exit_code == 0, checked.output
    assert document["would_start"]
    counts = {each["split"]: each for each in document["hospitals"][0]["counts"]}
    assert {(each["positive"], each["negative"]) for each in counts.values()} == {(1, 1)}


def test_a_dicomweb_server_gives_what_its_export_gives(
    export: Path, server: Orthanc, member: Path
) -> None:
    for source, folder in (((export,), "a"), (("--dicomweb", server.dicomweb), "b")):
        done = run(member, "import", *source, folder, "--labels", "labels.csv", "--json")
        assert done.exit_code == 0, done.output
        assert (
            sum("a localizer" in each["reason"] for each in json.loads(done.stdout)["passed_over"])
            == 6
        )

    here, there = Path("a"), Path("b")
    assert (here / "index.csv").read_text() == (there / "index.csv").read_text()
    for one, other in zip(read_index(here), read_index(there), strict=True):
        np.testing.assert_array_equal(read_volume(one.path).voxels, read_volume(other.path).voxels)


def test_a_query_chooses_among_the_studies_of_a_server(server: Orthanc, member: Path) -> None:
    found = run(
        member,
        "import",
        "--dicomweb",
        server.dicomweb,
        "--query",
        "PatientID=0013",
        "ward",
        "--json",
    )
    none = run(
        member, "import", "--dicomweb", server.dicomweb, "--query", "StudyDate=20200101", "other"
    )

    assert len(json.loads(found.stdout)["volumes"]) == 1
    assert none.exit_code == 115
    assert not Path("other").exists()


def test_compressed_series_are_fetched_as_they_are_stored(
    server: Orthanc, member: Path, tmp_path: Path
) -> None:
    import imagecodecs
    from pydicom import dcmread
    from pydicom.encaps import encapsulate

    folder = written(tmp_path / "packed", patients=["0011"]) / "0011" / "SE1"
    for file in folder.iterdir():
        dataset = dcmread(file)
        dataset.PatientID = "packed"
        pixels = dataset.pixel_array.copy()
        frame = imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True)
        dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
        dataset.PixelData = encapsulate([frame])
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(file, enforce_file_format=True)
        server.store(file)

    done = run(
        member, "import", "--dicomweb", server.dicomweb, "--query", "PatientID=packed", "ward"
    )

    assert done.exit_code == 0, done.output
    (item,) = read_index(Path("ward"))
    np.testing.assert_array_equal(read_volume(item.path).voxels, read_volume(folder).voxels)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("http://pacs.example/dicom-web", "not an https address"),
        ("http://192.0.2.1/dicom-web", "not an https address"),
        ("ftp://127.0.0.1/x", "not an https address"),
        ("https://user:secret@pacs.example/", "holds a password"),
        ("pacs", "not an https address"),
    ],
)
def test_an_address_without_tls_or_with_a_password_is_refused(url: str, what: str) -> None:
    with pytest.raises(ExportError, match=what) as caught:
        DicomwebServer(url, None)

    assert "secret" not in str(caught.value)


def test_a_server_that_does_not_answer_or_is_another_is_named(server: Orthanc, monkeypatch) -> None:
    with pytest.raises(ExportError, match="cannot be reached"):
        DicomwebServer("http://127.0.0.1:9/dicom-web", None).studies({})
    with pytest.raises(ExportError, match="HTTP status 404"):
        DicomwebServer(f"{server.url}/nothing", None).studies({})
    with pytest.raises(ExportError, match=r"cannot be reached|not DICOMweb|HTTP status"):
        DicomwebServer(f"{server.url}/system?", None).studies({})
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert len(DicomwebServer(server.dicomweb, None).studies({"PatientID": "0011"})) == 1


def test_the_token_is_sent_and_never_printed(server: Orthanc, member: Path, monkeypatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "very-secret")

    done = run(member, "import", "--dicomweb", f"{server.url}/nothing", "ward")

    assert done.exit_code == 115
    assert "very-secret" not in done.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["only"],
        ["a", "b", "c"],
        ["a", "b", "--dicomweb", "https://x"],
        ["a", "b", "--query", "X=1"],
    ],
)
def test_source_or_server_is_given_not_both(member: Path, arguments: list[str]) -> None:
    assert run(member, "import", *arguments).exit_code == 2
