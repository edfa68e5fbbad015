"""The wheel, installed into an empty environment, runs outside the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.fabric_network import free_port_base

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = {"patients: 100": "patients: 10", "slices: 2": "slices: 1"}


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and an empty folder to work in."""

    environment: Path
    folder: Path

    def run(
        self, program: str, *arguments: str, expect: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Call one of the two programs as a user would."""
        home = self.folder / "home"
        cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        passed = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        passed["XDG_CACHE_HOME"] = cache
        done = subprocess.run(
            [str(self.environment / "bin" / program), *arguments],
            cwd=self.folder,
            env={**passed, "HOME": str(home), "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == expect, done.stderr[-3000:]
        return done


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel; install it alone, with this environment's packages in reach."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    build = ["wheel", "--no-deps", "--no-build-isolation", "-w", str(folder / "dist")]
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    for name in filter(None, listed):
        if (REPOSITORY / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((REPOSITORY / name).read_bytes())
    subprocess.run([*pip, *build, str(source)], check=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = str(environment / "bin" / "python")
    subprocess.run(
        [*pip, "--python", python, "install", "--no-deps", "--no-index", str(wheel)],
        check=True,
        env=alone,
    )
    (packages,) = (environment / "lib").glob("python*/site-packages")
    # Only the folder: the .pth file of the editable install in it is not read through another.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    work = folder / "work"
    work.mkdir()
    return Installed(environment, work)


def test_both_programs_are_there_and_say_their_version(installed: Installed) -> None:
    assert "version 0.1.0 (Hyperledger Fabric" in installed.run("consortium", "--version").stdout
    assert "version 0.1.0" in installed.run("hospital-client", "--version").stdout


def test_what_is_imported_is_the_wheel(installed: Installed) -> None:
    program = "import network, peer_client; print(network.__file__, peer_client.__file__)"
    done = subprocess.run(
        [str(installed.environment / "bin" / "python"), "-c", program],
        cwd=installed.folder, capture_output=True, text=True, check=True, env={},
    )  # fmt: skip

    assert done.stdout.count(str(installed.environment)) == 2


def test_an_error_names_a_page_that_an_installed_program_prints(installed: Installed) -> None:
    failed = installed.run("consortium", "status", expect=14)
    assert "`consortium explain 14`" in failed.stderr

    assert installed.run("consortium", "explain", "14").stdout.startswith("# 14 ")
    assert json.loads(installed.run("hospital-client", "explain", "86", "--json").stdout)["page"]
    assert "no exit code" in installed.run("hospital-client", "explain", "999", expect=2).stderr


def test_each_shell_gets_a_completion(installed: Installed) -> None:
    for shell in ("bash", "zsh", "fish"):
        done = installed.run("hospital-client", "completion", shell)
        assert "_HOSPITAL_CLIENT_COMPLETE" in done.stdout


@pytest.mark.tensorflow
def test_an_installed_program_simulates(installed: Installed) -> None:
    installed.run("consortium", "examples", "examples")
    hospitals = installed.folder / "examples" / "phantoms.yaml"
    text = hospitals.read_text()
    for old, new in SMALL.items():
        text = text.replace(old, new)
    hospitals.write_text(text)

    done = installed.run(
        "hospital-client", "simulate", "--rounds", "1", "--local-steps", "2", "--adapt-steps", "1",
        "--hospitals", str(hospitals), "--json",
    )  # fmt: skip

    assert len(json.loads(done.stdout)["hospitals"]) == 4


@pytest.fixture
def stopped(installed: Installed) -> Iterator[Installed]:
    """Return the programs; stop at the end what they started."""
    yield installed
    installed.run("consortium", "stop")


@pytest.mark.fabric
def test_an_installed_program_brings_the_demonstrations_consortium_up(stopped: Installed) -> None:
    made = stopped.run("consortium", "init", "--port-base", str(free_port_base()))
    assert "taking the demonstration's" in made.stderr

    stopped.run("consortium", "up")

    status = json.loads(stopped.run("consortium", "status", "--json").stdout)
    assert {node["state"] for one in status for node in one["nodes"]} == {"healthy"}
