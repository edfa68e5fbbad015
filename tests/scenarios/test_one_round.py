"""Four hospitals train one model for a round, and only the sum is ever opened."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chaincode.ledger import CreatorLike
from chaincode.memory_ledger import MemoryCommitError, Simulation
from peer_client.rounds.decision import Act, order_of_round
from tests.support.hospitals import (
    MSPS,
    Consortium,
    MemoryConsortium,
    digests,
    initial_weights,
    play,
    play_up_to,
    played_round,
)


def test_four_hospitals_publish_the_mean_of_their_updates(consortium: Consortium) -> None:
    acts = play(consortium, consortium.parts(1))

    records = consortium.records(1)
    assert records.record.state == "PUBLISHED"
    assert records.contributors == MSPS
    assert digests(consortium, 1) == {records.record.model_sha256}
    model = consortium.store(MSPS[0]).read_model(1)
    assert model is not None
    mean = initial_weights() + 0.1 * (np.mean([0, 1, 2, 3]) - initial_weights())
    assert np.abs(model.weights - mean).max() < 0.01
    assert all(Act.ANSWER in done or Act.RECORD_KEY in done for done in acts.values())


def test_the_next_round_starts_from_the_published_model(consortium: Consortium) -> None:
    first = played_round(consortium, 1)

    second = played_round(consortium, 2)

    assert second.record.parent_sha256 == first.record.model_sha256
    assert second.record.state == "PUBLISHED"
    assert digests(consortium, 2) == {second.record.model_sha256}


def test_what_a_round_needed_is_gone_when_it_has_ended(memory: Consortium) -> None:
    parts = memory.parts(1)
    play(memory, parts)

    for part in parts.values():
        part.finish()

    for msp in MSPS:
        store = memory.store(msp)
        assert store.read_upload(1) is None
        assert store.read_trained(1) is None
        assert store.read_sum(1) is not None
        assert not memory.part(msp, 2).progress(None).has_keys


def test_a_key_overtaken_by_a_late_answer_is_recorded_at_once(
    memory: MemoryConsortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    *three, late = order_of_round(MSPS, 1)
    parts = memory.parts(1)
    play_up_to(memory, parts, "SUMMED")
    for msp in three:
        assert parts[msp].step() is Act.ANSWER
    channel = memory.channel
    submit = channel.submit

    def overtaken(creator: CreatorLike, function: str, *args: str, **more: Any) -> Simulation:
        if function != "record_round_key":
            return submit(creator, function, *args, **more)
        monkeypatch.setattr(channel, "submit", submit)
        # Apart: `submit` holds the ledger's lock, for which the late hospital's readers would wait.
        endorsers = more.pop("endorsers")
        simulation = channel.simulate(creator, function, *args, **more)
        assert parts[late].step() is Act.ANSWER
        raise MemoryCommitError(
            simulation.transaction_id, *channel.commit(simulation, endorsers=endorsers)
        )

    monkeypatch.setattr(channel, "submit", overtaken)

    assert parts[three[0]].step() is Act.RECORD_KEY
    assert memory.records(1).record.state == "SUMMED"
    assert parts[three[0]].step() is Act.RECORD_KEY
    assert memory.records(1).record.state == "OPENED"
