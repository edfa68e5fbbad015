"""What runs for a member: orderer, peer, chaincode service; how each is started and looked at."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from network.consortium.builder import write_builder
from network.consortium.health import Operations, wait_until_healthy
from network.consortium.member import CHAINCODE, ORDERER, PEER, MemberDirectory
from network.consortium.orderer_configuration import OrdererConfiguration
from network.consortium.own_endpoint import LOOPBACK
from network.consortium.package import build_package
from network.consortium.peer_configuration import PeerConfiguration
from network.consortium.ports import check_free
from network.consortium.processes import NodeProcess
from network.consortium.provisioning import write_json
from network.consortium.topology import Member, Topology

SETTINGS_FORMAT: Final = 1
#: Soft heap limits. Without one a peer that moves large values grows to gigabytes.
MEMORY_LIMITS: Final = {PEER: "600MiB", ORDERER: "300MiB"}


@dataclass(frozen=True, slots=True)
class Host:
    """The machine that members' nodes run on, from the program's environment."""

    binaries: Path  # folder of peer, orderer, configtxgen
    python: str  # interpreter of the chaincode services
    environment: Mapping[str, str] = field(default_factory=dict)  # PATH and the like, for nodes


@dataclass(frozen=True, slots=True)
class Node:
    """One process of one member."""

    kind: str  # ORDERER, PEER or CHAINCODE
    directory: MemberDirectory
    topology: Topology

    @property
    def member(self) -> Member:
        """Whose node it is."""
        return self.topology.member(self.directory.name)

    @property
    def title(self) -> str:
        """Its name in messages."""
        what = "chaincode service" if self.kind == CHAINCODE else self.kind
        return f"the {what} of {self.member.name}"

    @property
    def operations(self) -> Operations | None:
        """Its operations endpoint; the chaincode service has none."""
        ports = self.member.ports
        if self.kind == PEER:
            return Operations(self.directory, ports.peer_operations)
        if self.kind == ORDERER:
            return Operations(self.directory, ports.orderer_operations)
        return None

    def ports(self) -> list[tuple[str, str, int]]:
        """Return host, key and number of each port it listens on."""
        local, host, ports = LOOPBACK, self.member.host, self.member.ports
        if self.kind == PEER:
            return [
                (host, "Peer", ports.peer),
                (local, "PeerChaincode", ports.peer_chaincode),
                (local, "PeerOperations", ports.peer_operations),
            ]
        if self.kind == ORDERER:
            return [
                (host, "Orderer", ports.orderer),
                (local, "OrdererAdmin", ports.orderer_admin),
                (local, "OrdererOperations", ports.orderer_operations),
            ]
        return [(host, "Chaincode", ports.chaincode)]

    def process(self) -> NodeProcess | None:
        """Return its process, if it runs."""
        return NodeProcess.find(self.directory.pid_file(self.kind))

    def check_ports(self, *, timeout_s: float) -> None:
        """Check that its ports are free, or become so within the time.

        Raises:
            PortInUseError: One is not.
        """
        deadline = time.monotonic() + timeout_s
        for host, key, port in self.ports():
            left_s = max(deadline - time.monotonic(), 0.0)
            check_free(host, [(key, port)], member=self.member.name, timeout_s=left_s)

    @property
    def configuration_file(self) -> Path:
        """Where its configuration lies."""
        name = {PEER: "core.yaml", ORDERER: "orderer.yaml", CHAINCODE: "settings.json"}[self.kind]
        return self.directory.configuration(self.kind).absolute() / name

    def configuration(self) -> dict[str, Any]:
        """Return what belongs in that file by crypto-config.yaml."""
        if self.kind == PEER:
            return PeerConfiguration(self.directory, self.topology).document()
        if self.kind == ORDERER:
            return OrdererConfiguration(self.directory, self.topology).document()
        certificate, key = (str(path.absolute()) for path in self.directory.tls(CHAINCODE))
        return {
            "format": SETTINGS_FORMAT,
            "package_id": build_package(self.directory, self.topology).package_id,
            "address": f"{self.member.host}:{self.member.ports.chaincode}",
            "tls": {
                "certificate": certificate,
                "key": key,
                "client_root": str(self.directory.tls_root.absolute()),
            },
        }

    def is_configured(self) -> bool:
        """Tell whether it was started with the present configuration.

        The TLS roots of the other members do not count: a running node takes them from the
        channel's configuration, and changes with it (fabric core/peer/peer.go updateTrustedRoots).
        """
        try:
            found = json.loads(self.configuration_file.read_bytes())
        except (OSError, ValueError):
            return False
        return bool(_without_others(found) == _without_others(self.configuration()))

    def write_configuration(self) -> None:
        """Write its configuration again from crypto-config.yaml and the certificates."""
        if self.kind == PEER:
            write_builder(self.directory.builder)
        write_json(self.configuration_file, self.configuration())

    def start(self, host: Host) -> NodeProcess:
        """Start it; does not wait.

        Raises:
            NodeNotReadyError: It cannot be started at all.
        """
        environment = dict(host.environment)
        if self.kind == CHAINCODE:
            # -P: modules come from the installation, never from the current folder.
            command = [host.python, "-P", "-m", self.topology.chaincode.module]
            command.append(str(self.configuration_file))
        else:
            self.directory.data(self.kind).mkdir(parents=True, exist_ok=True, mode=0o700)
            environment |= {
                "FABRIC_CFG_PATH": str(self.directory.configuration(self.kind).absolute()),
                "FABRIC_LOGGING_SPEC": "warn",
                "GOMEMLIMIT": MEMORY_LIMITS[self.kind],
            }
            command = [str(host.binaries / self.kind)]
            if self.kind == PEER:
                command += ["node", "start"]
        return NodeProcess.start(
            command,
            environment=environment,
            log=self.directory.log(self.kind),
            pid_file=self.directory.pid_file(self.kind),
        )

    def wait(self, process: NodeProcess, *, timeout_s: float) -> None:
        """Wait until it is healthy and listens.

        Raises:
            NodeNotReadyError: It ended, or took too long.
        """
        wait_until_healthy(
            self.title,
            process,
            operations=self.operations,
            listening=[(host, port) for host, _, port in self.ports()],
            log=self.directory.log(self.kind),
            timeout_s=timeout_s,
        )


def _without_others(document: Any) -> Any:
    """Return a node's configuration without the TLS roots that it has of all members."""
    shown = deepcopy(document)
    if isinstance(shown, dict):
        for path in (("peer", "tls", "clientRootCAs"), ("General", "TLS", "ClientRootCAs")):
            inner = shown
            for key in path[:-1]:
                inner = inner.get(key, {})
            inner.pop(path[-1], None)
    return shown


def nodes_of(directory: MemberDirectory, topology: Topology) -> tuple[Node, ...]:
    """Return what runs for a member, in the order it is started."""
    member = topology.member(directory.name)
    kinds = [ORDERER] if member.orderer_hostname else []
    kinds.append(PEER)
    if member.is_hospital:
        kinds.append(CHAINCODE)
    return tuple(Node(kind, directory, topology) for kind in kinds)
