"""The channel's first block, from each member's public files alone.

The channel configuration is written as JSON (configtxgen's YAML reader takes it) and turned into a
block by Fabric's own configtxgen. T of the hospitals' peers endorse, also the chaincode lifecycle,
and T of their administrators change the channel (`network.quorum`): the authority follows the
channel, endorses nothing and administers nothing. Ordering is SmartBFT; its timeouts are those
measured to change the leader within about a second and not to change it under load.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from network.consortium.certificates import write_public
from network.consortium.errors import ToolError
from network.consortium.member import MemberDirectory
from network.consortium.provisioning import write_json
from network.consortium.topology import Member, Topology
from network.quorum import hospital_quorum

_PROFILE: Final = "Consortium"


@dataclass(frozen=True, slots=True)
class OrderingSettings:
    """How blocks are cut and when a leader is given up."""

    batch_timeout: str = "200ms"
    batch_messages: int = 50  # transactions a block at most
    batch_bytes: str = "99 MB"  # above it a transaction is refused; gRPC's limit is 100 MiB
    batch_preferred_bytes: str = "8 MB"
    batch_interval: str = "50ms"  # SmartBFT cuts a block after this long
    forward_timeout: str = "300ms"  # a follower passes a request on to the leader
    complain_timeout: str = "1s"  # a follower complains of the leader
    remove_timeout: str = "3m0s"
    view_change_resend: str = "500ms"
    view_change_timeout: str = "3s"
    heartbeat_timeout: str = "2s"
    heartbeat_count: int = 10
    collect_timeout: str = "1s"
    incoming_buffer: int = 200
    request_pool: int = 1000


def _signature(rule: str) -> dict[str, str]:
    return {"Type": "Signature", "Rule": rule}


def _meta(rule: str) -> dict[str, str]:
    return {"Type": "ImplicitMeta", "Rule": rule}


def quorum_rule(msp_ids: Sequence[str], role: str) -> str:
    """Return the rule by which T of these hospitals sign, each in this role.

    >>> quorum_rule(["AMSP", "BMSP", "CMSP", "DMSP"], "peer")
    "OutOf(3, 'AMSP.peer', 'BMSP.peer', 'CMSP.peer', 'DMSP.peer')"
    """
    signers = ", ".join(f"'{msp_id}.{role}'" for msp_id in sorted(msp_ids))
    return f"OutOf({hospital_quorum(len(msp_ids))}, {signers})"


def _organisation(directory: MemberDirectory, member: Member) -> dict[str, Any]:
    msp_id = member.msp_id
    return {
        "Name": msp_id,
        "ID": msp_id,
        "MSPDir": str((directory.check_public_of(member.name) / "msp").absolute()),
        "Policies": {
            "Readers": _signature(f"OR('{msp_id}.member')"),
            "Writers": _signature(f"OR('{msp_id}.member')"),
            "Admins": _signature(f"OR('{msp_id}.admin')"),
            "Endorsement": _signature(f"OR('{msp_id}.peer')"),
        },
    }


def _consenter(directory: MemberDirectory, number: int, member: Member) -> dict[str, Any]:
    folder = directory.public_of(member.name).absolute() / "orderer"
    return {
        "ID": number,
        "Host": member.host,
        "Port": member.ports.orderer,
        "MSPID": member.msp_id,
        "Identity": str(folder / "identity.pem"),
        "ClientTLSCert": str(folder / "tls.pem"),
        "ServerTLSCert": str(folder / "tls.pem"),
    }


def _smart_bft(settings: OrderingSettings) -> dict[str, Any]:
    return {
        # Fabric overwrites these two with BatchSize (orderer/consensus/smartbft/util).
        "RequestBatchMaxCount": settings.batch_messages,
        "RequestBatchMaxBytes": 100 * 2**20,
        "RequestBatchMaxInterval": settings.batch_interval,
        "RequestForwardTimeout": settings.forward_timeout,
        "RequestComplainTimeout": settings.complain_timeout,
        "RequestAutoRemoveTimeout": settings.remove_timeout,
        "ViewChangeResendInterval": settings.view_change_resend,
        "ViewChangeTimeout": settings.view_change_timeout,
        "LeaderHeartbeatTimeout": settings.heartbeat_timeout,
        "LeaderHeartbeatCount": settings.heartbeat_count,
        "CollectTimeout": settings.collect_timeout,
        "IncomingMessageBufferSize": settings.incoming_buffer,
        "RequestPoolSize": settings.request_pool,
    }


def channel_configuration(
    directory: MemberDirectory, topology: Topology, settings: OrderingSettings
) -> dict[str, Any]:
    """Return what configtxgen reads.

    Args:
        directory: The member that makes the block; it holds the public files of all.
        topology: Who exists.
        settings: How blocks are cut.

    Raises:
        MemberFileError: A member has not handed its public files over.
    """
    peers = [
        _organisation(directory, member)
        | {"AnchorPeers": [{"Host": member.host, "Port": member.ports.peer}]}
        for member in topology.members
    ]
    orderers = [
        _organisation(directory, member) | {"OrdererEndpoints": [member.orderer_address]}
        for member in topology.orderers
    ]
    hospitals = [member.msp_id for member in topology.hospitals]
    endorsement = _signature(quorum_rule(hospitals, "peer"))
    policies = {
        "Readers": _meta("ANY Readers"),
        "Writers": _meta("ANY Writers"),
        "Admins": _signature(quorum_rule(hospitals, "admin")),
    }
    return {
        "Profiles": {
            _PROFILE: {
                "Policies": policies,
                "Capabilities": {"V3_0": True},
                "Orderer": {
                    "OrdererType": "BFT",
                    "BatchTimeout": settings.batch_timeout,
                    "BatchSize": {
                        "MaxMessageCount": settings.batch_messages,
                        "AbsoluteMaxBytes": settings.batch_bytes,
                        "PreferredMaxBytes": settings.batch_preferred_bytes,
                    },
                    "Organizations": orderers,
                    "Policies": {**policies, "BlockValidation": _meta("ANY Writers")},
                    "Capabilities": {"V2_0": True},
                    "ConsenterMapping": [
                        _consenter(directory, number, member)
                        for number, member in enumerate(topology.orderers, start=1)
                    ],
                    "SmartBFT": _smart_bft(settings),
                },
                "Application": {
                    "Organizations": peers,
                    "Capabilities": {"V2_5": True},
                    "Policies": {
                        **policies,
                        "LifecycleEndorsement": endorsement,
                        "Endorsement": endorsement,
                    },
                },
            }
        }
    }


def make_genesis_block(
    directory: MemberDirectory,
    binaries: Path,
    settings: OrderingSettings = OrderingSettings(),
) -> bytes:
    """Make the block and write it to the member's directory.

    The block carries a random nonce, so it is made once, by one member, and handed to the others.

    Raises:
        ToolError: configtxgen refused the configuration.
    """
    topology = directory.topology()
    with TemporaryDirectory(prefix="genesis-") as scratch:
        write_json(
            Path(scratch) / "configtx.yaml", channel_configuration(directory, topology, settings)
        )
        block = Path(scratch) / "genesis.block"
        command = [str(binaries / "configtxgen"), "-configPath", scratch, "-profile", _PROFILE]
        command += ["-channelID", topology.channel, "-outputBlock", str(block)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        if done.returncode:
            raise ToolError(f"configtxgen refused the channel configuration: {done.stderr[-1500:]}")
        content = block.read_bytes()
    write_public(directory.genesis_block, content)
    return content
