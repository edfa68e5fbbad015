"""A channel in memory with its configuration: four hospitals that endorse, order and sign.

Whatever a block holds is signed with real keys, so that a verifier is tested against a chain that
is good in everything but the one thing a test changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fabric_protos.common import common_pb2, configtx_pb2, configuration_pb2, policies_pb2
from fabric_protos.msp import msp_config_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2
from fabric_protos.peer import proposal_pb2

from network.quorum import hospital_quorum
from network.wire.block import Block, read_block
from network.wire.identity import Identity
from network.wire.policy import out_of, signature_policy
from network.wire.proposal import build_proposal
from network.wire.verified_chain import VerifiedChain
from tests.support.certificate_authority import NOW, Authority
from tests.support.fake_chain import VALID, FakeChain, Orderer, Result, endorse

CHANNEL = "hospitals"
CHAINCODE = "rounds"
MSPS = ("AMSP", "BMSP", "CMSP", "DMSP")


def _policy(group: Any, name: str, encoded: bytes) -> None:
    group.policies[name].policy.type = policies_pb2.Policy.SIGNATURE
    group.policies[name].policy.value = encoded


@dataclass
class FakeChannel:
    """Hospitals, their nodes, and the blocks they made.

    Attributes:
        authorities: Each hospital's CA.
        least: How many hospitals' peers must endorse; T of them where it is None.
        ordering: Kind of ordering that the configuration names.
        orderers: Who signs the next block.
        revoked: Revocation lists by MSP.
    """

    authorities: dict[str, Authority] = field(
        default_factory=lambda: {msp_id: Authority(msp_id) for msp_id in MSPS}
    )
    least: int | None = None
    ordering: str = "BFT"
    revoked: dict[str, list[bytes]] = field(default_factory=dict)
    orderers: list[Orderer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.peers = {msp_id: self.issue(msp_id, "peer") for msp_id in self.authorities}
        self.client = self.issue(next(iter(self.authorities)), "client")
        if not self.orderers:
            self.orderers = [
                Orderer(number, self.issue(msp_id, "orderer"))
                for number, msp_id in enumerate(self.authorities, start=1)
            ]
        self.sequence = 0
        self._nonces = 0
        payload = self._configuration(self.orderers)
        self.chain = FakeChain(orderers=self.orderers, genesis=payload)

    def issue(self, msp_id: str, unit: str) -> Identity:
        """Return a new identity of a hospital."""
        return self.authorities[msp_id].issue(unit, unit=unit).identity(msp_id)

    @property
    def roots(self) -> dict[str, tuple[bytes, ...]]:
        """The roots as a member's own directory holds them."""
        return {msp_id: (one.root_pem,) for msp_id, one in self.authorities.items()}

    def _configuration(self, orderers: Sequence[Orderer]) -> bytes:
        envelope = configtx_pb2.ConfigEnvelope()
        envelope.config.sequence = self.sequence
        channel = envelope.config.channel_group
        least = hospital_quorum(len(self.authorities)) if self.least is None else self.least
        for name in ("Application", "Orderer"):
            for msp_id, authority in self.authorities.items():
                member = msp_config_pb2.FabricMSPConfig(
                    name=msp_id,
                    root_certs=[authority.root_pem],
                    revocation_list=self.revoked.get(msp_id, []),
                )
                member.fabric_node_ous.enable = True
                member.fabric_node_ous.peer_ou_identifier.organizational_unit_identifier = "peer"
                config = msp_config_pb2.MSPConfig(config=member.SerializeToString())
                channel.groups[name].groups[msp_id].values["MSP"].value = config.SerializeToString()
        policy = signature_policy(out_of(least, tuple(self.authorities), "peer"))
        for name in ("Endorsement", "LifecycleEndorsement"):
            _policy(channel.groups["Application"], name, policy)
        values = channel.groups["Orderer"].values
        kind = orderer_pb2.ConsensusType(type=self.ordering)
        values["ConsensusType"].value = kind.SerializeToString()
        mapping = configuration_pb2.Orderers()
        for one in orderers:
            mapping.consenter_mapping.add(
                id=one.number, msp_id=one.identity.msp_id, identity=one.identity.certificate_pem
            )
        values["Orderers"].value = mapping.SerializeToString()
        header = common_pb2.ChannelHeader(type=common_pb2.CONFIG, channel_id=CHANNEL)
        header.timestamp.FromDatetime(NOW)
        signer = common_pb2.SignatureHeader(creator=self.orderers[0].identity.creator)
        return common_pb2.Payload(
            header=common_pb2.Header(
                channel_header=header.SerializeToString(),
                signature_header=signer.SerializeToString(),
            ),
            data=envelope.SerializeToString(),
        ).SerializeToString()

    def configure(self, orderers: Sequence[Orderer] | None = None, *, sequence: int = -1) -> int:
        """Order a configuration with these ordering nodes, who sign from the next block on."""
        self.sequence = self.sequence + 1 if sequence < 0 else sequence
        after = list(self.orderers if orderers is None else orderers)
        payload = self._configuration(after)
        signature = self.orderers[0].identity.sign(payload)
        number = self.chain.configure(common_pb2.Envelope(payload=payload, signature=signature))
        self.orderers = after
        self.chain.orderers = after
        return number

    def transaction(
        self,
        result: Result,
        *,
        endorsers: Sequence[str] | Sequence[Identity] = MSPS[:3],
        chaincode: str = CHAINCODE,
        channel: str = CHANNEL,
        nonce: bytes = b"",
        client: Identity | None = None,
    ) -> tuple[str, Any]:
        """Return a transaction's id and its signed envelope."""
        self._nonces += 1
        signer = client or self.client
        proposal = build_proposal(
            signer,
            channel=channel,
            chaincode=chaincode,
            args=("write",),
            nonce=nonce or self._nonces.to_bytes(24, "big"),
            at=NOW,
        )
        proposed = proposal_pb2.SignedProposal.FromString(proposal.encoded).proposal_bytes
        signers = [self.peers[one] if isinstance(one, str) else one for one in endorsers]
        payload = endorse(proposed, result, signers, chaincode)
        return proposal.transaction_id, common_pb2.Envelope(
            payload=payload, signature=signer.sign(payload)
        )

    def call(self, result: Result, *, code: int = VALID, **more: Any) -> int:
        """Order one transaction in a block of its own and return the block's number."""
        transaction_id, envelope = self.transaction(result, **more)
        return self.chain.append(envelope, transaction_id, code)

    def put(self, key: str, value: bytes = b"1", **more: Any) -> int:
        """Order a transaction that writes one key."""
        return self.call(Result(writes=((key, value),)), **more)

    @property
    def genesis(self) -> bytes:
        """The first block as the members' files have it."""
        return bytes(self.chain.blocks[0].SerializeToString())

    def blocks(self) -> list[Block]:
        """Return all blocks as they are read."""
        return [read_block(block.SerializeToString()) for block in self.chain.blocks]

    def verifier(
        self, genesis: bytes = b"", roots: Mapping[str, Sequence[bytes]] | None = None
    ) -> VerifiedChain:
        """Return what a member starts to verify with."""
        return VerifiedChain(
            genesis or self.genesis,
            own_roots=self.roots if roots is None else roots,
            chaincode=CHAINCODE,
        )
