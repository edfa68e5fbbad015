"""A hospital alone sets the ledger's clock: it closes a phase early, or stops a study forever."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaincode.contract.rules import turns
from chaincode.memory_ledger import MemoryEndorseError, MemoryLedger
from chaincode.records import states
from chaincode.records.errors import AbandonTooEarlyError
from network.clock import TIME_WINDOW_S
from tests.unit.chaincode.contract.played import MSPS, START_S, Played

EAST, NORTH, SOUTH, WEST = MSPS
YEAR_2100 = 4_102_444_800
DAY_S = 24 * 3600


class ClockedPlayed(Played):
    """Hospitals whose peers have a clock; `now_s` is what a proposal says."""

    peers_s = START_S


def clocked() -> ClockedPlayed:
    played = ClockedPlayed()
    played.ledger._clock_s = lambda: played.peers_s
    return played


@pytest.mark.parametrize("off_s", [TIME_WINDOW_S + 1, -TIME_WINDOW_S - 1, 3600, YEAR_2100])
def test_a_proposal_outside_the_peers_time_window_is_refused(off_s: int) -> None:
    played = clocked()
    with pytest.raises(MemoryEndorseError, match="incorrect timestamp"):
        played.wait(off_s).agree()


@pytest.mark.parametrize("off_s", [TIME_WINDOW_S, 0, -TIME_WINDOW_S])
def test_a_proposal_within_the_window_is_taken(off_s: int) -> None:
    clocked().wait(off_s).agree()


def test_nobody_leaves_a_hospital_out_before_the_deadline() -> None:
    played = clocked().to_submitting().update(EAST, NORTH, SOUTH)
    with pytest.raises(MemoryEndorseError, match="incorrect timestamp"):
        played.wait(3600).aggregate()

    assert played.wait(-3600).round().state == "SUBMITTING"


def test_switched_off_window_lets_one_hospital_choose_the_contributors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played = clocked().to_submitting().update(EAST, NORTH, SOUTH)
    monkeypatch.setattr(MemoryLedger, "_check_time", lambda *args: None)

    played.wait(3600).aggregate()

    assert WEST not in {each.msp for each in played.aggregate_record().contributors}


def set_to_2100(number: int) -> Played:
    """Open a round with a proposal of the year 2100; peers have no clock. Return to the present."""
    played = Played().agree() if number == 1 else Played().to_published()
    played.now_s = YEAR_2100
    played.open(number)
    played.now_s = START_S + 60
    return played


@pytest.mark.parametrize("number", [1, 2])
def test_a_clock_that_was_set_to_2100_does_not_stop_a_study(number: int) -> None:
    played = set_to_2100(number)
    assert played.round(number).deadline_s > YEAR_2100

    played.submit(NORTH, "abandon", "lungs", number, "nobody joined")
    played.open(number + 1)

    assert played.round(number + 1).opened_at_s == START_S + 60


@pytest.mark.parametrize("number", [1, 2])
def test_a_round_of_the_year_2100_goes_on_with_those_who_joined(number: int) -> None:
    played = set_to_2100(number).join(*MSPS[:3], number=number)

    played.close(number)

    assert played.round(number).joined == MSPS[:3]
    assert played.round(number).deadline_s == START_S + 60 + played.study.deadlines_s.submit


def test_a_clock_that_was_set_a_week_ahead_delays_a_study_by_a_week() -> None:
    played = Played().agree().wait(states.LEAD_MAX_S).open().wait(-states.LEAD_MAX_S)
    with pytest.raises(MemoryEndorseError, match="AbandonTooEarlyError"):
        played.submit(NORTH, "abandon", "lungs", 1, "nobody joined")

    played.wait(states.LEAD_MAX_S + played.study.deadlines_s.join)
    played.submit(NORTH, "abandon", "lungs", 1, "nobody joined")

    assert played.round().state == "ABANDONED"


@pytest.mark.parametrize("number", [1, 2])
def test_switched_off_bound_of_a_lead_stops_the_study_for_ever(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "LEAD_MAX_S", YEAR_2100)
    played = set_to_2100(number).wait(10 * 365 * DAY_S)

    with pytest.raises(MemoryEndorseError, match="AbandonTooEarlyError"):
        played.submit(NORTH, "abandon", "lungs", number, "nobody joined")


def test_a_study_that_rested_for_months_gives_everybody_the_whole_deadline() -> None:
    played = Played().to_published().wait(90 * DAY_S).open(2).join(*MSPS[:3], number=2)
    with pytest.raises(MemoryEndorseError, match="JoinsAwaitedError"):
        played.wait(played.study.deadlines_s.join - 1).close(2)

    played.wait(1).close(2)

    assert played.round(2).joined == MSPS[:3]


def test_a_deadline_of_months_passes_when_it_has_passed() -> None:
    record = replace(Played().to_open().round(), deadline_s=START_S + 90 * DAY_S)

    turns.check_deadline_passed(record, START_S + 91 * DAY_S)
    with pytest.raises(AbandonTooEarlyError):
        turns.check_deadline_passed(record, START_S + 89 * DAY_S)
