"""Records are read out of blocks; one that is written once is never changed unseen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chaincode.memory_ledger import Simulation
from chaincode.records import keys, register
from chaincode.records.round import Round, Use
from peer_client.audit import block_records
from peer_client.audit.block_walk import BlockAudit, check_chain
from peer_client.errors import RecordRewrittenError
from peer_client.rounds.records import (
    read_joins,
    read_round,
    read_round_key,
    read_rounds,
    read_share_sums,
    records_from,
)
from peer_client.studies.study import read_study
from tests.support.hospitals import MSPS, MemoryConsortium, played_round


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[MemoryConsortium]:
    made = MemoryConsortium(tmp_path)
    made.agree()
    played_round(made)
    yield made
    made.close()


def audited(consortium: MemoryConsortium) -> BlockAudit:
    audit = BlockAudit(consortium.ledger(MSPS[0]))
    audit.walk()
    return audit


def write(consortium: MemoryConsortium, key: str, value: bytes | None) -> None:
    """Commit a write that no contract answers, endorsed by everybody."""
    rogue = Simulation("c0" * 32, consortium.members[MSPS[0]], int(consortium.clock()), "rogue")
    rogue.writes[key] = value
    assert consortium.channel.commit(rogue) == ("VALID",)


def test_the_records_in_the_blocks_are_those_that_an_honest_chaincode_answers(
    consortium: MemoryConsortium,
) -> None:
    ledger, name = consortium.ledger(MSPS[0]), consortium.study.study
    records = audited(consortium).records

    terms = register.study(records, name)
    assert terms == read_study(ledger, name).terms
    assert register.rounds(records, name) == read_rounds(ledger, name)
    assert records_from(records, terms, 1) == read_round(ledger, name, 1)
    assert register.joins(records, name, 1) == read_joins(ledger, name, 1)
    assert register.share_sums(records, name, 1) == read_share_sums(ledger, name, 1)
    assert register.round_key(records, name, 1) == read_round_key(ledger, name, 1)


def test_what_an_invalid_transaction_wrote_is_no_record(consortium: MemoryConsortium) -> None:
    place = keys.spent("small", "0" * 64)
    rogue = Simulation("c0" * 32, consortium.members[MSPS[0]], int(consortium.clock()), "rogue")
    rogue.writes[place] = Use("small", 1, MSPS[0]).to_bytes()
    assert consortium.channel.commit(rogue, endorsers=MSPS[:2]) == ("ENDORSEMENT_POLICY_FAILURE",)

    assert audited(consortium).records.get_state(place) == b""


def test_a_ledger_in_memory_says_that_it_has_no_signatures(consortium: MemoryConsortium) -> None:
    report = check_chain(consortium.ledger(MSPS[0]))

    assert report.signed is None
    assert report.signature_words() == "signatures not checked: this ledger has no signatures"


CHANGES = {
    "the aggregate of small 000001 is written over": lambda old, kept: (
        keys.aggregate("small", 1),
        kept(keys.aggregate("small", 1)),
    ),
    "the round key of small 000001 is deleted": lambda old, kept: (
        keys.round_key("small", 1),
        None,
    ),
    "the study of small is written over": lambda old, kept: (
        keys.study("small"),
        kept(keys.study("small")),
    ),
    "the round of small 000001 goes from PUBLISHED to OPEN": lambda old, kept: (
        keys.round_("small", 1),
        replace(old, state="OPEN").to_bytes(),
    ),
    "the round of small 000001 is deleted": lambda old, kept: (keys.round_("small", 1), None),
    "the round of small 000001 is written over by what is no round": lambda old, kept: (
        keys.round_("small", 1),
        b"{}",
    ),
}


@pytest.mark.parametrize("words", CHANGES)
def test_a_changed_record_is_named_and_passes_with_the_rule_off(
    consortium: MemoryConsortium, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = audited(consortium).records
    old = register.round_(records, "small", 1)
    write(consortium, *CHANGES[words](old, records.get_state))
    number = consortium.channel.height - 1

    with pytest.raises(RecordRewrittenError, match=f"block {number}, transaction c0c0.*: {words}"):
        audited(consortium)
    monkeypatch.setattr(block_records, "check_written_once", lambda *args: None)
    audited(consortium)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"parent_sha256": "0" * 64}, "has another parent_sha256 than before"),
        ({"joined": MSPS[:3]}, "has another joined than before"),
    ],
)
def test_a_round_keeps_its_beginning_to_its_end(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    consortium = MemoryConsortium(tmp_path)
    consortium.agree()
    parts = consortium.parts(1)
    while (found := read_round(consortium.ledger(MSPS[0]), "small", 1)) is None or (
        found.record.state != "SUBMITTING"
    ):
        for part in parts.values():
            part.step()
    moved: Round = replace(found.record, **change, state="SUMMED")  # type: ignore[arg-type]
    write(consortium, keys.round_("small", 1), moved.to_bytes())

    with pytest.raises(RecordRewrittenError, match=words):
        audited(consortium)
    consortium.close()


def test_a_record_that_was_deleted_is_not_given(consortium: MemoryConsortium) -> None:
    records = block_records.BlockRecords()
    records._write(keys.study("a"), b"1")
    records._write(keys.study("b"), b"2")
    records._write(keys.study("a"), None)

    assert list(records.states(keys.STUDY)) == [(keys.study("b"), b"2")]
