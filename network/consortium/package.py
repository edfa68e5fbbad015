"""The package that tells a peer where its member's chaincode service listens.

A gzip tar of metadata.json and code.tar.gz, which holds connection.json. The same certificates give
the same bytes, so that the package id is known before the package is installed. The key in it is
one of its own (`tls/chaincode-client`), good for calling that service only; a package never leaves
its member.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field

from network.consortium.certificates import read_file
from network.consortium.member import CHAINCODE, MemberDirectory
from network.consortium.topology import Topology


@dataclass(frozen=True, slots=True)
class Package:
    """A chaincode package and its id, `label:sha256`."""

    package_id: str
    content: bytes = field(repr=False)


def deterministic_tar(files: Mapping[str, bytes]) -> bytes:
    """Pack files so that the same files give the same bytes.

    >>> deterministic_tar({"a": b"1"}) == deterministic_tar({"a": b"1"})
    True
    """
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(files[name]), 0o600
            archive.addfile(entry, io.BytesIO(files[name]))
    return gzip.compress(raw.getvalue(), mtime=0)


def build_package(directory: MemberDirectory, topology: Topology) -> Package:
    """Build a hospital's package: address of its service, mutual TLS.

    Raises:
        MemberFileError: A certificate or key is missing.
    """
    member = topology.member(directory.name)
    certificate, key = directory.tls("chaincode-client")
    connection = {
        "address": f"{member.host}:{member.ports.chaincode}",
        "dial_timeout": "10s",
        "tls_required": True,
        "client_auth_required": True,
        "client_cert": read_file(certificate).decode(),
        "client_key": read_file(key).decode(),
        "root_cert": read_file(directory.tls_root).decode(),
        "domain": f"{CHAINCODE}.{member.domain}",
    }
    code = deterministic_tar({"connection.json": json.dumps(connection, sort_keys=True).encode()})
    metadata = json.dumps({"label": topology.chaincode.label, "type": "ccaas"}).encode()
    content = deterministic_tar({"code.tar.gz": code, "metadata.json": metadata})
    digest = hashlib.sha256(content).hexdigest()
    return Package(f"{topology.chaincode.label}:{digest}", content)
