"""A hospital submits another's ciphertext as its own: copied, negated or copied with its boxes.

Nobody's update opens by it in any case: what a hospital may answer depends on the contributors
alone. The rules keep a copy from being *counted*, which would weigh the victim twice, or cancel it.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from chaincode.contract.rules import uploads
from chaincode.memory_ledger import MemoryEndorseError
from chaincode.roundkey import ring, shares
from chaincode.roundkey.shares import interpolate, read_share_sum
from peer_client.sealing import (
    OwnShareSum,
    RoundTranscript,
    SealedUpload,
    Unopened,
    open_boxes,
)
from tests.scenarios.attacks.adversary import decrypted, is_opened, opened
from tests.support.sealed_round import SealedRound
from tests.unit.chaincode.contract.played import Played, Upload

VICTIM, COPIER = "H001MSP", "H004MSP"


def _copied(ciphertext: ring.Residues, boxes: bytes) -> SealedUpload:
    plain = ciphertext.astype("<u8").tobytes()
    return SealedUpload(plain + boxes, hashlib.sha256(plain).hexdigest())


def _boxes_of(played: SealedRound, msp: str) -> bytes:
    return played.uploads[msp].payload[played.layout.ciphertext_bytes :]


def _answer(played: SealedRound, msp: str) -> OwnShareSum | Unopened:
    return open_boxes(
        played.boxes(msp, played.msps),
        parameters=played.parameters,
        round=played.transcript(msp),
        sealing_key=played.keys[msp],
    )


def test_a_copy_with_its_boxes_is_reported_because_they_open_for_the_dealer_alone() -> None:
    played = SealedRound(4).play()
    played.uploads[COPIER] = played.uploads[VICTIM]

    answers = [_answer(played, msp) for msp in played.msps]

    assert answers == [Unopened((COPIER,))] * 4


def test_switched_off_binding_to_the_dealer_counts_the_victim_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    really = RoundTranscript.box_info
    monkeypatch.setattr(
        RoundTranscript,
        "box_info",
        lambda self, dealer, recipient, sha256: really(self, "", recipient, sha256),
    )
    played = SealedRound(4).play()
    played.uploads[COPIER] = played.uploads[VICTIM]
    answers = {}
    for msp in played.msps[:3]:
        found = _answer(played, msp)
        assert isinstance(found, OwnShareSum)
        answers[played.point_of[msp]] = read_share_sum(found.content)

    total = opened(played, played.sum_of(played.msps), interpolate(answers), updates=4)

    values = played.values
    assert total is not None
    assert (total == 2 * values[VICTIM] + values["H002MSP"] + values["H003MSP"]).all()


@pytest.mark.parametrize("sign", ["copied", "negated"])
def test_a_copy_with_own_shares_breaks_the_round_and_opens_nothing(sign: str) -> None:
    played = SealedRound(4).play()
    three = played.msps[:3]
    # The copier deals shares of a secret of its own, here its own secret of this round: the
    # recorded key would be the sum of all four secrets, the sum holds the victim's twice or not.
    key = interpolate(played.share_sums(three, played.msps))
    copied = played.ciphertext(VICTIM)
    if sign == "negated":
        copied = ring.negate(copied)

    total = ring.add(played.sum_of(three), copied)

    assert opened(played, total, key, updates=4) is None
    assert not is_opened(played, VICTIM, key)


def test_boxes_made_for_one_ciphertext_do_not_open_for_another() -> None:
    played = SealedRound(4).play()
    boxes = _boxes_of(played, COPIER)
    played.uploads[COPIER] = _copied(ring.negate(played.ciphertext(VICTIM)), boxes)

    assert _answer(played, "H002MSP") == Unopened((COPIER,))


def test_switched_off_key_check_takes_a_negated_copy_into_a_recorded_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the ledger: the victim's update is cancelled, and only the key check sees it."""
    played = Played().to_submitting().update("EastMSP", "NorthMSP", "SouthMSP")
    _submit_negated(played, "WestMSP", "EastMSP")
    played.aggregate().answer()

    with pytest.raises(MemoryEndorseError, match="KeyCheckError"):
        played.record_key()

    monkeypatch.setattr(shares, "check_round_key", lambda *args, **names: None)
    played.record_key()
    assert played.round().state == "OPENED"


def test_the_ledger_refuses_a_ciphertext_it_has_seen_before() -> None:
    played = Played().to_submitting().update("EastMSP", "NorthMSP", "SouthMSP")

    with pytest.raises(MemoryEndorseError, match="SpentUpdateError"):
        _submit_copy(played, "WestMSP", played.uploads["EastMSP"])


def test_switched_off_rule_of_spent_ciphertexts_lets_the_copy_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played = Played().to_submitting().update("EastMSP", "NorthMSP", "SouthMSP")
    monkeypatch.setattr(uploads, "check_unspent", lambda *args: "\0spent\0off\0")

    _submit_copy(played, "WestMSP", played.uploads["EastMSP"])
    played.aggregate()

    assert len(played.aggregate_record().contributors) == 4


def _submit_copy(played: Played, msp: str, upload: Upload) -> None:
    played.uploads[msp] = upload
    played.put(msp, upload)
    manifest = upload.manifest(played.round(), msp).to_bytes()
    played.submit(msp, "submit_update", "lungs", 1, manifest)


def _submit_negated(played: Played, msp: str, victim: str) -> None:
    own = played.make_upload(msp)
    residues = np.frombuffer(played.uploads[victim].payload, "<u8", own.ciphertext_bytes // 8)
    negated = ring.negate(residues).astype("<u8").tobytes()
    payload = negated + own.payload[own.ciphertext_bytes :]
    _submit_copy(played, msp, Upload(payload, own.secret, own.shares, own.ciphertext_bytes))


def test_decrypting_under_a_wrong_key_gives_noise_and_not_a_little_off() -> None:
    played = SealedRound(4).play()
    key = interpolate(played.share_sums(played.msps[:3], played.msps))
    wrong = key.copy()
    wrong[7] += 1

    right, off = (decrypted(played, played.sum_of(played.msps), each) for each in (key, wrong))

    assert int((right == off).sum()) < 5
