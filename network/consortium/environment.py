"""What standard Fabric clients need to reach a member: shell exports and a connection profile."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from network.consortium.member import PEER, MemberDirectory
from network.consortium.provisioning import user_names, write_json
from network.consortium.topology import Member


def peer_cli_exports(directory: MemberDirectory, binaries: Path) -> dict[str, str]:
    """Return what the stock `peer` CLI reads, plus CHANNEL and CHAINCODE.

    The folder named by FABRIC_CFG_PATH holds the peer's core.yaml: the CLI refuses to start
    without one. The identity is the member's Admin, which lifecycle queries need.
    """
    topology = directory.topology()
    member = topology.member(directory.name)
    certificate, key = (str(path.absolute()) for path in directory.tls("client"))
    return {
        "FABRIC_CFG_PATH": str(directory.configuration(PEER).absolute()),
        "FABRIC_BIN": str(binaries),
        "CORE_PEER_ADDRESS": member.peer_address,
        "CORE_PEER_LOCALMSPID": member.msp_id,
        "CORE_PEER_MSPCONFIGPATH": str(directory.user_msp("Admin").absolute()),
        "CORE_PEER_TLS_ENABLED": "true",
        "CORE_PEER_TLS_ROOTCERT_FILE": str(directory.tls_root.absolute()),
        "CORE_PEER_TLS_CLIENTAUTHREQUIRED": "true",
        "CORE_PEER_TLS_CLIENTCERT_FILE": certificate,
        "CORE_PEER_TLS_CLIENTKEY_FILE": key,
        "CHANNEL": topology.channel,
        "CHAINCODE": topology.chaincode.name,
    }


def as_shell(exports: dict[str, str]) -> str:
    """Return lines for `eval`.

    >>> as_shell({"CHANNEL": "my channel"})
    "export CHANNEL='my channel'"
    """
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in exports.items())


def connection_profile(directory: MemberDirectory) -> dict[str, Any]:
    """Return a Fabric connection profile, all paths absolute.

    It has the fields that fabric-sdk-py insists on (`certificateAuthorities`, though empty;
    `client.credentialStore`; `grpc.ssl_target_name_override`) and those of the Node SDK's common
    profile. Peers of the other members are listed because they endorse; only this member's users
    are.
    """
    topology = directory.topology()
    own = topology.member(directory.name)
    certificate, key = (str(path.absolute()) for path in directory.tls("client"))
    client_tls = {"clientCert": {"path": certificate}, "clientKey": {"path": key}}

    def tls_root(member: Member) -> dict[str, str]:
        return {"path": str(directory.tls_root_of(member.name).absolute())}

    def endpoint(member: Member, name: str, address: str) -> dict[str, Any]:
        return {
            "url": address,
            "grpcOptions": {
                "grpc.ssl_target_name_override": name,
                "ssl-target-name-override": name,
            },
            "tlsCACerts": tls_root(member),
            **client_tls,
        }

    store = str((directory.client_path / "credentials").absolute())
    roles = {"endorsingPeer": True, "chaincodeQuery": True, "ledgerQuery": True}
    return {
        "name": topology.channel,
        "version": "1.0.0",
        "client": {
            "organization": own.domain,
            "credentialStore": {"path": store, "cryptoStore": {"path": store}, "wallet": store},
        },
        "channels": {
            topology.channel: {
                "orderers": [member.orderer_name for member in topology.orderers],
                "peers": {
                    member.peer_name: {
                        **roles,
                        "endorsingPeer": member.is_hospital,
                        "eventSource": member == own,
                    }
                    for member in topology.members
                },
                "chaincodes": [],
            }
        },
        "organizations": {
            member.domain: {
                "mspid": member.msp_id,
                "peers": [member.peer_name],
                "users": _users(directory, member) if member == own else {},
            }
            for member in topology.members
        },
        "orderers": {
            member.orderer_name: endpoint(member, member.orderer_name, member.orderer_address)
            for member in topology.orderers
        },
        "peers": {
            member.peer_name: endpoint(member, member.peer_name, member.peer_address)
            | {"eventUrl": member.peer_address}
            for member in topology.members
        },
        "certificateAuthorities": {},
    }


def _users(directory: MemberDirectory, member: Member) -> dict[str, dict[str, str]]:
    found = {}
    for user in ("Admin", *user_names(member)):
        folder = directory.user_msp(user).absolute()
        found[user] = {
            "cert": str(folder / "signcerts/cert.pem"),
            "private_key": str(folder / "keystore/key.pem"),
        }
    return found


def write_profile(directory: MemberDirectory, output: Path) -> None:
    """Write the connection profile as JSON."""
    write_json(output, connection_profile(directory))
