"""What a channel's configuration says of who orders, who vouches and who endorses.

Read from a common.ConfigEnvelope, the content of a configuration block. Whether that block may be
believed is the matter of `network.wire.verified_chain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography import x509
from fabric_protos.common import configtx_pb2, configuration_pb2, policies_pb2
from fabric_protos.msp import msp_config_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2

from network.channel_policies import ENDORSEMENT, QuorumPolicy
from network.errors import MalformedBytesError
from network.wire.block_signature import Consenter
from network.wire.decoding import decode
from network.wire.policy import quorum_of

#: The rule that endorsements of the chaincode follow, and of its definition.
CHAINCODE_POLICY: Final = ENDORSEMENT[0]
LIFECYCLE_POLICY: Final = ENDORSEMENT[1]
#: The ordering that signs blocks by a quorum of the nodes.
BFT: Final = "BFT"


@dataclass(frozen=True, slots=True)
class Organisation:
    """Whom one organisation vouches for.

    Attributes:
        msp_id: Its MSP.
        roots_pem: Certificates of its CA.
        peer_unit: Organisational unit in a certificate that makes its holder a peer (NodeOUs);
            empty where the organisation does not tell its identities apart.
        revoked: Issuer (DER) and serial number of each certificate it has revoked.
    """

    msp_id: str
    roots_pem: tuple[bytes, ...] = field(repr=False)
    peer_unit: str
    revoked: frozenset[tuple[bytes, int]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChannelConfiguration:
    """One configuration of a channel.

    Attributes:
        sequence: Its number; the first block has 0.
        ordering: Kind of ordering, such as "BFT".
        consenters: Ordering nodes, by number.
        organisations: By MSP, in MSP order.
        policies: The channel's endorsement policies by path; None for one that is not so many
            organisations' peers.
    """

    sequence: int
    ordering: str
    consenters: tuple[Consenter, ...]
    organisations: Mapping[str, Organisation]
    policies: Mapping[str, QuorumPolicy | None]

    def roots_pem(self) -> dict[str, tuple[bytes, ...]]:
        """Return each organisation's roots, by MSP."""
        return {msp_id: one.roots_pem for msp_id, one in self.organisations.items()}


def read_channel_configuration(encoded: bytes) -> ChannelConfiguration:
    """Read a common.ConfigEnvelope.

    Raises:
        MalformedBytesError: It is none, lacks ordering nodes, or contradicts itself.
    """
    envelope = decode(configtx_pb2.ConfigEnvelope, encoded, what="a configuration")
    groups = envelope.config.channel_group.groups
    missing = {"Application", "Orderer"} - set(groups)
    if missing:
        raise MalformedBytesError(f"the configuration has no group {', '.join(sorted(missing))}")
    application, orderer = groups["Application"], groups["Orderer"]
    return ChannelConfiguration(
        sequence=int(envelope.config.sequence),
        ordering=_ordering(orderer),
        consenters=_consenters(orderer),
        organisations=_organisations(application, orderer),
        policies={path: _policy(application, path) for path in ENDORSEMENT},
    )


def _ordering(orderer: Any) -> str:
    if "ConsensusType" not in orderer.values:
        raise MalformedBytesError("the configuration does not say how the channel is ordered")
    value = orderer.values["ConsensusType"].value
    return str(decode(orderer_pb2.ConsensusType, value, what="the consensus type").type)


def _consenters(orderer: Any) -> tuple[Consenter, ...]:
    value = orderer.values["Orderers"].value if "Orderers" in orderer.values else b""
    mapping = decode(configuration_pb2.Orderers, value, what="the ordering nodes")
    found = [Consenter(one.id, one.msp_id, one.identity) for one in mapping.consenter_mapping]
    numbers = {one.identifier for one in found}
    certificates = {one.certificate_pem.strip() for one in found}
    if len(numbers) != len(found) or len(certificates) != len(found):
        raise MalformedBytesError("the configuration names one ordering node twice")
    return tuple(sorted(found, key=lambda one: one.identifier))


def _organisations(*groups: Any) -> dict[str, Organisation]:
    found: dict[str, Organisation] = {}
    for group in groups:
        for name, inner in group.groups.items():
            value = inner.values["MSP"].value if "MSP" in inner.values else b""
            one = _organisation(name, value)
            # Fabric refuses two definitions of one MSP (common/channelconfig/msp_util.go).
            if found.setdefault(one.msp_id, one) != one:
                raise MalformedBytesError(f"the configuration defines {one.msp_id} twice")
    return dict(sorted(found.items()))


def _organisation(name: str, value: bytes) -> Organisation:
    config = decode(msp_config_pb2.MSPConfig, value, what=f"the MSP of {name}")
    member = decode(msp_config_pb2.FabricMSPConfig, config.config, what=f"the MSP of {name}")
    if not member.name:
        raise MalformedBytesError(f"the configuration has no MSP for {name}")
    units = member.fabric_node_ous
    revoked: set[tuple[bytes, int]] = set()
    for pem in member.revocation_list:
        try:
            listed = x509.load_pem_x509_crl(pem)
        except ValueError:
            raise MalformedBytesError(f"a revocation list of {name} does not decode") from None
        revoked |= {(listed.issuer.public_bytes(), one.serial_number) for one in listed}
    return Organisation(
        msp_id=str(member.name),
        roots_pem=tuple(bytes(root) for root in member.root_certs),
        peer_unit=(
            str(units.peer_ou_identifier.organizational_unit_identifier) if units.enable else ""
        ),
        revoked=frozenset(revoked),
    )


def _policy(application: Any, path: str) -> QuorumPolicy | None:
    name = path.rsplit("/", 1)[1]
    if name not in application.policies:
        return None
    policy = application.policies[name].policy
    if policy.type != policies_pb2.Policy.SIGNATURE:
        return None
    return quorum_of(
        decode(policies_pb2.SignaturePolicyEnvelope, policy.value, what=f"the policy {name}")
    )
