"""Hospitals fewer than T rewrite the round's aggregate between two honest answers.

Every hospital's client is the project's own. Five hospitals, T = 4; three of them collude. If any
three may write the ledger, they show one honest hospital the sum of all and, once it has answered,
another honest hospital the sum without the first: the two round keys differ by the first one's
secret, and its update opens.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from chaincode.memory_ledger import ENDORSEMENT_POLICY_FAILURE, VALID, MemoryLedger, Simulation
from chaincode.records import keys
from chaincode.records.round import Aggregate
from chaincode.roundkey import ring
from chaincode.roundkey.shares import interpolate, read_share_sum
from peer_client.rounds.decision import Act
from peer_client.rounds.records import RoundRecords, read_share_sums
from tests.scenarios.attacks.coalition import Coalition, watch_updates
from tests.support.hospitals import MemoryConsortium, play_up_to, small_study

VICTIM, SECOND = "h1MSP", "h2MSP"
COLLUDERS = ("h3MSP", "h4MSP", "h5MSP")
HOSPITALS = (VICTIM, SECOND, *COLLUDERS)


@pytest.fixture
def consortium(tmp_path: Path) -> MemoryConsortium:
    """Five hospitals on a channel of their own, a round summed by all of them."""
    study = small_study(HOSPITALS, name="rewritten")
    return MemoryConsortium(tmp_path, study, members=HOSPITALS)


def rogue_write(consortium: MemoryConsortium, key: str, value: bytes) -> str:
    """Commit any write that the colluders' peers alone endorse; return its validation code."""
    transaction = Simulation(
        "c0" * 32, consortium.members[COLLUDERS[0]], int(consortium.clock()), "aggregate"
    )
    transaction.writes[key] = value
    (code,) = consortium.channel.commit(transaction, endorsers=COLLUDERS)
    return code


def round_key(coalition: Coalition, total: Aggregate, honest: str) -> ring.Integers:
    """Interpolate the key of a sum from one honest answer and the colluders' own boxes."""
    consortium = coalition.consortium
    given = read_share_sums(consortium.ledger(COLLUDERS[0]), consortium.study.study, 1)
    answer = read_share_sum(given[honest].share_sum)
    point = consortium.study.hospital(honest).point
    return interpolate({point: answer, **coalition.own_answers(total)})


def play_to_the_sum(consortium: MemoryConsortium) -> RoundRecords:
    """Let all hospitals contribute; the victim answers, the second one is away from then on."""
    consortium.agree()
    parts = consortium.parts(1)
    play_up_to(consortium, parts, "SUMMED")
    assert parts[VICTIM].step() is Act.ANSWER
    return consortium.records(1)


def test_fewer_than_t_hospitals_cannot_write_a_record(consortium: MemoryConsortium) -> None:
    records = play_to_the_sum(consortium)
    second = Coalition(consortium, COLLUDERS).aggregate_without(VICTIM)

    code = rogue_write(consortium, keys.aggregate("rewritten", 1), second.to_bytes())

    assert code == ENDORSEMENT_POLICY_FAILURE
    assert consortium.records(1).aggregate == records.aggregate
    consortium.close()


def test_switched_off_to_a_majority_three_of_five_read_one_update(
    consortium: MemoryConsortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypted = watch_updates(monkeypatch.setattr)
    majority = property(lambda ledger: len(ledger.hospitals) // 2 + 1)
    monkeypatch.setattr(MemoryLedger, "endorsers_needed", majority)
    records = play_to_the_sum(consortium)
    coalition = Coalition(consortium, COLLUDERS)
    first, second = records.aggregate, coalition.aggregate_without(VICTIM)
    assert first is not None

    code = rogue_write(consortium, keys.aggregate("rewritten", 1), second.to_bytes())
    assert code == VALID
    consortium.clock.forward(600)  # the second one comes back after every deadline
    assert consortium.part(SECOND, 1).step() is Act.ANSWER

    key = round_key(coalition, first, VICTIM)
    other = round_key(coalition, second, SECOND)
    found = coalition.values_under(VICTIM, key - other)
    assert found is not None
    assert (found == encrypted[VICTIM]).all()
    consortium.close()
