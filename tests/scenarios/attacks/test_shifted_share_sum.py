"""A liar shifts its share sum so that the key stays short: one coefficient moves by one."""

from __future__ import annotations

import json

import numpy as np
import pytest

from chaincode.memory_ledger import MemoryEndorseError
from chaincode.roundkey import shares
from chaincode.roundkey.parameters import NOISE_BOUND, SHARE_PRIME
from peer_client.sealing import OpeningError, open_sum
from peer_client.sealing import opening as opening_of_sums
from tests.support.sealed_round import SealedRound
from tests.unit.chaincode.played import Played, decoded

LIAR = "EastMSP"
SENDERS = ("EastMSP", "NorthMSP", "SouthMSP")


def _lie(played: Played) -> Played:
    """The liar knows who will be named, so it knows the weight of its share sum."""
    points = [played.study.hospital(msp).point for msp in SENDERS]
    weight = shares.lagrange_weights(points)[SENDERS.index(LIAR)]
    played.answer(LIAR, shift=pow(weight, -1, SHARE_PRIME))
    return played.answer("NorthMSP", "SouthMSP", "WestMSP")


def test_the_ledger_refuses_the_short_but_wrong_key() -> None:
    played = _lie(Played().to_summed())

    with pytest.raises(MemoryEndorseError, match="KeyCheckError: the key from"):
        played.record_key(*SENDERS)


def test_the_right_key_is_recorded_from_the_honest_and_the_liar_is_named() -> None:
    played = _lie(Played().to_summed())

    played.record_key("NorthMSP", "SouthMSP", "WestMSP")

    record = played.query("round_key", "lungs", 1)
    secrets = sum(upload.secret for upload in played.uploads.values())
    assert record["false_senders"] == [LIAR]
    assert (np.frombuffer(decoded(record["key"]), "<i2") == secrets).all()


def test_shortness_alone_would_have_let_the_wrong_key_pass() -> None:
    played = _lie(Played().to_summed())
    answers = played.query("share_sums", "lungs", 1)
    named = {
        played.study.hospital(msp).point: shares.read_share_sum(decoded(answers[msp]["share_sum"]))
        for msp in SENDERS
    }

    wrong = shares.interpolate(named)

    secrets = sum(upload.secret for upload in played.uploads.values())
    assert int(np.abs(wrong).max()) <= 4 * NOISE_BOUND
    assert np.abs(wrong - secrets).sum() == 1


def test_switched_off_key_check_records_the_wrong_key(monkeypatch: pytest.MonkeyPatch) -> None:
    played = _lie(Played().to_summed())
    monkeypatch.setattr(shares, "check_round_key", lambda *args, **names: None)

    played.record_key(*SENDERS)

    record = played.query("round_key", "lungs", 1)
    secrets = sum(upload.secret for upload in played.uploads.values())
    assert played.round().state == "OPENED"
    assert (np.frombuffer(decoded(record["key"]), "<i2") != secrets).any()
    assert json.dumps(record["senders"]) == json.dumps(list(SENDERS))


def test_a_hospital_checks_the_recorded_key_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    played = SealedRound(4).play()
    key = shares.interpolate(played.share_sums(played.msps[:3], played.msps))
    wrong = key.copy()
    wrong[3] += 1 if wrong[3] < 0 else -1

    def open_it() -> np.ndarray:
        return open_sum(
            played.sum_of(played.msps),
            wrong,
            study=played.study,
            round_number=played.number,
            parameters=played.parameters,
            contributors=4,
        )

    with pytest.raises(OpeningError, match="does not open the sum of the key checks"):
        open_it()
    # Without the key check the range check is what is left; it sees it too, later and vaguer.
    monkeypatch.setattr(opening_of_sums, "check_round_key", lambda *args, **names: None)
    with pytest.raises(OpeningError, match=r"reach at most|more than its fields|padding"):
        open_it()
