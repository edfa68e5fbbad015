"""One hospital sets the clock of its proposals ahead: it closes a phase and chooses who is in.

Peers refuse proposals far from their own clocks. Where they do not (the peers of these tests but
for the first have no clock of their own), a hospital's client still goes by its own: it neither
seals for joined hospitals of which one is missing, nor answers for a sum without one, before their
time is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chaincode.memory_ledger import MemoryEndorseError
from chaincode.records import keys
from peer_client.ledgers.memory import MemoryHospitalLedger
from peer_client.rounds import answering, kept_sum, own_clock
from peer_client.rounds.decision import Act
from peer_client.sealing.errors import PhaseClosedEarlyError, ShareRefusedError
from tests.scenarios.attacks.coalition import Coalition
from tests.support.hospitals import MSPS, MemoryConsortium, play, play_up_to, small_study

VICTIM, *HONEST, LIAR = MSPS
DEADLINE_S = 3600


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[MemoryConsortium]:
    made = MemoryConsortium(tmp_path, small_study(deadline_s=DEADLINE_S))
    made.agree()
    made.channel._clock_s = None
    yield made
    made.close()


def test_peers_refuse_the_liars_time(consortium: MemoryConsortium) -> None:
    parts = consortium.parts(1)
    play_up_to(consortium, parts, "SUBMITTING")
    consortium.channel._clock_s = consortium.clock

    with pytest.raises(MemoryEndorseError, match="time"):
        ahead(consortium).submit("aggregate", consortium.study.study, "1")


def ahead(consortium: MemoryConsortium) -> MemoryHospitalLedger:
    """Return the liar's way to the ledger, with a clock that is an hour ahead."""
    orderers = tuple(f"orderer{n}" for n in range(4))
    return MemoryHospitalLedger(
        consortium.channel,
        consortium.members[LIAR],
        lambda: consortium.clock() + DEADLINE_S + 1,
        orderers,
    )


def summed_early(consortium: MemoryConsortium) -> dict:
    """Have everything submitted but by the victim, and the sum made an hour early."""
    parts = consortium.parts(1)
    play_up_to(consortium, parts, "SUBMITTING")
    for msp in (*HONEST, LIAR):
        while msp not in consortium.records(1).updates:
            parts[msp].step()
    ahead(consortium).submit("aggregate", consortium.study.study, "1")
    assert VICTIM not in consortium.records(1).contributors
    return parts


def test_nobody_answers_for_a_sum_without_a_hospital_before_its_time(
    consortium: MemoryConsortium,
) -> None:
    parts = summed_early(consortium)

    acts = {msp: parts[msp].step() for msp in HONEST}

    assert set(acts.values()) == {Act.WAIT}
    consortium.clock.forward(DEADLINE_S - 1)
    assert {parts[msp].step() for msp in HONEST} == {Act.WAIT}
    assert consortium.records(1).answers == {}
    consortium.clock.forward(1)
    assert {parts[msp].step() for msp in HONEST} == {Act.ANSWER}


def test_the_wait_is_not_forgotten_by_a_restart(consortium: MemoryConsortium) -> None:
    summed_early(consortium)
    consortium.clock.forward(DEADLINE_S - 1)

    assert consortium.part(HONEST[0], 1).step() is Act.WAIT
    consortium.clock.forward(1)
    assert consortium.part(HONEST[0], 1).step() is Act.ANSWER


def test_an_answer_that_were_asked_for_early_is_refused_by_name(
    consortium: MemoryConsortium,
) -> None:
    part = summed_early(consortium)[HONEST[0]]
    records = part.records()
    assert records is not None

    with pytest.raises(PhaseClosedEarlyError, match=f"made without {VICTIM}, 3600 s before"):
        own_clock.check_may_answer(part._seen, records, part.context.study, consortium.clock())


def test_switched_off_own_clock_lets_one_hospital_choose_the_sum(
    consortium: MemoryConsortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = summed_early(consortium)
    monkeypatch.setattr(own_clock, "end_of_s", lambda *args: 0.0)

    assert {parts[msp].step() for msp in HONEST} == {Act.ANSWER}


def joined_early(consortium: MemoryConsortium) -> dict:
    """Have the joins closed without the victim, an hour early."""
    parts = consortium.parts(1)
    others = {msp: parts[msp] for msp in (*HONEST, LIAR)}
    play(consortium, others, until=lambda: all(consortium.trainers[msp].trained for msp in others))
    for part in others.values():
        part.step()
    ahead(consortium).submit("close_joins", consortium.study.study, "1")
    assert consortium.records(1).record.joined == tuple(sorted((*HONEST, LIAR)))
    return parts


def test_nobody_submits_to_joined_hospitals_without_one_before_its_time(
    consortium: MemoryConsortium,
) -> None:
    parts = joined_early(consortium)

    assert {parts[msp].step() for msp in HONEST} == {Act.WAIT}
    assert not list(consortium.folder.rglob("upload.bin"))
    consortium.clock.forward(DEADLINE_S)
    assert {parts[msp].step() for msp in HONEST} == {Act.SUBMIT}


def test_switched_off_own_clock_lets_one_hospital_choose_the_joined(
    consortium: MemoryConsortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = joined_early(consortium)
    monkeypatch.setattr(own_clock, "end_of_s", lambda *args: 0.0)

    assert {parts[msp].step() for msp in HONEST} == {Act.SUBMIT}


def said_to_be_refused(consortium: MemoryConsortium) -> dict:
    """Have the ledger say that the victim's valid update was refused."""
    parts = consortium.parts(1)
    play_up_to(consortium, parts, "SUMMED")
    coalition = Coalition(consortium, (LIAR,))
    lie = replace(coalition.aggregate_without(VICTIM), refused={VICTIM: "ResidueError: too large"})
    coalition.write({keys.aggregate(consortium.study.study, 1): lie.to_bytes()})
    return consortium.parts(1)


def test_an_update_said_to_be_refused_is_checked_before_an_answer(
    consortium: MemoryConsortium,
) -> None:
    part = said_to_be_refused(consortium)[HONEST[0]]

    part.step()

    assert HONEST[0] not in consortium.records(1).answers
    assert part.context.journal.answer(consortium.study.study, 1) is None
    records = part.records()
    assert records is not None
    with pytest.raises(ShareRefusedError, match=f"leaves out the update of {VICTIM}, which is"):
        kept_sum.check_refused(part.context, records)


def test_switched_off_check_of_a_refusal_lets_the_victim_be_left_out(
    consortium: MemoryConsortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = said_to_be_refused(consortium)[HONEST[0]]
    monkeypatch.setattr(answering, "check_refused", lambda *args: None)

    assert part.step() is Act.ANSWER
    assert HONEST[0] in consortium.records(1).answers
