"""Set the project up: virtual environment, Pyfhel wheel, Fabric binaries.

Uses the standard library alone, because it runs before anything is installed. The Fabric and
Pyfhel builds and the download of the Python packages run side by side; what is built goes into a
cache outside the repository, keyed by version, so that a second clone starts at once. Nothing is
installed outside `.venv` and that cache.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "setup" / "requirements.lock"
PYFHEL_LOCK = ROOT / "setup" / "pyfhel-build.lock"
TOOLCHAIN = ROOT / "setup" / "seal-minimal.cmake"
PYTHONS = ((3, 11), (3, 12), (3, 13))
#: Of the thin layer between Python and SEAL (SEAL itself is a CMake release build): no debug
#: information, which is a tenth of its compiling.
PYFHEL_FLAGS = "-O2 -g0 -DNDEBUG -fwrapv"
FIRST_IMPORT = "import grpc, keras, matplotlib.figure, nibabel, pydicom, rich, tensorflow"
#: Pyfhel compiles one file after the other and so takes longest: what runs beside it gives way.
BEHIND = ("nice", "-n", "10")
EXIT_PREREQUISITE = 90
EXIT_BUILD = 91


class SetupError(Exception):
    """A step of the setup failed; `hint` says what to do, `exit_code` has a page in docs/errors."""

    def __init__(self, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code


@dataclass
class Step:
    """One part of the setup that runs beside the others; `expected_s` was seen on two cores."""

    name: str
    expected_s: float
    run: Callable[[Path], None]
    state: str = "waiting"
    started: float = 0.0
    ended: float = 0.0
    error: SetupError | None = None
    log: Path = field(default_factory=Path)

    def line(self, now: float) -> str:
        """Say in a few words how far this step is."""
        if self.state == "running":
            elapsed = now - self.started
            left = self.expected_s - elapsed
            estimate = f"about {left:.0f} s left" if left > 1 else "longer than usual"
            return f"{self.name}: {elapsed:.0f} s, {estimate}"
        if self.state == "done":
            return f"{self.name}: done ({self.ended - self.started:.0f} s)"
        return f"{self.name}: {self.state}"


def cache_directory() -> Path:
    """Return the folder for builds, outside the repository."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "capsule-consortium"


def check_prerequisites() -> None:
    """Raise for the first thing missing, naming the command that installs it."""
    if sys.version_info[:2] not in PYTHONS:
        raise SetupError(
            f"Python 3.11, 3.12 or 3.13 is needed, this is {platform.python_version()}",
            "install one (Debian 12: apt-get install python3.11 python3.11-venv) and run "
            "`make PYTHON=python3.11`",
            EXIT_PREREQUISITE,
        )
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for module in ("venv", "ensurepip"):
        try:
            __import__(module)
        except ImportError:
            raise SetupError(
                f"Python's module `{module}` is missing",
                f"apt-get install python{version}-venv",
                EXIT_PREREQUISITE,
            ) from None
    if not (find_wheel() or shutil.which("g++")):
        raise SetupError(
            "a C++ compiler is missing (Pyfhel is built from source)",
            "apt-get install g++",
            EXIT_PREREQUISITE,
        )
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not (find_wheel() or header.exists()):
        raise SetupError(
            "Python's headers are missing (Pyfhel is built from source)",
            f"apt-get install python{version}-dev",
            EXIT_PREREQUISITE,
        )
    free = shutil.disk_usage(ROOT).free
    if free < 6 * 2**30 and not (VENV / "setup.json").exists():
        raise SetupError(
            f"only {free / 2**30:.1f} GB of disk are free, setting up takes about 5 GB",
            "free some space, or set XDG_CACHE_HOME to a larger disk",
            EXIT_PREREQUISITE,
        )


def wheel_directory() -> Path:
    """Return where the Pyfhel wheel for this interpreter and recipe is kept."""
    parts = (TOOLCHAIN.read_bytes(), PYFHEL_FLAGS.encode(), PYFHEL_LOCK.read_bytes())
    recipe = hashlib.sha256(b"".join(parts)).hexdigest()[:8]
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    tag = f"pyfhel-{python}-{platform.machine()}-{recipe}"
    return cache_directory() / tag


def find_wheel() -> Path | None:
    """Return the cached wheel, if there is one."""
    return next(iter(sorted(wheel_directory().glob("*.whl"))), None)


def pinned(lock: str) -> dict[str, str]:
    """Return the requirements of a lock file by name, each with its version and hashes.

    Raises:
        SetupError: One has no exact version or no hash: it would be installed whatever it is.
    """
    found: dict[str, str] = {}
    for block in re.split(r"\n(?=\S)", lock.strip()):
        name = block.split("==")[0]
        if not re.fullmatch(r"[a-z0-9-]+==[^\s;]+(?s:.*)--hash=sha256:[0-9a-f]{64}\s*", block):
            raise SetupError(
                f"{name.splitlines()[0]!r} has no exact version or no hash in the lock file",
                "run `make lock`, or take the file from the repository again",
                EXIT_BUILD,
            )
        found[name] = block
    return found


def install_pinned(
    command: Sequence[str | Path], pins: Iterable[str], log: Path, what: str, **environment: str
) -> None:
    """Run an installer on pins; it refuses every file that has another hash."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write("\n".join(pins) + "\n")
        requirements.flush()
        options = ("--no-deps", "--require-hashes", "-r", requirements.name)
        call([*command, *options], log, what, **environment)


def call(command: Sequence[str | Path], log: Path, what: str, **environment: str) -> None:
    """Run a command with its output in `log`; raise with the last lines when it fails."""
    with log.open("a") as output:
        output.write("$ " + " ".join(map(str, command)) + "\n")
        output.flush()
        done = subprocess.run(
            [str(part) for part in command],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **environment},
            cwd=ROOT,
            check=False,
        )
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise SetupError(
            f"{what} failed (exit status {done.returncode}):\n{tail}",
            f"read {log}; if a download failed, check the connection and run `make setup` again "
            "(what was built is kept)",
            EXIT_BUILD,
        )


def build_pyfhel(log: Path) -> None:
    """Build the Pyfhel wheel once, into the cache; a killed build leaves no half wheel."""
    if find_wheel():
        return
    target = wheel_directory()
    target.parent.mkdir(parents=True, exist_ok=True)
    pins = pinned(PYFHEL_LOCK.read_text())
    source = pins.pop("pyfhel")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="building-") as scratch:
        # An environment of its own, as pip would make one, but of files that are pinned by hash.
        tools = Path(scratch, "tools")
        call([sys.executable, "-m", "venv", tools], log, "making an environment for Pyfhel")
        pip = tools / "bin" / "pip"
        install_pinned([pip, "install"], pins.values(), log, "installing what builds Pyfhel")
        install_pinned(
            [pip, "wheel", "--no-build-isolation", "-w", scratch],
            [source],
            log,
            "building Pyfhel",
            CMAKE_TOOLCHAIN_FILE=str(TOOLCHAIN),
            CFLAGS=PYFHEL_FLAGS,
            CXXFLAGS=PYFHEL_FLAGS,
            PATH=f"{tools / 'bin'}:{os.environ.get('PATH', '')}",
        )
        target.mkdir(exist_ok=True)
        for wheel in Path(scratch).glob("*.whl"):
            os.replace(wheel, target / wheel.name)


def install_packages(log: Path) -> None:
    """Install every pinned package except Pyfhel.

    With uv, which unpacks a third as long as pip. It does not read pip's own configuration, so
    where it reaches no index pip installs the same pins.
    """
    pins = pinned(LOCK.read_text())
    del pins["pyfhel"]
    what = "installing the Python packages"
    pip = [*BEHIND, VENV / "bin" / "pip", "install", "--no-compile"]
    uv = [*BEHIND, VENV / "bin" / "uv", "pip", "install", "--python", VENV]
    install_pinned(pip, [pins["uv"]], log, what)
    try:
        install_pinned(uv, pins.values(), log, what)
    except SetupError:
        install_pinned(pip, pins.values(), log, what)
    # Compiles what is used, once, where an installer would compile every module of every package.
    call([*BEHIND, VENV / "bin" / "python", "-c", FIRST_IMPORT], log, "importing what is used")


def build_fabric(log: Path) -> None:
    """Find or build the Fabric binaries (network.fabric.binaries does the work)."""
    build = [VENV / "bin" / "python", "-m", "network.fabric.binaries"]
    call([*BEHIND, *build], log, "building Fabric")


def finish(log: Path) -> None:
    """Install Pyfhel and the project itself, then let pip check the whole environment."""
    wheel = find_wheel()
    if wheel is None:
        raise SetupError("the Pyfhel wheel is missing", "run `make setup` again", EXIT_BUILD)
    pip = VENV / "bin" / "pip"
    call([pip, "install", "--no-deps", "--no-index", wheel], log, "installing Pyfhel")
    call(
        [pip, "install", "--no-deps", "--no-build-isolation", "-e", ROOT],
        log,
        "installing the project",
    )
    call([pip, "check"], log, "checking the environment")
    call([VENV / "bin" / "python", "-c", "import Pyfhel"], log, "importing Pyfhel")


def stamp() -> str:
    """Return a digest of all that decides what the environment holds."""
    digest = hashlib.sha256()
    fabric = ROOT / "network" / "fabric" / "go.sum"
    for path in (LOCK, PYFHEL_LOCK, TOOLCHAIN, ROOT / "setup.cfg", fabric):
        digest.update(path.read_bytes())
    digest.update(sys.version.encode())
    digest.update(str(ROOT).encode())
    return digest.hexdigest()


def is_current() -> bool:
    """Tell whether `.venv` was completed by this very recipe and the binaries are still there."""
    try:
        done = json.loads((VENV / "setup.json").read_text())
    except (OSError, ValueError):
        return False
    if done.get("stamp") != stamp():
        return False
    found = subprocess.run(
        [VENV / "bin" / "python", "-m", "network.fabric.binaries", "--check"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    return found.returncode == 0


def follow(steps: Sequence[Step], threads: Sequence[threading.Thread]) -> None:
    """Show progress until every step has ended: one line in place, or one every 10 s in a log."""
    terminal = sys.stderr.isatty()
    shown = 0.0
    while any(thread.is_alive() for thread in threads):
        now = time.monotonic()
        if terminal or now - shown >= 10:
            text = " | ".join(step.line(now) for step in steps)
            if terminal:
                text = "\r\033[K" + text[: shutil.get_terminal_size().columns - 1]
            print(text, end="" if terminal else "\n", file=sys.stderr, flush=True)
            shown = now
        for thread in threads:
            thread.join(0.2 / len(threads))
    if terminal:
        print("\r\033[K", end="", file=sys.stderr)
    for step in steps:
        print(step.line(time.monotonic()), file=sys.stderr, flush=True)


def run_beside(steps: Sequence[Step], logs: Path) -> None:
    """Run the steps side by side; raise the first error after all have ended."""

    def work(step: Step) -> None:
        step.started = time.monotonic()
        step.state = "running"
        step.log = logs / (step.name.split()[0].lower() + ".log")
        step.log.unlink(missing_ok=True)
        try:
            step.run(step.log)
            step.state = "done"
        except SetupError as error:
            step.error, step.state = error, "failed"
        except OSError as error:
            hint = "free disk space, run `make setup` again"
            step.error = SetupError(str(error), hint, EXIT_BUILD)
            step.state = "failed"
        step.ended = time.monotonic()

    threads = [threading.Thread(target=work, args=(step,), daemon=True) for step in steps]
    for thread in threads:
        thread.start()
    follow(steps, threads)
    for step in steps:
        if step.error:
            raise step.error


def main() -> int:
    """Set up what is missing; return an exit status."""
    parser = argparse.ArgumentParser(description="Set up .venv, Pyfhel and Fabric.")
    parser.add_argument("--force", action="store_true", help="set up again although all is there")
    options = parser.parse_args()
    try:
        if not options.force and is_current():
            return 0
        check_prerequisites()
        logs = cache_directory() / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        print(
            f"Setting up {ROOT.name}: .venv here, builds in {cache_directory()} "
            "(3 to 8 minutes the first time on two cores)",
            file=sys.stderr,
        )
        if not (VENV / "bin" / "pip").exists():
            call([sys.executable, "-m", "venv", VENV], logs / "venv.log", "making .venv")
        run_beside(
            [
                Step("Packages", 60, install_packages),
                Step("Pyfhel", 150, build_pyfhel),
                Step("Fabric", 150, build_fabric),
            ],
            logs,
        )
        run_beside([Step("Project", 10, finish)], logs)
        (VENV / "setup.json").write_text(json.dumps({"format": 1, "stamp": stamp()}) + "\n")
    except SetupError as error:
        print(
            f"error {error.exit_code}: {error}\nWhat to do: {error.hint}\n"
            f"More: docs/errors/{error.exit_code}.md",
            file=sys.stderr,
        )
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped; `make setup` goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
