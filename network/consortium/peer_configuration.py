"""A peer's core.yaml, rendered from one dataclass.

The file is JSON, which Fabric's YAML reader takes; it holds every key the peer needs, so nothing
comes from a sample file or from environment variables. Keys: fabric sampleconfig/core.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from network.clock import TIME_WINDOW_S
from network.consortium import builder
from network.consortium.member import PEER, MemberDirectory
from network.consortium.own_endpoint import LOOPBACK
from network.consortium.topology import Member, Topology

MESSAGE_BYTES_MAX: Final = 100 * 2**20  # gRPC limit of peers, orderers and chaincode alike


@dataclass(frozen=True, slots=True)
class PeerTimes:
    """The times that differ from Fabric's defaults, each with its reason."""

    # A first handshake always fails (the other side has not joined yet); the default waits 25 s.
    gossip_reconnect: str = "1s"
    gossip_alive: str = "1s"  # a silent peer leaves endorsement plans after five of these
    gossip_state_info: str = "1s"
    # Every answer holds all members' signed heights, and each is verified again: asked once a
    # second, that is half of what an idle peer computes. News come by themselves (the line above).
    gossip_state_info_request: str = "4s"
    gossip_membership: str = "500ms"
    push_acknowledged: str = "20s"  # the default of 3 s fails private pushes of 20 MB
    pull_retry: str = "3s"  # how long a commit waits for private data; the default is 60 s
    reconcile: str = "2s"
    # A chunk that failed to reconcile once is tried again after this; the default is 60 minutes.
    reconcile_deprioritised: str = "10s"
    endorse: str = "5s"  # a silently dead endorser costs this much once
    broadcast: str = "60s"
    dial: str = "10s"
    # Without blocks for this long another ordering node is asked; the default is 30 s.
    censorship: str = "2s"
    # The gateway inside a peer pings every 10 s; the default minimum of 60 s answers GOAWAY.
    keepalive_min: str = "5s"
    execute: str = "60s"


@dataclass(frozen=True, slots=True)
class PeerConfiguration:
    """What one peer is told."""

    directory: MemberDirectory
    topology: Topology
    times: PeerTimes = PeerTimes()

    @property
    def member(self) -> Member:
        """Whose peer it is."""
        return self.topology.member(self.directory.name)

    def document(self) -> dict[str, Any]:
        """Return core.yaml."""
        data = self.directory.data(PEER).absolute()
        return {
            "peer": self._peer(data),
            "vm": {"endpoint": ""},  # else the peer looks for Docker
            "chaincode": self._chaincode(),
            "ledger": {
                "state": {"stateDatabase": "goleveldb", "totalQueryLimit": 100_000},
                "history": {"enableHistoryDatabase": True},
                "pvtdataStore": {
                    "purgeInterval": 5,  # blocks
                    "purgedKeyAuditLogging": True,
                    "collElgProcMaxDbBatchSize": 5000,
                    "collElgProcDbBatchesInterval": 1000,
                    "deprioritizedDataReconcilerInterval": self.times.reconcile_deprioritised,
                },
                "snapshots": {"rootDir": str(data / "snapshots")},
            },
            "operations": {
                "listenAddress": f"{LOOPBACK}:{self.member.ports.peer_operations}",
                "tls": self._operations_tls(),
            },
            "metrics": {"provider": "prometheus"},
        }

    def _peer(self, data: Path) -> dict[str, Any]:
        member, times = self.member, self.times
        return {
            "id": member.peer_name,
            "networkId": self.topology.channel,
            "listenAddress": member.peer_address,
            "address": member.peer_address,
            "chaincodeListenAddress": f"{LOOPBACK}:{member.ports.peer_chaincode}",
            "localMspId": member.msp_id,
            "mspConfigPath": str(self.directory.node_msp(PEER).absolute()),
            "fileSystemPath": str(data),
            "maxRecvMsgSize": MESSAGE_BYTES_MAX,
            "maxSendMsgSize": MESSAGE_BYTES_MAX,
            "tls": self._tls(),
            "profile": {"enabled": False},  # Go's profiler: memory, for whoever asks
            "keepalive": {
                "interval": "7200s",
                "timeout": "20s",
                "minInterval": times.keepalive_min,
                "client": {"interval": "60s", "timeout": "20s"},
                "deliveryClient": {"interval": "10s", "timeout": "5s"},
            },
            "authentication": {"timewindow": f"{TIME_WINDOW_S}s"},
            "BCCSP": {"Default": "SW", "SW": {"Hash": "SHA2", "Security": 256}},
            "gossip": self._gossip(),
            "gateway": {
                "enabled": True,
                "endorsementTimeout": times.endorse,
                "broadcastTimeout": times.broadcast,
                "dialTimeout": times.dial,
            },
            "deliveryclient": {
                "blockCensorshipTimeoutKey": times.censorship,
                "connTimeout": "3s",
                "minimalReconnectInterval": "100ms",
                "reConnectBackoffThreshold": "5s",
                "reconnectTotalTimeThreshold": "3600s",
                "policy": "cluster",
            },
            "discovery": {
                "enabled": True,
                "authCacheEnabled": True,
                "authCacheMaxSize": 1000,
                "authCachePurgeRetentionRatio": 0.75,
                "orgMembersAllowedAccess": False,
            },
            "limits": {
                "concurrency": {
                    "endorserService": 2500,
                    "deliverService": 2500,
                    "gatewayService": 500,
                }
            },
            "handlers": {
                # TimeWindowCheck refuses proposals far from this peer's clock: without it a single
                # client sets the ledger's time.
                "authFilters": [
                    {"name": "DefaultAuth"},
                    {"name": "ExpirationCheck"},
                    {"name": "TimeWindowCheck"},
                ],
                "decorators": [{"name": "DefaultDecorator"}],
                "endorsers": {"escc": {"name": "DefaultEndorsement"}},
                "validators": {"vscc": {"name": "DefaultValidation"}},
            },
        }

    def _tls(self) -> dict[str, Any]:
        certificate, key = (str(path.absolute()) for path in self.directory.tls(PEER))
        roots = [
            str(self.directory.tls_root_of(member.name).absolute())
            for member in self.topology.members
        ]
        return {
            "enabled": True,
            "cert": {"file": certificate},
            "key": {"file": key},
            "rootcert": {"file": str(self.directory.tls_root.absolute())},
            "clientAuthRequired": True,
            "clientRootCAs": {"files": roots},
            "clientCert": {"file": certificate},
            "clientKey": {"file": key},
        }

    def _operations_tls(self) -> dict[str, Any]:
        certificate, key = (str(path.absolute()) for path in self.directory.tls(PEER))
        return {
            "enabled": True,
            "cert": {"file": certificate},
            "key": {"file": key},
            # Else health and version answer anybody, whatever the rest asks for.
            "clientAuthRequired": True,
            # This member's own people alone.
            "clientRootCAs": {"files": [str(self.directory.tls_root.absolute())]},
        }

    def _gossip(self) -> dict[str, Any]:
        address, times = self.member.peer_address, self.times
        return {
            "bootstrap": address,
            "endpoint": address,
            "externalEndpoint": address,
            "useLeaderElection": False,
            "orgLeader": True,
            "reconnectInterval": times.gossip_reconnect,
            "aliveTimeInterval": times.gossip_alive,
            "publishStateInfoInterval": times.gossip_state_info,
            "requestStateInfoInterval": times.gossip_state_info_request,
            "membershipTrackerInterval": times.gossip_membership,
            "pvtData": {
                "pullRetryThreshold": times.pull_retry,
                "transientstoreMaxBlockRetention": 1000,
                "pushAckTimeout": times.push_acknowledged,
                "btlPullMargin": 10,
                "reconcileBatchSize": 10,
                "reconcileSleepInterval": times.reconcile,
                "reconciliationEnabled": True,
                "skipPullingInvalidTransactionsDuringCommit": False,
                "implicitCollectionDisseminationPolicy": {
                    "requiredPeerCount": 0,
                    "maxPeerCount": 1,
                },
            },
        }

    def _chaincode(self) -> dict[str, Any]:
        return {
            "mode": "net",
            "externalBuilders": [
                {
                    "name": builder.NAME,
                    "path": str(self.directory.builder.absolute()),
                    "propagateEnvironment": [],
                }
            ],
            "installTimeout": "60s",
            "startuptimeout": "60s",
            "executetimeout": self.times.execute,
            "system": {
                "_lifecycle": "enable",
                "cscc": "enable",
                "lscc": "disable",  # the lifecycle before Fabric 2, replaced by _lifecycle
                "qscc": "enable",
            },
            "runtimeParams": {
                "useWriteBatch": True,
                "maxSizeWriteBatch": 1000,
                "useGetMultipleKeys": True,
                "maxSizeGetMultipleKeys": 1000,
            },
            "logging": {"level": "info"},
        }
