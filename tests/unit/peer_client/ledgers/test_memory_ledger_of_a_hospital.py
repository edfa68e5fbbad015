"""A hospital's view of the ledger in memory raises what a view of Fabric raises."""

from __future__ import annotations

import itertools

import pytest

from chaincode.records.errors import UnknownStudyError
from peer_client.ledgers.ledger import ConflictError
from tests.support.hospitals import MSPS, MemoryConsortium


def test_a_refusal_is_the_rules_own_error(consortium: MemoryConsortium) -> None:
    with pytest.raises(UnknownStudyError):
        consortium.ledger(MSPS[0]).evaluate("study", "nowhere")
    with pytest.raises(UnknownStudyError):
        consortium.ledger(MSPS[0]).submit("open_round", "nowhere", "1")


def test_a_lost_race_is_a_conflict(
    consortium: MemoryConsortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, ledger = consortium.channel, consortium.ledger(MSPS[0])
    inner = channel.simulate

    def late(*args: object, **more: object) -> object:
        found = inner(*args, **more)  # type: ignore[arg-type]
        monkeypatch.setattr(channel, "simulate", inner)
        consortium.ledger(MSPS[1]).submit("open_round", "small", "1")
        return found

    monkeypatch.setattr(channel, "simulate", late)

    with pytest.raises(ConflictError):
        ledger.submit("open_round", "small", "1")


def test_waiting_returns_at_once_when_a_block_came_since(consortium: MemoryConsortium) -> None:
    ledger = consortium.ledger(MSPS[0])

    ledger.wait_change(60.0)  # the study's blocks
    consortium.channel.commit()
    ledger.wait_change(60.0)


def test_blocks_are_linked_by_hash(consortium: MemoryConsortium) -> None:
    blocks = list(consortium.ledger(MSPS[0]).blocks(0))

    assert [block.number for block in blocks] == list(range(5))
    for before, after in itertools.pairwise(blocks):
        assert after.previous_hash == before.header_hash
