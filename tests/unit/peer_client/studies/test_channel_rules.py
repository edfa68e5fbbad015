"""A channel that fewer than T hospitals can write to, or others can change, is refused."""

from __future__ import annotations

import pytest

from chaincode.memory_ledger import MemoryLedger
from network.channel_policies import ADMINS, ENDORSEMENT, policy_fact
from peer_client.errors import ChannelRulesError
from peer_client.studies.channel_rules import check_channel_rules, difference_words, differences

HOSPITALS = ("AMSP", "BMSP", "CMSP", "DMSP", "EMSP")


def facts(**changes: str) -> tuple[tuple[str, str], ...]:
    channel = MemoryLedger(lambda ledger, arguments: b"", hospitals=HOSPITALS)
    return tuple(sorted({**dict(channel.facts), **changes}.items()))


def test_a_channel_of_t_hospitals_is_taken() -> None:
    check_channel_rules(facts(), HOSPITALS)


@pytest.mark.parametrize("path", [*ENDORSEMENT, *ADMINS])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda words: words.replace("4 of", "3 of"), "at least 4"),
        (lambda words: words.replace("4 of", "6 of"), "at least 4"),
        (lambda words: f"{words}, authorityMSP", "authorityMSP, not of the hospitals"),
        (lambda words: words.replace("AMSP, BMSP, CMSP", "AMSP"), "at least 4"),
        (lambda words: "any of the sub-policies Admins", "it must be at least 4"),
        (lambda words: words.replace("peers", "x").replace("administrators", "peers"), "must be"),
        (lambda words: words.replace("AMSP", "AMSP, AMSP, AMSP"), "counts a hospital twice"),
    ],
    ids=["fewer", "more than there are", "a stranger", "too few", "another", "role", "doubled"],
)
def test_each_weaker_policy_is_refused_by_its_name(path: str, change: object, message: str) -> None:
    name = policy_fact(path)
    weaker = facts(**{name: change(dict(facts())[name])})  # type: ignore[operator]

    with pytest.raises(ChannelRulesError, match=message) as refused:
        check_channel_rules(weaker, HOSPITALS)
    assert path in str(refused.value)


@pytest.mark.parametrize("path", [*ENDORSEMENT, *ADMINS])
def test_a_policy_that_nobody_tells_of_is_refused(path: str) -> None:
    without = tuple(each for each in facts() if each[0] != policy_fact(path))

    with pytest.raises(ChannelRulesError, match=f"the policy {path} is absent"):
        check_channel_rules(without, HOSPITALS)


def test_each_difference_is_said_in_words() -> None:
    found = differences((("a", "1"), ("b", "2")), (("b", "3"), ("c", "4")))

    assert difference_words(found) == [
        "a was 1, is absent",
        "b was 2, is 3",
        "c was absent, is 4",
    ]
