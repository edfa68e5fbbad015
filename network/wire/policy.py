"""Signature policies: which members have to sign.

A policy is built from `signed_by` and `out_of` and encoded with `signature_policy` (for a
collection or a key) or `application_policy` (for a chaincode's definition). Encoding is
deterministic: members are numbered in the order of their MSP ids, so that every member that
approves a definition sends the same bytes. Follows fabric-protos common/policies.proto.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from fabric_protos.common import policies_pb2
from fabric_protos.msp import msp_principal_pb2
from fabric_protos.peer import policy_pb2

from network.channel_policies import ADMINISTRATORS, PEERS, QuorumPolicy
from network.errors import MalformedBytesError
from network.wire.decoding import decode

_ROLES = {
    "member": msp_principal_pb2.MSPRole.MEMBER,
    "admin": msp_principal_pb2.MSPRole.ADMIN,
    "client": msp_principal_pb2.MSPRole.CLIENT,
    "peer": msp_principal_pb2.MSPRole.PEER,
    "orderer": msp_principal_pb2.MSPRole.ORDERER,
}

#: How the roles of a channel's policies are said.
_WORDS: Final = {
    msp_principal_pb2.MSPRole.ADMIN: ADMINISTRATORS,
    msp_principal_pb2.MSPRole.PEER: PEERS,
    msp_principal_pb2.MSPRole.MEMBER: "members",
    msp_principal_pb2.MSPRole.CLIENT: "clients",
    msp_principal_pb2.MSPRole.ORDERER: "ordering nodes",
}


@dataclass(frozen=True, slots=True)
class SignedBy:
    """One signature of a member's identity in a role."""

    msp_id: str
    role: str = "member"

    def __post_init__(self) -> None:
        if self.role not in _ROLES:
            raise ValueError(f"role {self.role!r} is none of {', '.join(sorted(_ROLES))}")


@dataclass(frozen=True, slots=True)
class OutOf:
    """At least `required` of the `parts`."""

    required: int
    parts: tuple[SignedBy | OutOf, ...]

    def __post_init__(self) -> None:
        if not 1 <= self.required <= len(self.parts):
            raise ValueError(f"a policy cannot ask for {self.required} of {len(self.parts)} parts")


Policy = SignedBy | OutOf


def out_of(required: int, msp_ids: Sequence[str], role: str = "member") -> OutOf:
    """Return the policy that asks for `required` of these members.

    >>> out_of(2, ["B", "A"]).parts
    (SignedBy(msp_id='A', role='member'), SignedBy(msp_id='B', role='member'))
    """
    return OutOf(required, tuple(SignedBy(msp_id, role) for msp_id in sorted(set(msp_ids))))


def majority(msp_ids: Sequence[str], role: str = "member") -> OutOf:
    """Return the policy that asks for more than half of these members.

    >>> majority(["A", "B", "C", "D"]).required
    3
    """
    return out_of(len(set(msp_ids)) // 2 + 1, msp_ids, role)


def any_of(msp_ids: Sequence[str], role: str = "member") -> OutOf:
    """Return the policy that asks for one of these members."""
    return out_of(1, msp_ids, role)


def _members(policy: Policy) -> set[SignedBy]:
    if isinstance(policy, SignedBy):
        return {policy}
    return set().union(*(_members(part) for part in policy.parts))


def signature_policy(policy: Policy) -> bytes:
    """Encode a policy as common.SignaturePolicyEnvelope."""
    return bytes(_envelope(policy).SerializeToString(deterministic=True))


def application_policy(policy: Policy) -> bytes:
    """Encode a policy as peer.ApplicationPolicy, for a chaincode definition."""
    message = policy_pb2.ApplicationPolicy(signature_policy=_envelope(policy))
    return bytes(message.SerializeToString(deterministic=True))


def channel_policy(reference: str) -> bytes:
    """Encode the name of a channel policy, such as "/Channel/Application/Endorsement"."""
    message = policy_pb2.ApplicationPolicy(channel_config_policy_reference=reference)
    return bytes(message.SerializeToString(deterministic=True))


def _envelope(policy: Policy) -> Any:
    signers = sorted(_members(policy), key=lambda one: (one.msp_id, one.role))
    numbers = {signer: number for number, signer in enumerate(signers)}

    def rule(part: Policy) -> Any:
        if isinstance(part, SignedBy):
            return policies_pb2.SignaturePolicy(signed_by=numbers[part])
        return policies_pb2.SignaturePolicy(
            n_out_of=policies_pb2.SignaturePolicy.NOutOf(
                n=part.required, rules=[rule(one) for one in part.parts]
            )
        )

    return policies_pb2.SignaturePolicyEnvelope(
        version=0,
        rule=rule(policy),
        identities=[
            msp_principal_pb2.MSPPrincipal(
                principal_classification=msp_principal_pb2.MSPPrincipal.ROLE,
                principal=msp_principal_pb2.MSPRole(
                    msp_identifier=signer.msp_id, role=_ROLES[signer.role]
                ).SerializeToString(),
            )
            for signer in signers
        ],
    )


def quorum_of(envelope: Any) -> QuorumPolicy | None:
    """Return a policy of so many of some organisations, each once and in one role.

    Args:
        envelope: common.SignaturePolicyEnvelope.

    Returns:
        The policy; nothing where it is of another kind.

    Raises:
        MalformedBytesError: It does not fit together.
    """
    if envelope.rule.WhichOneof("Type") != "n_out_of":
        return None
    rules = envelope.rule.n_out_of.rules
    if any(rule.WhichOneof("Type") != "signed_by" for rule in rules):
        return None
    members: list[str] = []
    roles: set[str] = set()
    for rule in rules:
        if not 0 <= rule.signed_by < len(envelope.identities):
            raise MalformedBytesError("a policy names an identity that it does not have")
        principal = envelope.identities[rule.signed_by]
        if principal.principal_classification != msp_principal_pb2.MSPPrincipal.ROLE:
            return None
        role = decode(msp_principal_pb2.MSPRole, principal.principal, what="a policy's role")
        members.append(role.msp_identifier)
        roles.add(_WORDS.get(role.role, f"role {role.role}"))
    if len(roles) != 1 or len(set(members)) != len(members):
        return None
    return QuorumPolicy(envelope.rule.n_out_of.n, roles.pop(), tuple(sorted(members)))
