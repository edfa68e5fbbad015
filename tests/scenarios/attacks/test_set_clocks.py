"""A hospital alone sets the ledger's clock: it closes a phase early, or stops a study for ever."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaincode.contract.rules import turns
from chaincode.memory_ledger import MemoryEndorseError, MemoryLedger
from chaincode.records import states
from network.clock import TIME_WINDOW_S
from tests.unit.chaincode.contract.played import MSPS, START_S, Played

EAST, NORTH, SOUTH, WEST = MSPS
YEAR_2100 = 4_102_444_800


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


def stopped_clock(played: Played) -> Played:
    """Publish a round, open the next one in the year 2100, then let a week and a minute pass."""
    played.to_published()
    played.now_s = YEAR_2100
    played.open(2)
    played.now_s = START_S + states.STEP_MAX_S + 60
    return played


def test_a_clock_that_was_set_to_2100_delays_a_study_by_a_week_at_most() -> None:
    played = stopped_clock(Played())

    played.submit(NORTH, "abandon", "lungs", 2, "nobody joined")
    played.open(3)

    assert played.round(2).opened_at_s == START_S + states.STEP_MAX_S
    assert played.round(3).state == "OPEN"


def test_switched_off_bound_of_a_step_stops_the_study_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(states, "STEP_MAX_S", YEAR_2100)
    played = Played()
    played.to_published()
    played.now_s = YEAR_2100
    played.open(2)
    played.now_s = START_S + 10 * 365 * 24 * 3600

    with pytest.raises(MemoryEndorseError, match="AbandonTooEarlyError"):
        played.submit(NORTH, "abandon", "lungs", 2, "nobody joined")


def test_a_long_deadline_can_pass_in_one_step() -> None:
    record = replace(Played().to_open().round(), deadline_s=START_S + 90 * 24 * 3600)

    turns.check_deadline_passed(record, START_S + 91 * 24 * 3600)
