"""A real DICOMweb server on loopback: Orthanc with its DICOMweb plug-in (Debian packages)."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
START_S = 60.0


@dataclass(frozen=True)
class Orthanc:
    """A running server.

    Attributes:
        url: Its own address.
    """

    url: str

    @property
    def dicomweb(self) -> str:
        """The address of its DICOMweb."""
        return f"{self.url}/dicom-web"

    def store(self, file: Path) -> None:
        """Put one DICOM file into it."""
        answer = requests.post(f"{self.url}/instances", data=file.read_bytes(), timeout=30)
        answer.raise_for_status()


@contextmanager
def running_orthanc(folder: Path) -> Iterator[Orthanc]:
    """Start a server with its files in a folder; a missing program or plug-in fails."""
    program = shutil.which("Orthanc")
    assert program is not None, "make test-programs"
    assert PLUGIN.exists(), "make test-programs"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, folder / "orthanc.json"], stdout=log, stderr=log)
    server = Orthanc(f"http://127.0.0.1:{port}")
    try:
        _wait(server, process, folder / "orthanc.log")
        yield server
    finally:
        process.terminate()
        process.wait(30)


def _wait(server: Orthanc, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text(errors="replace")[-1000:]
        try:
            requests.get(f"{server.dicomweb}/studies", timeout=5).raise_for_status()
            return
        except requests.RequestException:
            time.sleep(0.1)
    raise AssertionError(log.read_text(errors="replace")[-1000:])
