"""Fabric's programs are found where they are said to be, and nowhere else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from network.fabric import binaries
from network.fabric.binaries import BinaryMissingError, find_binaries, find_go


def make_programs(folder: Path, names: tuple[str, ...]) -> Path:
    """Write empty programs."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch(mode=0o755)
    return folder


def test_cache_is_keyed_by_version(tmp_path: Path) -> None:
    expected = make_programs(tmp_path / "capsule-consortium" / "fabric-3.1.1", binaries.PROGRAMS)

    assert find_binaries({"XDG_CACHE_HOME": str(tmp_path)}) == expected


def test_fabric_bin_comes_before_the_cache(tmp_path: Path) -> None:
    make_programs(tmp_path / "capsule-consortium" / "fabric-3.1.1", binaries.PROGRAMS)
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
    ("version", "is_new_enough"), [("1.24.1", False), ("1.24.2", True), ("1.26", True)]
)
def test_go_older_than_fabric_wants_is_not_taken(
    tmp_path: Path, version: str, is_new_enough: bool
) -> None:
    go = tmp_path / "go"
    go.write_text(f"#!/bin/sh\necho go version go{version} linux/amd64\n")
    go.chmod(0o755)

    found = find_go({"PATH": f"{tmp_path}:/bin"})

    assert found == (go if is_new_enough else None)


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
