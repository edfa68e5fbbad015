"""A second sum of the same round, without one hospital: the difference of two keys is its key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from chaincode.contract import summing
from chaincode.memory_ledger import MemoryEndorseError
from chaincode.records import states
from chaincode.records.errors import RuleError, SecondAggregateError
from chaincode.roundkey.shares import Shares, interpolate, read_share_sum
from peer_client.sealing import Journal, OwnShareSum, ShareRefusedError, answer_once
from tests.scenarios.attacks.adversary import is_opened
from tests.support.sealed_round import GENESIS_SHA256, SealedRound
from tests.unit.chaincode.contract.played import Played

VICTIM = "H001MSP"


@pytest.fixture
def played() -> SealedRound:
    return SealedRound(4).play()


@pytest.fixture
def journals(tmp_path: Path, played: SealedRound) -> Iterator[dict[str, Journal]]:
    with ExitStack() as stack:
        made = {
            msp: stack.enter_context(Journal(tmp_path / msp, GENESIS_SHA256)) for msp in played.msps
        }
        for msp, journal in made.items():
            journal.record_upload(
                played.study,
                played.number,
                update_sha256=msp,
                ciphertext_sha256=played.uploads[msp].ciphertext_sha256,
                upload_sha256=played.uploads[msp].upload_sha256,
            )
        yield made


def _answers(
    played: SealedRound, journals: dict[str, Journal], contributors: Iterable[str], digest: str
) -> dict[int, Shares]:
    answers = {}
    named = tuple(contributors)
    for msp in played.msps[1:]:  # the victim itself is not even needed
        found = answer_once(
            played.boxes(msp, named),
            parameters=played.parameters,
            round=played.transcript(msp),
            sealing_key=played.keys[msp],
            journal=journals[msp],
            aggregate_sha256=digest,
        )
        assert isinstance(found, OwnShareSum)
        answers[played.point_of[msp]] = read_share_sum(found.content)
    return answers


def test_no_hospital_answers_for_the_second_sum(
    played: SealedRound, journals: dict[str, Journal]
) -> None:
    _answers(played, journals, played.msps, "with")

    with pytest.raises(ShareRefusedError, match="answered round 1 of lungs for another sum"):
        _answers(played, journals, played.msps[1:], "without")


def test_switched_off_journal_gives_the_victims_key(
    played: SealedRound, journals: dict[str, Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Journal, "record_answer", lambda *args, **names: None)

    with_victim = interpolate(_answers(played, journals, played.msps, "with"))
    without = interpolate(_answers(played, journals, played.msps[1:], "without"))

    assert is_opened(played, VICTIM, with_victim - without)


def test_the_ledger_refuses_a_second_aggregate() -> None:
    summed = Played().to_summed()

    with pytest.raises(MemoryEndorseError, match="SecondAggregateError"):
        summed.aggregate()


def test_switched_off_rule_of_one_aggregate_lets_the_ledger_record_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One aggregate is kept by the record's key, by the round's state, and by writing once."""
    summed = Played().to_summed()
    first_time, after = summing.check_first_time, states.after

    def first_time_but(ledger, key, error: type[RuleError], sentence: str) -> None:
        if error is not SecondAggregateError:
            first_time(ledger, key, error, sentence)

    monkeypatch.setattr(summing, "check_first_time", first_time_but)
    with pytest.raises(MemoryEndorseError, match="RoundStateError"):
        summed.aggregate()

    def after_but(round_record, event):
        is_it = event is states.RoundEvent.AGGREGATE
        return states.RoundState.SUMMED if is_it else after(round_record, event)

    monkeypatch.setattr(states, "after", after_but)
    with pytest.raises(MemoryEndorseError, match="RecordExistsError"):
        summed.aggregate()

    def overwrite(ledger, records) -> None:
        for key, record in records.items():
            ledger.put_state(key, record.to_bytes())

    monkeypatch.setattr(summing, "put_new", overwrite)
    monkeypatch.setattr(summing, "put_round", lambda *args: None)
    summed.aggregate()


def test_the_ledger_refuses_a_second_answer_of_a_hospital() -> None:
    summed = Played().to_summed().answer("EastMSP")

    with pytest.raises(MemoryEndorseError, match="SecondShareSumError"):
        summed.answer("EastMSP")


def test_the_ledger_refuses_an_answer_for_another_digest() -> None:
    summed = Played().to_summed()

    with pytest.raises(MemoryEndorseError, match="OtherAggregateError"):
        summed.submit(
            "EastMSP",
            "submit_share_sum",
            "lungs",
            1,
            "ab" * 32,
            "[]",
            transient={"share_sum": summed.share_sum("EastMSP")},
        )
