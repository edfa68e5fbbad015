"""Remove what is of no use any more; never keys, ledgers, or anything of a running node."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from network.consortium.bring_up import open_members
from network.consortium.member import CHAINCODE, ORDERER, PEER
from network.consortium.processes import NodeProcess
from network.fabric.binaries import build_name, cache_directory

#: A build that began longer ago than this was killed; a fresh one may be another program's.
ABANDONED_S: Final = 3600.0

Removed = list[tuple[Path, int]]


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.lstat().st_size for file in files)


def prune_logs(root: Path) -> Removed:
    """Delete the logs of nodes that do not run; return what was deleted, with sizes in bytes.

    Raises:
        NotInitialisedError: There is no consortium under `root`.
    """
    removed: Removed = []
    for directory in open_members(root):
        for kind in (ORDERER, PEER, CHAINCODE):
            log = directory.log(kind)
            if log.exists() and NodeProcess.find(directory.pid_file(kind)) is None:
                removed.append((log, _size(log)))
                log.unlink()
    return removed


def prune_builds(environment: Mapping[str, str]) -> Removed:
    """Delete Fabric builds of other versions or recipes and builds that were killed half-way."""
    removed: Removed = []
    cache = cache_directory(environment)
    old = [path for path in cache.glob("fabric-*") if path.name != build_name()]
    old += [
        path
        for path in cache.glob("building-fabric-*")
        if time.time() - path.stat().st_mtime > ABANDONED_S
    ]
    for path in old:
        removed.append((path, _size(path)))
        shutil.rmtree(path)
    return removed
