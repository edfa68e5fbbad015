"""Everything that is installed is pinned by its version and the hash of its file."""

from __future__ import annotations

import configparser
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[3]
LOCKS = ("requirements.lock", "pyfhel-build.lock")


@pytest.fixture(scope="module")
def install() -> ModuleType:
    """Return setup/install.py, which is a program and in no package."""
    spec = importlib.util.spec_from_file_location("install", ROOT / "setup" / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["install"] = module
    spec.loader.exec_module(module)
    return module


def required(*sections: str) -> list[Requirement]:
    """Return the ranges of setup.cfg."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    lines = parser["options"]["install_requires"].split("\n")
    for section in sections:
        lines += parser["options.extras_require"][section].split("\n")
    return [Requirement(line) for line in lines if line.strip()]


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_of_a_lock_has_a_version_and_hashes(
    install: ModuleType, name: str
) -> None:
    pins = install.pinned((ROOT / "setup" / name).read_text())

    assert len(pins) > 5
    assert "pyfhel" in pins


def test_the_ranges_of_the_package_allow_what_is_pinned(install: ModuleType) -> None:
    pins = install.pinned((ROOT / "setup" / "requirements.lock").read_text())
    for one in required("dev"):
        version = re.match(r"[^=]+==([^\s;]+)", pins[canonicalize_name(one.name)])
        assert version is not None
        assert one.specifier.contains(Version(version[1]), prereleases=True), one


@pytest.mark.parametrize(
    "line", ["numpy>=2", "numpy==2.4.6", "numpy==2.4.6 \\\n    --hash=md5:0123", "numpy"]
)
def test_a_line_without_version_or_hash_stops_the_setup(install: ModuleType, line: str) -> None:
    with pytest.raises(install.SetupError, match="no exact version or no hash"):
        install.pinned(line)


def wheel(folder: Path, name: str = "harmless") -> Path:
    """Build a small wheel without the network."""
    (folder / f"{name}.py").write_text("")
    (folder / "setup.py").write_text(
        f"from setuptools import setup; setup(name={name!r}, version='1', py_modules=[{name!r}])"
    )
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", str(folder / "dist"), str(folder)], check=True)
    return next((folder / "dist").glob("*.whl"))


@pytest.mark.parametrize("checked", [True, False], ids=["hashes required", "switched off"])
def test_a_file_with_another_hash_is_not_installed(
    install: ModuleType, tmp_path: Path, checked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    dist = wheel(tmp_path).parent
    pin = f"harmless==1 --hash=sha256:{'0' * 64}" if checked else "harmless==1"
    target = tmp_path / "target"
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--find-links", str(dist)]
    if not checked:
        real = install.call
        monkeypatch.setattr(
            install,
            "call",
            lambda command, *rest, **env: real(
                [part for part in command if part != "--require-hashes"], *rest, **env
            ),
        )
    arguments = ([*pip, "--target", str(target)], [pin], tmp_path / "log", "installing")

    if checked:
        with pytest.raises(install.SetupError, match="DO NOT MATCH THE HASHES"):
            install.install_pinned(*arguments)
    else:
        install.install_pinned(*arguments)
    assert (target / "harmless.py").exists() != checked
