"""A channel's policies have words that say exactly one policy."""

from __future__ import annotations

import pytest

from network.channel_policies import ADMINISTRATORS, PEERS, QuorumPolicy, read_quorum_policy


@pytest.mark.parametrize(
    "policy",
    [
        QuorumPolicy(3, PEERS, ("AMSP", "BMSP", "CMSP", "DMSP")),
        QuorumPolicy(1, ADMINISTRATORS, ("AMSP",)),
    ],
)
def test_words_are_read_as_the_policy_they_say(policy: QuorumPolicy) -> None:
    assert read_quorum_policy(policy.words()) == policy


@pytest.mark.parametrize(
    "words",
    [
        "",
        "0 of the peers of AMSP",
        "3 of the members of AMSP",
        "3 of the peers of ",
        "3 of the peers of AMSP, BMSP and 1 of the peers of CMSP\n",
        "a majority of the sub-policies Admins",
        "03 of the peers of AMSP",
    ],
)
def test_other_words_are_no_such_policy(words: str) -> None:
    assert read_quorum_policy(words) is None
