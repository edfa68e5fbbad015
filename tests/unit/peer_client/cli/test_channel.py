"""`channel show` and `accept`: what the channel is, what it was, and a person's word."""

from __future__ import annotations

import json

import pytest
from click.testing import Result

from network.channel_policies import ADMINS, ENDORSEMENT, policy_fact
from peer_client.errors import ChannelRulesError
from tests.support.hospitals import MSPS, MemoryConsortium
from tests.support.members import run_as

MSP = MSPS[0]
NAME = policy_fact(ENDORSEMENT[0])


def change(consortium: MemoryConsortium, **facts: str) -> None:
    consortium.channel.facts = tuple(sorted({**dict(consortium.channel.facts), **facts}.items()))


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch, consortium: MemoryConsortium) -> object:
    def run(*arguments: str, answer: str = "") -> Result:
        return run_as(monkeypatch, consortium, MSP, "channel", *arguments, answer=answer)

    return run


def test_the_channel_is_shown_as_accepted(channel, consortium: MemoryConsortium) -> None:
    shown = channel("show")
    document = json.loads(channel("show", "--json").stdout)

    assert f"3 of the peers of {', '.join(MSPS)}" in shown.stdout
    assert "it is what this hospital accepted" in shown.stdout
    assert document["facts"] == document["accepted"] == dict(consortium.channel.facts)
    assert document["changes"] == []
    assert "nothing to accept" in channel("accept").stdout


def test_a_change_is_shown_as_was_and_is_and_kept_when_a_person_says_so(
    channel, consortium: MemoryConsortium
) -> None:
    change(consortium, **{NAME: f"4 of the peers of {', '.join(MSPS)}"})

    shown = channel("show")
    refused = channel("accept", answer="n\n")

    for result in (shown, refused):
        assert f"was  3 of the peers of {', '.join(MSPS)}" in result.stdout
        assert f"is   4 of the peers of {', '.join(MSPS)}" in result.stdout
    assert refused.exit_code == 130
    assert consortium.agreement(MSP).pinned() != consortium.channel.facts
    accepted = channel("accept", answer="y\n")
    assert accepted.exit_code == 0, accepted.output
    assert consortium.agreement(MSP).pinned() == consortium.channel.facts
    assert consortium.agreement(MSPS[1]).pinned() != consortium.channel.facts


def test_accepting_for_programs(channel, consortium: MemoryConsortium) -> None:
    change(consortium, chaincode="consortium, sequence 2")

    document = json.loads(channel("accept", "--yes", "--json").stdout)

    assert document == {
        "channel": consortium.channel.channel,
        "accepted": True,
        "changes": [{"name": "chaincode", "was": "absent", "is": "consortium, sequence 2"}],
    }


def test_weaker_rules_are_shown_and_never_kept(channel, consortium: MemoryConsortium) -> None:
    kept = consortium.agreement(MSP).pinned()
    change(consortium, **{policy_fact(ADMINS[0]): "any of the sub-policies Admins"})

    result = channel("accept", "--yes")

    assert result.exit_code == ChannelRulesError.exit_code
    assert "is   any of the sub-policies Admins" in result.stdout
    assert consortium.agreement(MSP).pinned() == kept


def test_before_the_first_approval_nothing_is_kept(channel, consortium: MemoryConsortium) -> None:
    consortium.agreement(MSP).channel_path.unlink()

    assert "nothing is kept of it here yet" in channel("show").stdout
    assert json.loads(channel("show", "--json").stdout)["accepted"] is None
    assert channel("accept", "--yes").exit_code == 0
    assert consortium.agreement(MSP).pinned() == consortium.channel.facts
