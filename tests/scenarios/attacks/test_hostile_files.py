"""Files handed to a hospital: refused, and with the one rule switched off each reaches its aim."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from network.consortium.errors import TopologyError
from network.consortium.topology import Topology
from network.runtime import located_yaml
from peer_client.ct import index
from peer_client.ct.errors import HospitalFileError, IndexFileError
from peer_client.ct.hospitals import read_hospitals
from peer_client.ct.index import read_index
from peer_client.errors import SettingsError
from peer_client.studies.study_file import read_plan

MIB = 2**20
EXTENSION_MIB = 256
#: Prints what became of the reading, and the peak of memory in MiB.
PROGRAM = """
import resource, sys
from pathlib import Path
from peer_client.ct import nifti
if sys.argv[2] == "off":
    nifti._check_beginning = lambda path: None
try:
    nifti.read_nifti(Path(sys.argv[1]))
    said = "READ"
except nifti.VolumeError:
    said = "REFUSED"
# VmHWM is of this program alone; ru_maxrss would count the process that started it.
status = Path("/proc/self/status").read_text()
print(said, int(status.partition("VmHWM:")[2].split()[0]) // 1024)
"""


@pytest.fixture(name="stolen")
def _stolen(tmp_path: Path) -> Path:
    """A data folder whose index names, through a link, a file outside of it."""
    folder, outside = tmp_path / "data", tmp_path / "private"
    folder.mkdir()
    outside.mkdir()
    (outside / "scan.png").write_bytes(b"of another hospital")
    (folder / "link").symlink_to(outside)
    (folder / "index.csv").write_text(
        "part,file,mask,label,patient,site\np,link/scan.png,,1,p1,s\n"
    )
    return folder


def test_a_link_out_of_the_data_folder_is_refused(stolen: Path) -> None:
    with pytest.raises(IndexFileError, match="leads out of"):
        read_index(stolen)


def test_switched_off_the_links_rule_lets_a_file_outside_be_read(
    stolen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "check_links", lambda folder, path: None)

    (item,) = read_index(stolen)

    assert item.path.read_bytes() == b"of another hospital"


def _with_large_extension(path: Path) -> Path:
    """A volume of 64 x 64 x 4 voxels behind a header extension of many MiB, packed to one."""
    head = bytearray(348)
    size = EXTENSION_MIB * MIB
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, 64, 64, 4, 1, 1, 1, 1)
    struct.pack_into("<2h", head, 70, 4, 16)
    struct.pack_into("<8f", head, 76, *[1.0] * 8)
    struct.pack_into("<2f", head, 108, 352.0 + size, 1.0)
    struct.pack_into("<2h", head, 252, 1, 1)
    for row in range(3):
        struct.pack_into("<4f", head, 280 + 16 * row, *[float(row == c) for c in range(3)], 0.0)
    head[344:348] = b"n+1\0"
    voxels = np.random.default_rng(0).integers(-1000, 1000, 64 * 64 * 4).astype("<i2")
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(bytes(head) + b"\1\0\0\0" + struct.pack("<2i", size, 4) + bytes(MIB - 8))
        for _ in range(EXTENSION_MIB - 1):
            file.write(bytes(MIB))
        file.write(voxels.tobytes())
    return path


@pytest.mark.parametrize(("rule", "said"), [("on", "REFUSED"), ("off", "READ")])
def test_a_large_header_extension_takes_memory_only_with_the_rule_switched_off(
    rule: str, said: str, tmp_path: Path
) -> None:
    path = _with_large_extension(tmp_path / "scan.nii.gz")

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), rule], capture_output=True, text=True, check=True
    )

    found, peak_mib = done.stdout.split()
    assert found == said
    assert (int(peak_mib) > EXTENSION_MIB) == (rule == "off")


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (read_hospitals, HospitalFileError),
        (read_plan, SettingsError),
        (Topology.load, TopologyError),
    ],
    ids=["hospitals", "study", "consortium"],
)
def test_deep_yaml_gives_a_sentence_and_switched_off_ends_in_a_recursion(
    read, error, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("[" * 20_000)

    with pytest.raises(error, match="more than 32 levels"):
        read(path)
    monkeypatch.setattr(located_yaml, "check_yaml", lambda document: None)
    with pytest.raises(RecursionError):
        read(path)
