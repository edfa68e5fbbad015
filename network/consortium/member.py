"""One member's directory: what lies where, and the way from it to a gateway.

`MemberDirectory` knows every path beneath a member's folder. It makes nothing (that is
`network.consortium.provisioning`) and reads no other member's folder: what it knows of the others
lies under `others/`, copied from what they handed over.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from network.consortium.certificates import read_file
from network.consortium.errors import MemberFileError, NotInitialisedError
from network.consortium.topology import Topology
from network.gateway.gateway import ClientTls, Gateway, GatewayAddress
from network.gateway.settings import Timeouts
from network.wire.identity import load_identity

TOPOLOGY_FILE: Final = "crypto-config.yaml"
MEMBER_FILE: Final = "member.json"
FORMAT: Final = 1
#: What runs for a member, in the order it is started.
ORDERER: Final = "orderer"
PEER: Final = "peer"
CHAINCODE: Final = "chaincode"


@dataclass(frozen=True, slots=True)
class MemberDirectory:
    """Paths beneath one member's folder, and what is read from them."""

    path: Path

    @property
    def name(self) -> str:
        """The member's name."""
        return self.path.name

    def topology(self) -> Topology:
        """Read this member's copy of the agreed crypto-config.yaml.

        Raises:
            NotInitialisedError: There is no such member directory.
            TopologyError: The file is wrong.
        """
        path = self.path / TOPOLOGY_FILE
        if not path.exists():
            raise NotInitialisedError(f"{self.path} is no member directory")
        return Topology.load(path)

    # ---- what stays at home -------------------------------------------------------------

    @property
    def ca(self) -> Path:
        """The two roots with their keys."""
        return self.path / "ca"

    @property
    def msp(self) -> Path:
        """The member's public MSP folder, without keys."""
        return self.path / "msp"

    @property
    def tls_root(self) -> Path:
        """The root of this member's TLS certificates."""
        return self.path / "tls" / "ca.pem"

    def tls(self, name: str) -> tuple[Path, Path]:
        """Return certificate and key of one of its TLS identities.

        `name` is peer, orderer, chaincode (its service), chaincode-client (its peer, calling that
        service) or client.
        """
        folder = self.path / "tls"
        return folder / f"{name}.pem", folder / f"{name}.key"

    def user_msp(self, user: str) -> Path:
        """Return the MSP folder of one of its users (Admin, client, User1...)."""
        return self.path / "users" / user / "msp"

    def node_msp(self, kind: str) -> Path:
        """Return the MSP folder of its peer or orderer."""
        return self.path / kind / "msp"

    def configuration(self, kind: str) -> Path:
        """Return the folder of a node's configuration."""
        return self.path / kind / "conf"

    def data(self, kind: str) -> Path:
        """Return the folder of a node's data."""
        return self.path / kind / "data"

    def log(self, kind: str) -> Path:
        """Return a node's log file."""
        return self.path / kind / "log" / f"{kind}.log"

    def pid_file(self, kind: str) -> Path:
        """Return where a running node's process is noted."""
        return self.path / "run" / f"{kind}.json"

    @property
    def lock_file(self) -> Path:
        """Return the file that a program locks while it starts or stops this member's nodes."""
        return self.path / "run" / "lock"

    @property
    def genesis_block(self) -> Path:
        """The channel's first block, the same for all members."""
        return self.path / "genesis.block"

    @property
    def builder(self) -> Path:
        """The external builder its peer uses for chaincode services."""
        return self.path / PEER / "builder"

    @property
    def client_path(self) -> Path:
        """Where hospital-client keeps its state."""
        return self.path / "client"

    # ---- what is exchanged --------------------------------------------------------------

    @property
    def public(self) -> Path:
        """What this member hands to the others."""
        return self.path / "public"

    def public_of(self, member: str) -> Path:
        """Return the folder with a member's public files: its own, or its copy of another's."""
        return self.public if member == self.name else self.path / "others" / member

    def tls_root_of(self, member: str) -> Path:
        """Return the TLS root of a member, from its public files."""
        return self.public_of(member) / "msp/tlscacerts/tlsca.pem"

    def check_public_of(self, member: str) -> Path:
        """Return the folder with a member's public files, proved to be there.

        Raises:
            MemberFileError: That member has not handed its files over yet.
        """
        folder = self.public_of(member)
        if not holds_public(folder):
            raise MemberFileError(folder, f"the public files of {member} are missing")
        return folder

    # ---- member.json, read by hospital-client ----------------------------------------------

    def description(self) -> dict[str, Any]:
        """Return what member.json says.

        Raises:
            NotInitialisedError: There is none.
            MemberFileError: It is of another format.
        """
        path = self.path / MEMBER_FILE
        if not path.exists():
            raise NotInitialisedError(f"{self.path} holds no {MEMBER_FILE}")
        try:
            found = json.loads(read_file(path))
        except ValueError:
            raise MemberFileError(path, "is no JSON") from None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise MemberFileError(path, f"is not of format {FORMAT}")
        return found

    def _address(self, entry: dict[str, Any]) -> GatewayAddress:
        return GatewayAddress(
            target=entry["target"],
            tls_root_pem=read_file(self.path / entry["tls_root"]),
            server_name=entry["server_name"],
        )

    def _connect(
        self, user: str, entries: list[dict[str, Any]], timeouts: Timeouts | None = None
    ) -> Gateway:
        found = self.description()
        certificate, key = (
            read_file(self.path / found["client_tls"][part]) for part in ("cert", "key")
        )
        return Gateway.connect(
            [self._address(entry) for entry in entries],
            load_identity(self.user_msp(user), found["msp_id"]),
            client_tls=ClientTls(certificate, key),
            channel=found["channel"],
            timeouts=timeouts or Timeouts(),
        )

    def connect(self, user: str = "client") -> Gateway:
        """Connect one of its users, to its own peer first, to the others' after it."""
        return self._connect(user, self.description()["gateways"])

    def connect_own(self, user: str, timeouts: Timeouts | None = None) -> Gateway:
        """Connect one of its users to its own peer and to no other."""
        return self._connect(user, self.description()["gateways"][:1], timeouts)

    def other_gateways(
        self, user: str = "client", timeouts: Timeouts | None = None
    ) -> tuple[Gateway, ...]:
        """Connect to each other member's peer alone, to ask whether a commit has reached it."""
        _, *others = self.description()["gateways"]
        return tuple(self._connect(user, [entry], timeouts) for entry in others)

    def roots_pem(self, msp_id: str) -> tuple[bytes, ...]:
        """Return the identity roots of an MSP, from this member's own files.

        Raises:
            MemberFileError: This member has no roots for that MSP.
        """
        roots = self.description()["roots"]
        if msp_id not in roots:
            raise MemberFileError(self.path / MEMBER_FILE, f"knows no MSP {msp_id!r}")
        return (read_file(self.path / roots[msp_id]),)


def holds_public(folder: Path) -> bool:
    """Say whether a member has handed its public files over into a folder."""
    return (folder / "addresses.json").exists()
