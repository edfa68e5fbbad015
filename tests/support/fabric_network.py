"""A real consortium for tests: in a folder of its own, on ports of its own, stopped at the end.

    with running_network(tmp_path) as network:
        network.run("status")

`module` names the contract; tests of the network itself use the small one beside this file.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from network.consortium.member import MemberDirectory
from network.consortium.topology import Topology

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SMALL_CONTRACT = "tests.support.ledger_contract"
#: Below the system's own range for outgoing connections (32768 and up).
PORT_RANGE = range(18_000, 32_000, 50)


def free_port_base(count: int = 50) -> int:
    """Return the first of `count` ports that are all free now."""
    bases = list(PORT_RANGE)
    random.SystemRandom().shuffle(bases)
    for base in bases:
        with ExitStack() as stack:
            try:
                for port in range(base, base + count):
                    listener = stack.enter_context(socket.socket())
                    listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return base
    raise OSError(f"no {count} free ports from {PORT_RANGE.start} to {PORT_RANGE.stop}")


def topology_text(*, module: str = SMALL_CONTRACT, port_base: int | None = None) -> str:
    """Return the demonstration's crypto-config.yaml with another contract and other ports."""
    text = (REPOSITORY / "crypto-config.yaml").read_text()
    base = free_port_base() if port_base is None else port_base
    text = text.replace("PortBase: 17000", f"PortBase: {base}")
    return text.replace("Module: chaincode.serve", f"Module: {module}")


@dataclass(frozen=True)
class FabricNetwork:
    """One consortium and the program that runs it."""

    root: Path

    def run(
        self, command: str, *arguments: str, expect: int | None = 0, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Call `consortium COMMAND` as a user would; check its exit status."""
        done = subprocess.run(
            [sys.executable, "-m", "network.cli", command, "--root", str(self.root), *arguments],
            cwd=REPOSITORY,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if expect is not None and done.returncode != expect:
            raise AssertionError(
                f"consortium {command} ended with {done.returncode}, not {expect}:\n"
                f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
            )
        return done

    def json(self, command: str, *arguments: str, expect: int | None = 0) -> Any:
        """Call a command with --json and return what it says."""
        return json.loads(self.run(command, "--json", *arguments, expect=expect).stdout)

    @property
    def topology(self) -> Topology:
        """Who exists in it."""
        return Topology.load(self.root / "crypto-config.yaml")

    def member(self, name: str) -> MemberDirectory:
        """Return a member's directory."""
        return MemberDirectory(self.root / name)

    def pids(self) -> dict[str, int]:
        """Return the process of every node by "member kind"."""
        return {
            f"{one['member']} {node['kind']}": node["pid"]
            for one in self.json("status", expect=None)
            for node in one["nodes"]
            if node["pid"] is not None
        }


def environment() -> dict[str, str]:
    """Return this program's environment in which nodes find the tests' contract."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}


def initialised_network(root: Path, text: str | None = None) -> FabricNetwork:
    """Make the members' directories; start nothing."""
    config = root.parent / f"{root.name}.yaml"
    config.write_text(topology_text() if text is None else text)
    network = FabricNetwork(root)
    network.run("init", "--config", str(config))
    return network


@contextmanager
def running_network(root: Path, *, module: str = SMALL_CONTRACT) -> Iterator[FabricNetwork]:
    """Bring a consortium up in a new folder and stop it at the end."""
    with running_topology(root, topology_text(module=module)) as network:
        yield network


@contextmanager
def running_topology(root: Path, text: str) -> Iterator[FabricNetwork]:
    """Bring the consortium of a crypto-config.yaml up in a new folder and stop it at the end."""
    network = initialised_network(root, text)
    try:
        network.run("up")
        yield network
    finally:
        network.run("stop", expect=None)
