"""Files made to exhaust memory or to reach outside are refused by name, and memory stays flat.

Each file is small and made on the fly, and is read by a process of its own, whose peak of memory
is compared with that of a process which reads nothing.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from network.consortium.errors import TopologyError
from network.consortium.topology import Topology
from peer_client.ct.errors import DataFolderError, HospitalFileError, IndexFileError, VolumeError
from peer_client.ct.hospitals import read_hospitals
from peer_client.ct.index import read_index
from peer_client.ct.volume_files import read_volume
from peer_client.errors import SettingsError
from peer_client.inference.predict import _pictures
from peer_client.studies.study_file import read_plan

MIB = 2**20
#: A reader's libraries take some 30 MiB; what is refused must not be unpacked beside them.
PEAK_MIB = 300
PROGRAM = """
import resource, sys
from pathlib import Path
from peer_client.ct.errors import IntakeError
from peer_client.ct.image import read_image
from peer_client.ct.volume_files import read_volume
path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
try:
    (read_image if path.suffix in (".png", ".jpg") else read_volume)(path)
    said = "READ"
except IntakeError as error:
    said = f"{type(error).__name__}: {error}"
# VmHWM is of this program alone; ru_maxrss would count the process that started it.
status = Path("/proc/self/status").read_text()
print(int(status.partition("VmHWM:")[2].split()[0]) // 1024, said)
"""


def read_apart(path: Path) -> tuple[int, str]:
    """Read a file in a process of its own; return its peak of memory in MiB and what it said."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    peak, _, said = done.stdout.strip().partition(" ")
    return int(peak), said


def nifti_head(
    shape: tuple[int, int, int],
    offset: float,
    *,
    kind: int = 4,
    bits: int = 16,
    slope: float = 1.0,
) -> bytes:
    head = bytearray(348)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, *shape, 1, 1, 1, 1)
    struct.pack_into("<2h", head, 70, kind, bits)
    struct.pack_into("<8f", head, 76, *[1.0] * 8)
    struct.pack_into("<2f", head, 108, offset, slope)
    struct.pack_into("<2h", head, 252, 1, 1)
    for row in range(3):
        struct.pack_into("<4f", head, 280 + 16 * row, *[float(row == c) for c in range(3)], 0.0)
    head[344:348] = b"n+1\0"
    return bytes(head)


def nifti_extended(path: Path, *, told: int, real: int, offset: int) -> Path:
    """Write a volume of 64 x 64 x 4 voxels with one header extension of zeros."""
    voxels = np.random.default_rng(0).integers(-1000, 1000, 64 * 64 * 4).astype("<i2")
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(nifti_head((64, 64, 4), float(offset)) + b"\1\0\0\0")
        file.write(struct.pack("<2i", told, 4) + bytes(real - 8))
        file.write(voxels.tobytes())
    return path


def deflated(path: Path, source: Path, *, zeros: int = 0) -> Path:
    """Write a DICOM file in the deflated transfer syntax, with zeros added behind its pixels."""
    dataset = dcmread(source)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    whole = buffer.getvalue()
    end = 144 + struct.unpack_from("<I", whole, 140)[0]
    body = zlib.decompress(whole[end:], -zlib.MAX_WBITS)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    parts = [packer.compress(body)]
    parts += [packer.compress(bytes(MIB)) for _ in range(zeros // MIB)]
    path.write_bytes(whole[:end] + b"".join(parts) + packer.flush())
    return path


def png_head(height: int, width: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + check

    head = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(100 * (width + 1)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg_head(height: int, width: int) -> bytes:
    comment = b"\xff\xfe" + struct.pack(">H", 10) + b"12345678"
    frame = struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\1\x11\0"
    return b"\xff\xd8" + comment + b"\xff\xc0" + frame + b"\xff\xd9"


def series_of_large_slices(folder: Path, source: Path) -> Path:
    """Write 20 slices of 8192 x 8192 pixels, packed to a kilobyte each."""
    folder.mkdir()
    side = 8192
    segment = bytes([129, 0]) * (side * side // 128)
    frame = struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13) + segment * 2
    for number in range(20):
        dataset = dcmread(source)
        dataset.file_meta.TransferSyntaxUID = RLELossless
        dataset.Rows = dataset.Columns = side
        dataset.ImagePositionPatient = [0, 0, number]
        dataset.PixelData = encapsulate([frame])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dcmwrite(folder / f"{number}.dcm", dataset, enforce_file_format=True)
    return folder


def lying_npz(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, shape in (("hu", (4, 8192, 8192)), ("spacing_mm", (3,))):
            buffer = io.BytesIO()
            header = {"descr": "<i2", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(buffer, header)
            archive.writestr(f"{name}.npy", buffer.getvalue())
    return path


def hostile(name: str, folder: Path, slice_file: Path) -> Path:
    """Make one hostile file."""
    path = folder / name
    match name:
        case "far.nii.gz":
            return nifti_extended(path, told=512 * MIB, real=64, offset=352 + 512 * MIB)
        case "told.nii.gz":
            return nifti_extended(path, told=2**30, real=64, offset=352 + 64)
        case "wide.nii":
            path.write_bytes(nifti_head((512, 512, 2048), 352.0, kind=64, bits=64) + bytes(4))
        case "many.nii.gz":
            path.write_bytes(gzip.compress(nifti_head((512, 520, 4096), 352.0) + bytes(4)))
        case "scaled.nii":
            path.write_bytes(nifti_head((512, 512, 2048), 352.0, slope=2.0) + bytes(4))
        case "deflated.dcm":
            deflated(path, slice_file, zeros=256 * MIB)
        case "large slices":
            series_of_large_slices(path, slice_file)
        case "huge.png":
            path.write_bytes(png_head(60000, 60000))
        case "huge.jpg":
            path.write_bytes(jpeg_head(60000, 60000))
        case "lies.npz":
            lying_npz(path)
    return path


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("far.nii.gz", "VolumeError: .*its voxels begin at byte 5368712"),
        ("told.nii.gz", "VolumeError: .*gives its length as 1073741824 bytes"),
        ("wide.nii", "VolumeError: .*needs 4294967296 bytes; allowed are 2147483648"),
        ("scaled.nii", "VolumeError: .*ends early: it has 352 bytes, its header gives 1073742176"),
        ("many.nii.gz", "VolumeError: .*needs 2181038080 bytes; allowed are 2147483648"),
        ("deflated.dcm", "VolumeError: .*deflated.*unpacks to more than 201326592 bytes"),
        ("large slices", "VolumeError: .*its first 17 files, .*allowed are 2147483648 bytes"),
        ("huge.png", "ImageError: .*has 60000 x 60000 pixels"),
        ("huge.jpg", "ImageError: .*has 60000 x 60000 pixels"),
        ("lies.npz", "VolumeError: .*says that it has the shape"),
    ],
)
def test_a_hostile_file_is_refused_by_its_numbers_and_memory_stays_flat(
    name: str, error: str, tmp_path: Path, dicom_folder
) -> None:
    source = sorted(dicom_folder().glob("*.dcm"))[0]

    peak_mib, said = read_apart(hostile(name, tmp_path, source))

    assert re.match(error, said), said
    assert peak_mib < PEAK_MIB


def test_a_nifti_with_a_small_extension_is_read(tmp_path: Path) -> None:
    path = nifti_extended(tmp_path / "noted.nii.gz", told=64, real=64, offset=352 + 64)

    assert read_volume(path).voxels.shape == (4, 64, 64)


def test_deflated_dicom_files_of_normal_size_are_read_as_the_others(
    tmp_path: Path, dicom_folder
) -> None:
    folder = dicom_folder()
    packed = tmp_path / "packed"
    packed.mkdir()
    for file in folder.glob("*.dcm"):
        deflated(packed / file.name, file)

    np.testing.assert_array_equal(read_volume(packed).voxels, read_volume(folder).voxels)


def test_a_deflated_file_that_hides_its_syntax_from_us_is_refused(
    tmp_path: Path, dicom_folder
) -> None:
    path = deflated(tmp_path / "one.dcm", sorted(dicom_folder().glob("*.dcm"))[0])
    whole = path.read_bytes()
    path.write_bytes(whole[:132] + whole[144:])  # without the length of the meta information

    with pytest.raises(VolumeError, match="without the usual header"):
        read_volume(path)


@pytest.mark.parametrize("column", ["file", "mask"])
def test_links_out_of_the_data_folder_are_refused_and_links_within_it_followed(
    column: str, tmp_path: Path
) -> None:
    data, outside = tmp_path / "data", tmp_path / "outside.png"
    data.mkdir()
    for path in (outside, data / "real.png"):
        path.write_bytes(png_head(64, 64))
    (data / "within.png").symlink_to("real.png")
    (data / "out").symlink_to(tmp_path)
    (data / "round").symlink_to("round")

    def index(name: str) -> None:
        file, mask = (name, "") if column == "file" else ("real.png", name)
        (data / "index.csv").write_text(
            f"part,file,mask,label,patient,site\np,{file},{mask},1,p1,s\n"
        )

    index("within.png")
    assert len(read_index(data)) == 1
    index("out/outside.png")
    with pytest.raises(IndexFileError, match="is a link that leads out of"):
        read_index(data)
    index("round")
    with pytest.raises(IndexFileError, match="line 2"):
        read_index(data)


def test_an_index_that_is_itself_a_link_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "data/index.csv").symlink_to(tmp_path / "secret")

    with pytest.raises(DataFolderError, match="leads out of"):
        read_index(tmp_path / "data")


def test_folders_walked_for_slices_and_pictures_are_not_left_through_links(
    tmp_path: Path, dicom_folder
) -> None:
    folder = dicom_folder()
    stolen = sorted(folder.glob("*.dcm"))[0].rename(tmp_path / "stolen.dcm")
    (folder / "000.dcm").symlink_to(stolen)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "one.png").symlink_to(stolen)

    with pytest.raises(DataFolderError, match="leads out of"):
        read_volume(folder)
    with pytest.raises(DataFolderError, match="leads out of"):
        _pictures(pictures)


YAML_READERS = [
    (read_hospitals, HospitalFileError),
    (read_plan, SettingsError),
    (Topology.load, TopologyError),
]
ALIASES = "a0: &a0 [x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)


@pytest.mark.parametrize(("read", "error"), YAML_READERS)
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[" * 20_000, "more than 32 levels"),
        ("{a: " * 20_000, "more than 32 levels"),
        ("- " * 20_000, "more than 32 levels"),
        (ALIASES, "aliases .* are not read here"),
        ("a: " + "x" * (MIB + 1), "more than 1048576 characters"),
    ],
    ids=["brackets", "braces", "dashes", "aliases", "long"],
)
def test_deep_long_and_aliased_yaml_gives_a_sentence(
    read, error, text: str, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "hostile.yaml"
    path.write_text(text)

    with pytest.raises(error, match=sentence):
        read(path)


def test_a_number_of_five_thousand_digits_in_yaml_gives_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "hostile.yaml"
    path.write_text("format: " + "9" * 5000 + "\nhospitals: []")

    with pytest.raises(HospitalFileError, match="line 1: format: longer than 500 characters"):
        read_hospitals(path)
