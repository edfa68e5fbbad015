"""Sums of too few, and ledgers that could show two hospitals different sums."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chaincode.contract.rules import turns, uploads
from chaincode.memory_ledger import MemoryEndorseError
from chaincode.records import terms
from chaincode.records.study import Ordering
from chaincode.roundkey.parameters import ParameterError, derive
from chaincode.roundkey.shares import interpolate
from peer_client.sealing import Journal, ShareRefusedError, answer, answer_once, open_boxes
from tests.scenarios.attacks.adversary import is_opened
from tests.support.sealed_round import GENESIS_SHA256, SealedRound
from tests.unit.chaincode.contract.played import Played, make_study

VICTIM = "H001MSP"


def test_no_hospital_answers_for_a_sum_of_one(tmp_path: Path) -> None:
    played = SealedRound(4).play()

    for msp in played.msps[1:]:
        with (
            Journal(tmp_path / msp, GENESIS_SHA256) as journal,
            pytest.raises(ShareRefusedError, match="fewer than 3 is not opened"),
        ):
            answer_once(
                played.boxes(msp, (VICTIM,)),
                parameters=played.parameters,
                round=played.transcript(msp),
                sealing_key=played.keys[msp],
                journal=journal,
                aggregate_sha256="alone",
            )


def test_switched_off_least_number_opens_the_one_update(monkeypatch: pytest.MonkeyPatch) -> None:
    played = SealedRound(4).play()
    monkeypatch.setattr(answer, "check_contributors", lambda *args, **names: None)
    assert open_boxes.__globals__["check_contributors"] is answer.check_contributors

    key = interpolate(played.share_sums(played.msps[1:], (VICTIM,)))

    assert is_opened(played, VICTIM, key)


def test_the_ledger_sums_no_fewer_than_k(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played().to_submitting().update("EastMSP", "NorthMSP").wait(600)
    with pytest.raises(MemoryEndorseError, match="TooFewContributorsError"):
        played.aggregate()

    monkeypatch.setattr(turns, "check_enough_contributors", lambda *args: None)
    played.aggregate()

    assert len(played.aggregate_record().contributors) == 2


def test_no_study_lets_fewer_than_t_contribute() -> None:
    with pytest.raises(ParameterError, match="must not be opened"):
        derive(7, 8, 100, contributors_min=4)


@pytest.mark.parametrize("ordering", [Ordering("BFT", 3), Ordering("etcdraft", 5)])
def test_a_study_over_an_ordering_that_could_fork_is_refused(
    ordering: Ordering, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = Played(study=replace(make_study(), ordering=ordering))
    with pytest.raises(MemoryEndorseError, match="OrderingError"):
        played.agree()

    monkeypatch.setattr(terms, "_check_ordering", lambda study: None)
    played.agree()

    assert played.query("study", "lungs")


def test_a_sealing_key_serves_one_round_only(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played().to_open()
    args, transient = played.join_arguments("EastMSP")
    played.submit("EastMSP", "join_round", *args, transient=transient)
    key = transient["sealing_key"]
    played.join("NorthMSP", "SouthMSP", "WestMSP").close().update().aggregate()
    played.answer().record_key().confirm().publish().open(2)
    again, transient = played.join_arguments("EastMSP", 2, sealing_key=key)

    with pytest.raises(MemoryEndorseError, match="SealingKeyReusedError"):
        played.submit("EastMSP", "join_round", *again, transient=transient)

    monkeypatch.setattr(uploads, "check_fresh_sealing_key", lambda *args: "\0key\0off\0")
    played.submit("EastMSP", "join_round", *again, transient=transient)
