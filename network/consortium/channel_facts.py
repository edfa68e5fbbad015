"""What a channel is, in words that people and programs compare: nothing of it changes unnoticed.

Read from a configuration block of the own peer and from the committed chaincode definition. Names
are the configuration's own paths; policies are said in the words of `network.channel_policies`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from fabric_protos.common import configuration_pb2, policies_pb2
from fabric_protos.msp import msp_config_pb2

from network.channel_policies import policy_fact
from network.wire.configuration import read_configuration
from network.wire.decoding import decode
from network.wire.policy import quorum_of


def read_channel_facts(
    config_block: bytes, *, genesis_sha256: str, definition: dict[str, str]
) -> tuple[tuple[str, str], ...]:
    """Return what a hospital must notice changing: names and values in words, sorted by name.

    Args:
        config_block: The newest configuration block (cscc GetConfigBlock), encoded.
        genesis_sha256: SHA-256 of the first block as this member holds it.
        definition: The committed chaincode definition, as names and words.

    Raises:
        MalformedBytesError: The block is no configuration.
    """
    configuration = read_configuration(config_block)
    facts = {
        "genesis block": genesis_sha256,
        "configuration sequence": str(configuration.sequence),
        **{f"chaincode {name}": words for name, words in definition.items()},
    }
    facts.update(_of_group("/Channel", configuration.channel_group))
    return tuple(sorted(facts.items()))


def _of_group(path: str, group: Any) -> Iterator[tuple[str, str]]:
    yield f"changed by {path}", group.mod_policy
    for name, entry in group.policies.items():
        yield policy_fact(f"{path}/{name}"), _policy_words(entry.policy)
        yield f"changed by {path}/{name}", entry.mod_policy
    for name, value in group.values.items():
        yield f"value {path}/{name}", _value_words(name, value.value)
        yield f"changed by value {path}/{name}", value.mod_policy
    for name, inner in group.groups.items():
        yield from _of_group(f"{path}/{name}", inner)


def _value_words(name: str, content: bytes) -> str:
    """Say a configuration value: members' roots and ordering nodes in words, others by digest."""
    if name == "MSP":
        config = decode(msp_config_pb2.MSPConfig, content, what="a member's MSP")
        member = decode(msp_config_pb2.FabricMSPConfig, config.config, what="a member's MSP")
        roots = ", ".join(hashlib.sha256(root).hexdigest() for root in member.root_certs)
        whole = hashlib.sha256(content).hexdigest()
        return f"roots {roots}; {len(member.revocation_list)} revocation lists; all {whole}"
    if name == "Orderers":
        found = decode(configuration_pb2.Orderers, content, what="the ordering nodes")
        return "; ".join(
            f"{node.id} {node.msp_id} {node.host}:{node.port} "
            f"{hashlib.sha256(node.identity).hexdigest()[:16]} "
            f"{hashlib.sha256(node.server_tls_cert).hexdigest()[:16]}"
            for node in sorted(found.consenter_mapping, key=lambda node: node.id)
        )
    return hashlib.sha256(content).hexdigest()


def _policy_words(policy: Any) -> str:
    if policy.type == policies_pb2.Policy.IMPLICIT_META:
        meta = decode(policies_pb2.ImplicitMetaPolicy, policy.value, what="a policy")
        rule = policies_pb2.ImplicitMetaPolicy.Rule.Name(meta.rule)
        return f"{rule} of the sub-policies {meta.sub_policy}"
    if policy.type != policies_pb2.Policy.SIGNATURE:
        return f"type {policy.type}, {hashlib.sha256(policy.value).hexdigest()}"
    envelope = decode(policies_pb2.SignaturePolicyEnvelope, policy.value, what="a policy")
    quorum = quorum_of(envelope)
    return quorum.words() if quorum else f"rule {hashlib.sha256(policy.value).hexdigest()}"
