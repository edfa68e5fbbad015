"""Who exists: crypto-config.yaml as frozen dataclasses.

The file keeps cryptogen's format and adds keys that cryptogen ignores (`Channel`, `PortBase`,
`Chaincode`; for a peer organisation `Role`, `Host`, `Ports`). Refuses, by line, what cannot run:
unknown keys, members without a peer, two nodes of a kind in one member, ports used twice, fewer
than four ordering nodes (Byzantine fault tolerance needs 3 f + 1 with f >= 1), fewer than three
hospitals (of two, each could subtract itself from the sum and read the other).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from network.consortium.errors import TopologyError, TopologyFileError, UnknownMemberError
from network.runtime.located_yaml import Located
from network.runtime.yaml_limits import read_yaml_text

ORDERERS_MIN: Final = 4
HOSPITALS_MIN: Final = 3
HOSPITAL: Final = "hospital"
AUTHORITY: Final = "authority"

_TOP = {"Channel", "PortBase", "Chaincode", "OrdererOrgs", "PeerOrgs"}
_ORGANISATION = {"Name", "Domain", "EnableNodeOUs", "CA", "Template", "Specs", "Users"}
_ORGANISATION_REQUIRED = ("Name", "Domain", "EnableNodeOUs")
_PEER_ORGANISATION = _ORGANISATION | {"Role", "Host", "Ports"}
# MSP ids, collection names and directories are made from it; Fabric allows no more in these.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_CHANNEL = re.compile(r"[a-z][a-z0-9.-]{0,60}")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_CHAINCODE = re.compile(r"[A-Za-z0-9]+([-_][A-Za-z0-9]+)*")
_VERSION = re.compile(r"[A-Za-z0-9_.+-]+")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one member's nodes, by the name used in crypto-config.yaml."""

    peer: int
    peer_chaincode: int
    peer_operations: int
    chaincode: int
    orderer: int
    orderer_admin: int
    orderer_operations: int

    @classmethod
    def from_base(cls, base: int) -> Ports:
        """Return a block of consecutive ports.

        >>> Ports.from_base(17010).orderer
        17014
        """
        return cls(*range(base, base + len(fields(cls))))

    def named(self) -> Iterator[tuple[str, int]]:
        """Yield each port with its key in crypto-config.yaml."""
        for field in fields(self):
            yield _port_key(field.name), getattr(self, field.name)


def _port_key(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


@dataclass(frozen=True, slots=True)
class CertificateSubject:
    """The optional subject fields of a member's CA (cryptogen's CA section)."""

    country: str = ""
    province: str = ""
    locality: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """One member organisation."""

    name: str
    domain: str
    role: str  # HOSPITAL or AUTHORITY
    host: str  # address or name at which the others reach its nodes
    ports: Ports
    peer_hostname: str
    peer_sans: tuple[str, ...]
    orderer_hostname: str | None  # None: it runs no ordering node
    orderer_sans: tuple[str, ...] = ()
    users: int = 0  # clients User1..UserN besides `client`
    subject: CertificateSubject = CertificateSubject()

    @property
    def msp_id(self) -> str:
        """The id of its one MSP."""
        return f"{self.name}MSP"

    @property
    def is_hospital(self) -> bool:
        """Whether it trains, and so runs a chaincode service."""
        return self.role == HOSPITAL

    @property
    def peer_name(self) -> str:
        """The DNS name in its peer's TLS certificate."""
        return f"{self.peer_hostname}.{self.domain}"

    @property
    def orderer_name(self) -> str:
        """The DNS name in its ordering node's TLS certificate."""
        return f"{self.orderer_hostname}.{self.domain}"

    @property
    def peer_address(self) -> str:
        """Where the others reach its peer."""
        return f"{self.host}:{self.ports.peer}"

    @property
    def orderer_address(self) -> str:
        """Where the others reach its ordering node."""
        return f"{self.host}:{self.ports.orderer}"

    def used_ports(self) -> Iterator[tuple[str, int]]:
        """Yield the ports it listens on, with their keys."""
        for key, port in self.ports.named():
            if key.startswith("Orderer") and self.orderer_hostname is None:
                continue
            if key == "Chaincode" and not self.is_hospital:
                continue
            yield key, port


@dataclass(frozen=True, slots=True)
class ChaincodeDefinition:
    """What is to run on the channel."""

    name: str
    version: str
    module: str  # `python -m module SETTINGS.json` is the service
    collection_prefix: str
    block_to_live: int  # blocks; 0 keeps forever

    @property
    def label(self) -> str:
        """The label of its packages."""
        return f"{self.name}_{self.version}"


@dataclass(frozen=True, slots=True)
class Topology:
    """The consortium."""

    channel: str
    chaincode: ChaincodeDefinition
    members: tuple[Member, ...]

    @property
    def hospitals(self) -> tuple[Member, ...]:
        """The members that train, in the file's order."""
        return tuple(member for member in self.members if member.is_hospital)

    @property
    def orderers(self) -> tuple[Member, ...]:
        """The members that run an ordering node, in the file's order."""
        return tuple(member for member in self.members if member.orderer_hostname)

    def member(self, name: str) -> Member:
        """Return the member of that name.

        Raises:
            UnknownMemberError: There is none.
        """
        for member in self.members:
            if member.name == name:
                return member
        raise UnknownMemberError(name, tuple(member.name for member in self.members))

    @classmethod
    def load(cls, path: Path) -> Topology:
        """Read a crypto-config.yaml.

        Raises:
            TopologyFileError: The file is missing or no text.
            TopologyError: It says something that cannot be.
        """
        try:
            document = read_yaml_text(path)
        except OSError as error:
            raise TopologyFileError(path, error.strerror or str(error)) from None
        except UnicodeDecodeError:
            raise TopologyFileError(path, "it is no UTF-8 text") from None
        return cls.read(document, path)

    @classmethod
    def read(cls, document: str, path: Path | None = None) -> Topology:
        """Read the text of a crypto-config.yaml.

        Raises:
            TopologyError: It says something that cannot be.
        """
        top = Located.read(document, lambda line, problem: TopologyError(line, problem, path))
        found = top.fields(_TOP, required=("Channel", "Chaincode", "OrdererOrgs", "PeerOrgs"))
        base = found["PortBase"].integer(1024, 65_000) if "PortBase" in found else None
        orderers = _orderer_organisations(found["OrdererOrgs"])
        members: list[Member] = []
        for index, item in enumerate(found["PeerOrgs"].items()):
            member = _member(item, None if base is None else base + 10 * index, orderers)
            if member.name in {other.name for other in members}:
                raise item.refuse(f"the member `{member.name}` stands in PeerOrgs twice")
            if member.domain in {other.domain for other in members}:
                raise item.refuse(f"the domain `{member.domain}` belongs to two members")
            _check_ports(item, member, members)
            members.append(member)
        for organisation in orderers.values():
            raise organisation.place.refuse(
                f"`{organisation.name}` stands in OrdererOrgs alone; every member runs a peer, so "
                "name it in PeerOrgs too"
            )
        topology = cls(
            _matching(found["Channel"], _CHANNEL, "lower-case letters, digits, dots and dashes"),
            _chaincode(found["Chaincode"]),
            tuple(members),
        )
        if len(topology.orderers) < ORDERERS_MIN:
            raise found["OrdererOrgs"].refuse(
                f"{len(topology.orderers)} ordering nodes; Byzantine fault tolerance needs at "
                f"least {ORDERERS_MIN}"
            )
        if len(topology.hospitals) < HOSPITALS_MIN:
            raise found["PeerOrgs"].refuse(
                f"{len(topology.hospitals)} hospitals; at least {HOSPITALS_MIN} are needed, of "
                "fewer each could read another's update from the sum"
            )
        return topology


@dataclass(frozen=True, slots=True)
class _Organisation:
    """What cryptogen's keys say about one organisation of either list."""

    place: Located
    name: str
    domain: str
    hostname: str
    sans: tuple[str, ...]
    users: int
    subject: CertificateSubject


def _matching(value: Located, pattern: re.Pattern[str], allowed: str) -> str:
    text = value.text()
    if not pattern.fullmatch(text):
        raise value.refuse(f"`{text}` is not allowed here; allowed: {allowed}")
    return text


def _host(value: Located) -> str:
    text = value.text()
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if not _DOMAIN.fullmatch(text):
            raise value.refuse(f"`{text}` is neither an IP address nor a host name") from None
    return text


def _orderer_organisations(value: Located) -> dict[str, _Organisation]:
    found: dict[str, _Organisation] = {}
    for item in value.items():
        found_keys = item.fields(_ORGANISATION, _ORGANISATION_REQUIRED)
        organisation = _organisation(item, found_keys, "orderer")
        if organisation.name in found:
            raise item.refuse(f"`{organisation.name}` stands in OrdererOrgs twice")
        found[organisation.name] = organisation
    return found


def _organisation(item: Located, found: dict[str, Located], kind: str) -> _Organisation:
    if not found["EnableNodeOUs"].switch():
        raise found["EnableNodeOUs"].refuse(
            "must be true: the certificate's OU tells peers, orderers, admins and clients apart"
        )
    hostname, sans = _node(item, found, kind)
    users = 0
    if "Users" in found:
        counts = found["Users"].fields({"Count"})
        users = counts["Count"].integer(0, 1000) if "Count" in counts else 0
    subject = CertificateSubject()
    if "CA" in found:
        parts = found["CA"].fields({"Country", "Province", "Locality"})
        subject = CertificateSubject(**{key.lower(): part.text() for key, part in parts.items()})
        if subject.country and len(subject.country) != 2:
            raise parts["Country"].refuse("a country is its two-letter code")
    return _Organisation(
        item,
        _matching(found["Name"], _NAME, "a lower-case letter, then letters, digits and dashes"),
        _matching(found["Domain"], _DOMAIN, "a lower-case DNS name"),
        hostname,
        sans,
        users,
        subject,
    )


def _node(item: Located, found: dict[str, Located], kind: str) -> tuple[str, tuple[str, ...]]:
    """Return host name and SANs of an organisation's one node, from Specs or Template."""
    nodes = []
    if "Specs" in found:
        for spec in found["Specs"].items():
            parts = spec.fields({"Hostname", "SANS"}, required=("Hostname",))
            nodes.append(
                (_matching(parts["Hostname"], _NAME, "a lower-case host name"), _sans(parts))
            )
    if "Template" in found:
        parts = found["Template"].fields({"Count", "SANS"}, required=("Count",))
        # cryptogen's default host name of a template is prefix and index
        nodes += [
            (f"{kind}{index}", _sans(parts)) for index in range(parts["Count"].integer(0, 100))
        ]
    if len(nodes) != 1:
        place = found.get("Specs") or found.get("Template") or item
        raise place.refuse(f"{len(nodes)} {kind} nodes; a member runs exactly one {kind}")
    return nodes[0]


def _sans(parts: dict[str, Located]) -> tuple[str, ...]:
    return tuple(_host(name) for name in parts["SANS"].items()) if "SANS" in parts else ()


def _member(item: Located, base: int | None, orderers: dict[str, _Organisation]) -> Member:
    """Read one organisation of PeerOrgs; take its ordering node out of `orderers`."""
    found = item.fields(_PEER_ORGANISATION, required=(*_ORGANISATION_REQUIRED, "Role", "Host"))
    peer = _organisation(item, found, "peer")
    orderer = orderers.pop(peer.name, None)
    if orderer and orderer.domain != peer.domain:
        raise orderer.place.refuse(
            f"`{peer.name}` has the domain {orderer.domain} here and {peer.domain} in PeerOrgs"
        )
    host = _host(found["Host"])
    return Member(
        name=peer.name,
        domain=peer.domain,
        role=found["Role"].text((HOSPITAL, AUTHORITY)),
        host=host,
        ports=_ports(item, found.get("Ports"), base),
        peer_hostname=peer.hostname,
        peer_sans=peer.sans,
        orderer_hostname=orderer.hostname if orderer else None,
        orderer_sans=orderer.sans if orderer else (),
        users=peer.users,
        subject=peer.subject,
    )


def _ports(item: Located, section: Located | None, base: int | None) -> Ports:
    keys = {_port_key(field.name): field.name for field in fields(Ports)}
    found = section.fields({"Base", *keys}) if section else {}
    if "Base" in found:
        base = found["Base"].integer(1024, 65_000)
    if base is None and len(found) < len(keys):
        raise (section or item).refuse("no ports: give PortBase at the top, or Ports: {Base: N}")
    block = dict(Ports.from_base(base).named()) if base is not None else {}
    block |= {key: value.integer(1024, 65_535) for key, value in found.items() if key != "Base"}
    return Ports(**{name: block[key] for key, name in keys.items()})


def _check_ports(item: Located, member: Member, others: list[Member]) -> None:
    taken = {
        port: f"{other.name} {key}"
        for other in others
        if other.host == member.host
        for key, port in other.used_ports()
    }
    for key, port in member.used_ports():
        if port in taken:
            raise item.refuse(f"port {port} of {member.name} {key} is also that of {taken[port]}")
        taken[port] = f"{member.name} {key}"


def _chaincode(value: Located) -> ChaincodeDefinition:
    keys = ("Name", "Version", "Module", "HospitalCollections")
    found = value.fields(keys, required=keys)
    collections = found["HospitalCollections"].fields(
        ("Prefix", "BlockToLive"), required=("Prefix", "BlockToLive")
    )
    return ChaincodeDefinition(
        name=_matching(found["Name"], _CHAINCODE, "letters, digits, single dashes, underscores"),
        version=_matching(found["Version"], _VERSION, "letters, digits and _ . + -"),
        module=_matching(found["Module"], _MODULE, "a dotted Python module name"),
        collection_prefix=_matching(collections["Prefix"], _PREFIX, "letters, digits, _ and -"),
        block_to_live=collections["BlockToLive"].integer(0, 1_000_000),
    )
