"""Between two honest answers the aggregate becomes another: their difference is one update.

Three of five hospitals, fewer than T = 4, hold three shares of every secret. If one honest hospital
answers for all five and the other for four, the colluders have T answers for both sums. A hospital
that has seen the first aggregate does not answer for the second, also after a restart.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaincode.records import keys
from chaincode.records.errors import OtherAggregateError
from chaincode.records.round import ShareSum
from chaincode.roundkey.shares import interpolate, read_share_sum
from peer_client.errors import OwnRecordForgedError, RecordChangedError
from peer_client.rounds import own_records, round
from peer_client.rounds.decision import Act
from peer_client.rounds.records import read_share_sums
from peer_client.rounds.seen_records import SeenRound
from tests.scenarios.attacks.coalition import Coalition, Values, watch_updates
from tests.support.hospitals import MemoryConsortium, play_up_to, small_study

MSPS = ("h1MSP", "h2MSP", "h3MSP", "h4MSP", "h5MSP")
VICTIM, SECOND, *COLLUDERS = MSPS


class Attack:
    """Five hospitals whose round is summed, with all updates in the sum."""

    def __init__(self, folder: Path, true_values: dict[str, Values]) -> None:
        self.true_values = true_values
        self.consortium = MemoryConsortium(folder, small_study(MSPS, name="rewritten"))
        self.consortium.agree()
        self.parts = self.consortium.parts(1)
        play_up_to(self.consortium, self.parts, "SUMMED")
        self.coalition = Coalition(self.consortium, COLLUDERS)
        self.first = self.consortium.records(1).aggregate
        assert self.first is not None
        self.second = self.coalition.aggregate_without(VICTIM)

    def swap(self) -> None:
        """Put the second aggregate where the first one is."""
        place = keys.aggregate(self.consortium.study.study, 1)
        self.coalition.write({place: self.second.to_bytes()})

    def opens_the_update(self) -> bool:
        """Whether the colluders' shares and the two honest answers open the victim's update."""
        public = read_share_sums(
            self.consortium.ledger(COLLUDERS[0]), self.consortium.study.study, 1
        )
        keys_of_sums = []
        for honest, aggregate in ((VICTIM, self.first), (SECOND, self.second)):
            answers = self.coalition.own_answers(aggregate)
            point = self.consortium.study.hospital(honest).point
            answers[point] = read_share_sum(public[honest].share_sum)
            keys_of_sums.append(interpolate(answers))
        found = self.coalition.values_under(VICTIM, keys_of_sums[0] - keys_of_sums[1])
        return found is not None and bool((found == self.true_values[VICTIM]).all())


@pytest.fixture
def attack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Attack]:
    made = Attack(tmp_path, watch_updates(monkeypatch.setattr))
    yield made
    made.consortium.close()


def test_a_hospital_that_saw_the_first_aggregate_does_not_answer_for_the_second(
    attack: Attack,
) -> None:
    second = attack.parts[SECOND]
    second.records()  # it has seen the first aggregate, and is a little slow
    assert attack.parts[VICTIM].step() is Act.ANSWER
    attack.swap()

    with pytest.raises(RecordChangedError, match="the aggregate of round 1 changed on the ledger"):
        second.step()
    with pytest.raises(RecordChangedError, match="the aggregate of round 1"):
        attack.consortium.part(SECOND, 1).step()  # its client, started again
    assert SECOND not in attack.consortium.records(1).answers


def test_switched_off_memory_of_what_was_seen_gives_the_victims_update(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SeenRound, "check", lambda *args, **named: None)
    attack.parts[SECOND].records()
    assert attack.parts[VICTIM].step() is Act.ANSWER
    attack.swap()
    attack.consortium.clock.forward(61)  # the victim has had its time to submit

    assert attack.parts[SECOND].step() is Act.ANSWER

    assert attack.opens_the_update()


def test_an_aggregate_that_changes_while_a_hospital_works_is_not_answered_for(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The own peer is read again right before the share sum leaves."""
    from peer_client.rounds import answering

    really = answering.answer_once

    def overtaken(*args, **named):
        found = really(*args, **named)
        attack.swap()
        return found

    monkeypatch.setattr(answering, "answer_once", overtaken)
    with pytest.raises(RecordChangedError, match="the aggregate of round 1"):
        attack.parts[SECOND].step()
    assert SECOND not in attack.consortium.records(1).answers


def test_switched_off_second_reading_lets_the_share_sum_leave(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peer_client.rounds import answering

    sent = []
    monkeypatch.setattr(answering, "check_unchanged", lambda *args: sent.append(attack.swap()))
    submit = attack.consortium.channel.submit

    def stealing(creator, function, *args, transient=None, **more):
        sent.append((transient or {}).get("share_sum"))
        return submit(creator, function, *args, transient=transient, **more)

    monkeypatch.setattr(attack.consortium.channel, "submit", stealing)
    with pytest.raises(OtherAggregateError):
        attack.parts[SECOND].step()

    assert len(sent[1]) == 8192  # the ledger refuses it, but it has left the hospital


def test_a_peer_that_went_back_is_not_answered(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = attack.parts[SECOND]
    part.records()
    attack.consortium.channel.blocks.pop()

    with pytest.raises(RecordChangedError, match="the height of the own peer's ledger"):
        part.step()
    assert SECOND not in attack.consortium.records(1).answers


def test_an_answer_in_the_own_name_that_was_never_given_stops_a_hospital(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attack's first step: keep a hospital quiet by a false answer in its name."""
    study = attack.consortium.study
    point = study.hospital(SECOND).point
    false = ShareSum(study.study, 1, SECOND, point, attack.first.digest, bytes(8192), ())
    attack.coalition.write({keys.share_sum(study.study, 1, SECOND): false.to_bytes()})

    with pytest.raises(OwnRecordForgedError, match=f"an answer in the name of {SECOND}"):
        attack.parts[SECOND].step()

    assert round.check_own_update_and_answer is own_records.check_own_update_and_answer
    monkeypatch.setattr(round, "check_own_update_and_answer", lambda *args: None)
    assert attack.parts[SECOND].step() is not Act.ANSWER  # it waits, and can be shown another sum
