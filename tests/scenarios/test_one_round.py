"""Four hospitals train one model for a round, and only the sum is ever opened."""

from __future__ import annotations

import numpy as np

from peer_client.decision import Act
from tests.support.hospitals import (
    MSPS,
    Consortium,
    digests,
    initial_weights,
    play,
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
