"""An ordering node's orderer.yaml, rendered from one dataclass.

The file is JSON, which Fabric's YAML reader takes. No system channel: the node joins by the
channel participation API. Keys: fabric sampleconfig/orderer.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from network.consortium.member import ORDERER, MemberDirectory
from network.consortium.own_endpoint import LOOPBACK
from network.consortium.peer_configuration import MESSAGE_BYTES_MAX
from network.consortium.topology import Topology


@dataclass(frozen=True, slots=True)
class OrdererConfiguration:
    """What one ordering node is told."""

    directory: MemberDirectory
    topology: Topology
    keepalive_min: str = "5s"  # the peers' gateways ping every 10 s; the default of 60 s refuses

    def document(self) -> dict[str, Any]:
        """Return orderer.yaml."""
        member = self.topology.member(self.directory.name)
        data = self.directory.data(ORDERER).absolute()
        certificate, key = (str(path.absolute()) for path in self.directory.tls(ORDERER))
        own_roots = [str(self.directory.tls_root.absolute())]
        roots = [
            str(self.directory.tls_root_of(other.name).absolute())
            for other in self.topology.members
        ]
        local_tls = {
            "Enabled": True,
            "Certificate": certificate,
            "PrivateKey": key,
            "RootCAs": own_roots,
            # Else health and version answer anybody, whatever the rest asks for.
            "ClientAuthRequired": True,
            "ClientRootCAs": own_roots,  # this member's own people alone
        }
        return {
            "General": {
                "ListenAddress": member.host,
                "ListenPort": member.ports.orderer,
                "BootstrapMethod": "none",
                "TLS": {
                    "Enabled": True,
                    "PrivateKey": key,
                    "Certificate": certificate,
                    "RootCAs": own_roots,
                    # Not mutual: with it, an ordering node that fell behind cannot fetch blocks,
                    # because Fabric's BFT synchroniser leaves the certificate's hash out of its
                    # request ("client didn't include its TLS cert hash", seen with v3.1.1). Every
                    # request is signed by a member all the same, and the ordering nodes among
                    # themselves do show certificates (General.Cluster).
                    "ClientAuthRequired": False,
                    "ClientRootCAs": roots,
                },
                "Keepalive": {
                    "ServerMinInterval": self.keepalive_min,
                    "ServerInterval": "7200s",
                    "ServerTimeout": "20s",
                },
                "MaxRecvMsgSize": MESSAGE_BYTES_MAX,
                "MaxSendMsgSize": MESSAGE_BYTES_MAX,
                "Cluster": {
                    "SendBufferSize": 100,
                    "ClientCertificate": certificate,
                    "ClientPrivateKey": key,
                },
                "LocalMSPDir": str(self.directory.node_msp(ORDERER).absolute()),
                "LocalMSPID": member.msp_id,
                "BCCSP": {"Default": "SW", "SW": {"Hash": "SHA2", "Security": 256}},
                "Authentication": {"TimeWindow": "15m"},
                "Profile": {"Enabled": False},  # Go's profiler: memory, for whoever asks
            },
            "FileLedger": {"Location": str(data)},
            "Admin": {
                "ListenAddress": f"{LOOPBACK}:{member.ports.orderer_admin}",
                "TLS": local_tls,
            },
            "ChannelParticipation": {"Enabled": True, "MaxRequestBodySize": "1 MB"},
            "Consensus": {"WALDir": str(data / "wal"), "SnapDir": str(data / "snap")},
            "Operations": {
                "ListenAddress": f"{LOOPBACK}:{member.ports.orderer_operations}",
                "TLS": local_tls,
            },
            "Metrics": {"Provider": "prometheus"},
        }
