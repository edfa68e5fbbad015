"""Make a member: its CA, its nodes' and users' certificates, what it hands to the others.

Three steps, each a function of one member's directory: `make_member` makes what is missing and
never replaces a key; `accept_public` copies another member's public files in, after checking them
against that member's own roots; `describe_member` writes member.json. `provision_consortium` plays
all members in turn on one machine.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from network.consortium.certificates import (
    CertificateAuthority,
    KeyPair,
    check_issued,
    read_file,
    write_public,
    write_secret,
)
from network.consortium.errors import MemberFileError
from network.consortium.member import (
    CHAINCODE,
    FORMAT,
    MEMBER_FILE,
    ORDERER,
    PEER,
    TOPOLOGY_FILE,
    MemberDirectory,
    holds_public,
)
from network.consortium.topology import Member, Topology

#: OU names that NodeOUs tells roles by; Fabric's own defaults.
_ROLES: Final = ("Client", "Peer", "Admin", "Orderer")


def write_json(path: Path, content: object) -> None:
    """Write JSON that a person can read, never half."""
    write_public(path, (json.dumps(content, indent=2) + "\n").encode())


#: The user by which a hospital acts.
CLIENT_USER: Final = "client"


def user_names(member: Member) -> tuple[str, ...]:
    """Return the client users of a member; Admin comes on top."""
    return (CLIENT_USER, *(f"User{number}" for number in range(1, member.users + 1)))


def make_member(directory: MemberDirectory, *, now: datetime) -> None:
    """Make every key, certificate and public file of a member that is not there yet.

    Args:
        directory: The member's directory, holding the agreed crypto-config.yaml.
        now: Present time, with time zone.
    """
    topology = directory.topology()
    member = topology.member(directory.name)
    directory.path.chmod(0o700)
    if not (directory.ca / "tlsca.pem").exists():
        for name in ("ca", "tlsca"):
            root = CertificateAuthority.found(
                member.domain, f"{name}.{member.domain}", member.subject, now=now
            )
            root.save(directory.ca, name)
    identities = CertificateAuthority.load(directory.ca, "ca")
    tls = CertificateAuthority.load(directory.ca, "tlsca")
    _write_msp(directory.msp, identities, tls)
    write_public(directory.tls_root, tls.certificate_pem)
    nodes = [(PEER, member.peer_name, member.peer_sans)]
    if member.orderer_hostname:
        nodes.append((ORDERER, member.orderer_name, member.orderer_sans))
    for kind, name, sans in nodes:
        _node(directory, kind, name, (member.host, *sans), identities, tls, now)
    for user, role in (("Admin", "admin"), *((name, "client") for name in user_names(member))):
        if not _has_identity(directory.user_msp(user)):
            pair = identities.issue_identity(
                f"{user}@{member.domain}",
                role,
                now=now,
                acts_for_hospital=user == CLIENT_USER and member.is_hospital,
            )
            _write_identity(directory.user_msp(user), pair)
        _write_msp(directory.user_msp(user), identities, tls)
    _tls(directory, "client", f"client.{member.domain}", (), tls, now)
    if member.is_hospital:
        service = (member.host, "localhost") if member.host.startswith("127.") else (member.host,)
        for name, names in ((CHAINCODE, service), ("chaincode-client", ())):
            _tls(directory, name, f"{name}.{member.domain}", names, tls, now)
    _publish(directory, member)


def _node(
    directory: MemberDirectory,
    kind: str,
    name: str,
    names: tuple[str, ...],
    identities: CertificateAuthority,
    tls: CertificateAuthority,
    now: datetime,
) -> None:
    if not _has_identity(directory.node_msp(kind)):
        pair = identities.issue_identity(name, kind, now=now)
        _write_identity(directory.node_msp(kind), pair)
    _write_msp(directory.node_msp(kind), identities, tls)
    _tls(directory, kind, name, names, tls, now)


def _tls(
    directory: MemberDirectory,
    name: str,
    common_name: str,
    names: Sequence[str],
    tls: CertificateAuthority,
    now: datetime,
) -> None:
    certificate, key = directory.tls(name)
    if not (certificate.exists() and key.exists()):
        pair = tls.issue_tls(common_name, names, now=now)
        write_secret(key, pair.key_pem)
        write_public(certificate, pair.certificate_pem)


def _has_identity(folder: Path) -> bool:
    return (folder / "signcerts/cert.pem").exists() and (folder / "keystore/key.pem").exists()


def _write_identity(folder: Path, pair: KeyPair) -> None:
    write_secret(folder / "keystore/key.pem", pair.key_pem)
    write_public(folder / "signcerts/cert.pem", pair.certificate_pem)


def _write_msp(folder: Path, identities: CertificateAuthority, tls: CertificateAuthority) -> None:
    write_public(folder / "cacerts/ca.pem", identities.certificate_pem)
    write_public(folder / "tlscacerts/tlsca.pem", tls.certificate_pem)
    roles = {
        f"{role}OUIdentifier": {
            "Certificate": "cacerts/ca.pem",
            "OrganizationalUnitIdentifier": role.lower(),
        }
        for role in _ROLES
    }
    write_json(folder / "config.yaml", {"NodeOUs": {"Enable": True, **roles}})


def _publish(directory: MemberDirectory, member: Member) -> None:
    """Write public/: the MSP folder, the node certificates the channel names, addresses."""
    for source in sorted(path for path in directory.msp.rglob("*") if path.is_file()):
        target = directory.public / "msp" / source.relative_to(directory.msp)
        write_public(target, source.read_bytes())
    addresses: dict[str, object] = {
        "format": FORMAT,
        "member": member.name,
        "msp_id": member.msp_id,
        PEER: {"address": member.peer_address, "server_name": member.peer_name},
    }
    if member.orderer_hostname:
        identity = directory.node_msp(ORDERER) / "signcerts/cert.pem"
        write_public(directory.public / "orderer/identity.pem", identity.read_bytes())
        tls_certificate, _ = directory.tls(ORDERER)
        write_public(directory.public / "orderer/tls.pem", tls_certificate.read_bytes())
        addresses[ORDERER] = {
            "address": member.orderer_address,
            "server_name": member.orderer_name,
        }
    write_json(directory.public / "addresses.json", addresses)


def check_public(folder: Path, member: Member, *, now: datetime) -> None:
    """Check the public files of a member against its own roots.

    Raises:
        MemberFileError: A file is missing, or a private key lies among them.
        MemberCertificateError: A certificate is out of its dates or of another CA.
    """
    for path in folder.rglob("*"):
        if path.is_file() and b"PRIVATE KEY" in path.read_bytes():
            raise MemberFileError(path, "holds a private key, which must never be handed over")
    if member.orderer_hostname:
        roots = folder / "msp"
        check_issued(folder / "orderer/identity.pem", roots / "cacerts/ca.pem", now=now)
        check_issued(folder / "orderer/tls.pem", roots / "tlscacerts/tlsca.pem", now=now)


def accept_public(
    directory: MemberDirectory, member: Member, source: Path, *, now: datetime
) -> None:
    """Copy another member's public files in, checked.

    Args:
        directory: The receiving member.
        member: The member that hands its files over.
        source: Its public/ folder, or a copy of it.
        now: Present time, with time zone.

    Raises:
        MemberFileError: Files are missing or hold a private key.
        MemberCertificateError: A certificate is out of its dates or of another CA.
    """
    if not holds_public(source):
        raise MemberFileError(source, f"the public files of {member.name} are missing")
    check_public(source, member, now=now)
    target = directory.public_of(member.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.new")
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(source, scratch)
    if target.exists():
        shutil.rmtree(target)
    scratch.rename(target)


def describe_member(directory: MemberDirectory) -> None:
    """Write member.json, which is all that hospital-client reads; paths in it are relative."""
    topology = directory.topology()
    own = topology.member(directory.name)
    others = [member for member in topology.members if member.name != own.name]

    def public(member: Member) -> Path:
        return directory.public_of(member.name).relative_to(directory.path)

    certificate, key = (path.relative_to(directory.path) for path in directory.tls("client"))
    write_json(
        directory.path / MEMBER_FILE,
        {
            "format": FORMAT,
            "member": own.name,
            "msp_id": own.msp_id,
            "channel": topology.channel,
            "chaincode": topology.chaincode.name,
            "gateways": [
                {
                    "member": member.name,
                    "msp_id": member.msp_id,
                    "target": member.peer_address,
                    "server_name": member.peer_name,
                    "tls_root": str(public(member) / "msp/tlscacerts/tlsca.pem"),
                }
                for member in (own, *others)
            ],
            "identity": "users/client/msp",
            "client_tls": {"cert": str(certificate), "key": str(key)},
            "roots": {
                member.msp_id: str(public(member) / "msp/cacerts/ca.pem")
                for member in topology.members
            },
        },
    )


def provision_consortium(
    root: Path, document: str, *, now: datetime
) -> tuple[MemberDirectory, ...]:
    """Play every member in turn on this machine: found it, exchange public files, describe it.

    Safe to repeat: keys and certificates that are there stay.

    Args:
        root: The folder of all members.
        document: Text of crypto-config.yaml, checked already.
        now: Present time, with time zone.
    """
    topology = Topology.read(document)
    root.mkdir(parents=True, exist_ok=True)
    write_public(root / TOPOLOGY_FILE, document.encode())
    directories = tuple(MemberDirectory(root / member.name) for member in topology.members)
    for directory in directories:
        directory.path.mkdir(exist_ok=True, mode=0o700)
        write_public(directory.path / TOPOLOGY_FILE, document.encode())
        make_member(directory, now=now)
    for directory in directories:
        for member, other in zip(topology.members, directories, strict=True):
            if other != directory:
                accept_public(directory, member, other.public, now=now)
        describe_member(directory)
    return directories


def provision_member(
    root: Path, document: str, name: str, exchange: Path | None, *, now: datetime
) -> tuple[MemberDirectory, tuple[str, ...]]:
    """Found one member on its own host, and take in what the others have handed over so far.

    Args:
        root: The folder of this host's members.
        document: Text of the agreed crypto-config.yaml, checked already.
        name: The member.
        exchange: A folder with other members' public/ folders, each under its member's name, and
            perhaps `genesis.block`.
        now: Present time, with time zone.

    Returns:
        The member's directory, and the members whose files are still missing.

    Raises:
        UnknownMemberError: There is no such member.
        MemberFileError: Handed-over files are incomplete or hold a private key.
        MemberCertificateError: A handed-over certificate is out of its dates or foreign.
    """
    topology = Topology.read(document)
    topology.member(name)
    directory = MemberDirectory(root / name)
    root.mkdir(parents=True, exist_ok=True)
    write_public(root / TOPOLOGY_FILE, document.encode())
    directory.path.mkdir(exist_ok=True, mode=0o700)
    write_public(directory.path / TOPOLOGY_FILE, document.encode())
    make_member(directory, now=now)
    missing = []
    for other in topology.members:
        if other.name == name:
            continue
        if exchange is not None and holds_public(exchange / other.name):
            accept_public(directory, other, exchange / other.name, now=now)
        if not holds_public(directory.public_of(other.name)):
            missing.append(other.name)
    handed = exchange / "genesis.block" if exchange else None
    if handed and handed.exists() and not directory.genesis_block.exists():
        write_public(directory.genesis_block, read_file(handed))
    describe_member(directory)
    return directory, tuple(missing)


def with_port_base(document: str, base: int) -> str:
    r"""Return a crypto-config.yaml whose top-level PortBase is another one.

    >>> with_port_base("Channel: a\nPortBase: 17000  # first\n", 20000)
    'Channel: a\nPortBase: 20000  # first\n'
    """
    lines = document.splitlines(keepends=True)
    for index, line in enumerate(lines):
        if line.startswith("PortBase:"):
            _, _, rest = line.partition(":")
            lines[index] = "PortBase:" + rest.replace(rest.split("#")[0].strip(), str(base), 1)
            return "".join(lines)
    return f"PortBase: {base}\n{document}"
