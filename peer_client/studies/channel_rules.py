"""Whether a channel's own rules are as strong as what every study on it promises.

What a round is safe against rests on who may write to the ledger: T of the channel's hospitals
endorse each write and each change of the chaincode, and T of their administrators, and nobody else,
change the channel's configuration (docs/security.md). A hospital approves nothing on a channel with
weaker rules.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from network.channel_policies import (
    ADMINISTRATORS,
    ADMINS,
    ENDORSEMENT,
    PEERS,
    policy_fact,
    read_quorum_policy,
)
from network.quorum import hospital_quorum
from peer_client.errors import ChannelRulesError

#: A channel's facts: names and values in words, sorted by name.
Facts = tuple[tuple[str, str], ...]


def check_channel_rules(facts: Facts, hospitals: Collection[str]) -> None:
    """Refuse a channel that fewer than T of its hospitals can write to or change.

    Args:
        facts: What the channel is (`HospitalLedger.channel_facts`).
        hospitals: MSPs of the consortium's hospitals, as this hospital agreed on them.

    Raises:
        ChannelRulesError: A policy is missing, of another kind, counts others than the hospitals,
            or asks for fewer than T of them.
    """
    found = dict(facts)
    needed = hospital_quorum(len(hospitals))
    rules = [(path, PEERS) for path in ENDORSEMENT] + [(path, ADMINISTRATORS) for path in ADMINS]
    for path, role in rules:
        words = found.get(policy_fact(path), "absent")
        policy = read_quorum_policy(words)
        wanted = f"at least {needed} of the {role} of the channel's {len(hospitals)} hospitals"
        if policy is None or policy.role != role:
            raise ChannelRulesError(f"the policy {path} is {words}; it must be {wanted}")
        if strangers := sorted(set(policy.msps) - set(hospitals)):
            raise ChannelRulesError(
                f"the policy {path} counts {', '.join(strangers)}, not of the hospitals; it must "
                f"be {wanted} and nobody else"
            )
        if len(set(policy.msps)) != len(policy.msps):
            raise ChannelRulesError(f"the policy {path} counts a hospital twice: {words}")
        if policy.least < needed or len(policy.msps) < policy.least:
            raise ChannelRulesError(f"the policy {path} is {words}; it must be {wanted}")


def differences(before: Facts, now: Facts) -> list[tuple[str, str, str]]:
    """Return what differs between two states of a channel: name, was, is.

    >>> differences((("a", "1"), ("b", "2")), (("b", "3"), ("c", "4")))
    [('a', '1', 'absent'), ('b', '2', '3'), ('c', 'absent', '4')]
    """
    was, found = dict(before), dict(now)
    return [
        (name, was.get(name, "absent"), found.get(name, "absent"))
        for name in sorted({*was, *found})
        if was.get(name) != found.get(name)
    ]


def difference_words(changes: Iterable[tuple[str, str, str]]) -> list[str]:
    """Say each difference in words.

    >>> difference_words([("genesis block", "ab", "cd")])
    ['genesis block was ab, is cd']
    """
    return [f"{name} was {was}, is {now}" for name, was, now in changes]
