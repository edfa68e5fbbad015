"""Four hospitals train one model for a round, and only the sum is ever opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from peer_client.decision import Act
from peer_client.round_records import read_round
from peer_client.update import model_digest
from tests.support.hospitals import MSPS, MemoryConsortium, initial_weights, play


def test_four_hospitals_publish_the_mean_of_their_updates(tmp_path: Path) -> None:
    consortium = MemoryConsortium(tmp_path)
    consortium.agree()
    parts = {msp: consortium.part(msp, 1) for msp in MSPS}

    acts = play(consortium, parts)

    records = read_round(consortium.ledger("EastMSP"), "small", 1)
    assert records is not None
    assert records.record.state == "PUBLISHED"
    assert records.contributors == MSPS
    models = [part.desk.store.read_model(1) for part in parts.values()]
    digests = {model_digest(model.weights) for model in models if model is not None}
    assert digests == {records.record.model_sha256}
    start = initial_weights()
    targets = np.mean([0, 1, 2, 3])
    expected = start + 0.1 * (targets - start)
    assert models[0] is not None
    assert np.abs(models[0].weights - expected).max() < 0.01
    assert all(Act.ANSWER in done for done in acts.values())
    consortium.close()
