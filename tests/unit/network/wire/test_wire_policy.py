"""Policies encode deterministically and mean what they say."""

from __future__ import annotations

import pytest
from fabric_protos.common import policies_pb2
from fabric_protos.msp import msp_principal_pb2
from fabric_protos.peer import policy_pb2

from network.wire.policy import (
    OutOf,
    SignedBy,
    any_of,
    application_policy,
    channel_policy,
    majority,
    out_of,
    signature_policy,
)


def roles(envelope: policies_pb2.SignaturePolicyEnvelope) -> list[tuple[str, int]]:
    found = []
    for one in envelope.identities:
        assert one.principal_classification == msp_principal_pb2.MSPPrincipal.ROLE
        role = msp_principal_pb2.MSPRole.FromString(one.principal)
        found.append((role.msp_identifier, role.role))
    return found


def test_a_majority_of_four_is_three_of_them() -> None:
    encoded = signature_policy(majority(["D", "B", "A", "C"]))

    envelope = policies_pb2.SignaturePolicyEnvelope.FromString(encoded)
    assert envelope.rule.n_out_of.n == 3
    assert [rule.signed_by for rule in envelope.rule.n_out_of.rules] == [0, 1, 2, 3]
    assert roles(envelope) == [(name, msp_principal_pb2.MSPRole.MEMBER) for name in "ABCD"]


def test_the_order_in_which_members_are_named_does_not_change_the_bytes() -> None:
    assert signature_policy(any_of(["A", "B"], "peer")) == signature_policy(
        any_of(["B", "A", "B"], "peer")
    )


def test_policies_nest() -> None:
    policy = OutOf(2, (SignedBy("A", "admin"), out_of(1, ["B", "A"])))

    envelope = policies_pb2.SignaturePolicyEnvelope.FromString(signature_policy(policy))

    assert roles(envelope) == [
        ("A", msp_principal_pb2.MSPRole.ADMIN),
        ("A", msp_principal_pb2.MSPRole.MEMBER),
        ("B", msp_principal_pb2.MSPRole.MEMBER),
    ]
    outer = envelope.rule.n_out_of
    assert outer.rules[0].signed_by == 0
    assert [one.signed_by for one in outer.rules[1].n_out_of.rules] == [1, 2]


def test_a_chaincodes_policy_is_wrapped_for_its_definition() -> None:
    message = policy_pb2.ApplicationPolicy.FromString(application_policy(any_of(["A"])))

    assert message.signature_policy.SerializeToString() == signature_policy(any_of(["A"]))


def test_a_channels_policy_is_named() -> None:
    message = policy_pb2.ApplicationPolicy.FromString(channel_policy("/Channel/Application/Admins"))

    assert message.channel_config_policy_reference == "/Channel/Application/Admins"


@pytest.mark.parametrize("required", [0, 3])
def test_a_policy_that_nobody_can_or_everybody_does_satisfy_is_refused(required: int) -> None:
    with pytest.raises(ValueError, match=f"{required} of 2 parts"):
        out_of(required, ["A", "B"])


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(ValueError, match="'doctor'"):
        SignedBy("A", "doctor")
