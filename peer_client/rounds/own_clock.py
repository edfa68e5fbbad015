"""When a phase ends by this hospital's own clock.

The ledger's times are those of proposals, which whoever proposes sets; peers refuse those far from
their own clocks. A hospital does not rest on that alone: it notes by its own clock when it first
saw a phase (rounds/seen_records.py), and takes a list of the joined, or a sum, that lacks a
hospital for final only when the study's wait has passed since then. A ledger whose clock runs a
little ahead is given that little; one that runs far ahead does not hold this hospital up.
"""

from __future__ import annotations

from typing import Final

from chaincode.records.round import RoundState
from chaincode.records.study import Study
from network.clock import TIME_WINDOW_S
from peer_client.rounds.records import RoundRecords
from peer_client.rounds.seen_records import PhaseSeen, SeenRound
from peer_client.sealing.errors import PhaseClosedEarlyError

#: How far a deadline on the ledger may lie behind the one by the own clock and still count, in
#: seconds: twice what peers let a proposal's time be off.
LEDGER_AHEAD_S: Final = 2 * TIME_WINDOW_S


def phase_end_s(seen: PhaseSeen, wait_s: int) -> float:
    """Return when a phase ends: the later of the own deadline and the ledger's, within bounds.

    Args:
        seen: When it was first seen, and its deadline on the ledger.
        wait_s: The study's wait for it, seconds.

    >>> phase_end_s(PhaseSeen(1000.0, 1050), 60), phase_end_s(PhaseSeen(1000.0, 1080), 60)
    (1060.0, 1080)
    >>> phase_end_s(PhaseSeen(1000.0, 4_102_444_800), 60)
    1120.0
    """
    own_s = seen.seen_at_s + wait_s
    return max(own_s, min(seen.deadline_s, own_s + LEDGER_AHEAD_S))


def end_of_s(seen: SeenRound, state: str, wait_s: int) -> float:
    """Return when a state's wait is over by the own clock, Unix seconds; 0 for a round never seen.

    A hospital that was away while the round was in that state counts from when it came back: it
    cannot know how long the others had.
    """
    if (phase := seen.phase(state)) is not None:
        return phase_end_s(phase, wait_s)
    later = seen.first_phase(state)
    return later.seen_at_s + wait_s if later is not None else 0.0


def submit_from_s(
    seen: SeenRound, records: RoundRecords, study: Study, active: tuple[str, ...]
) -> float:
    """Return from when this hospital submits, by its own clock; 0 where all active have joined."""
    if set(active) <= set(records.joined):
        return 0.0
    return end_of_s(seen, RoundState.OPEN, study.deadlines_s.join)


def left_out(records: RoundRecords) -> tuple[str, ...]:
    """Return the joined hospitals that are not in the sum and had sent nothing by then.

    One whose update the ledger refused has had its time; that its update is not valid is checked
    before an answer (`peer_client.rounds.kept_sum.check_refused`).
    """
    if records.aggregate is None:
        return ()
    had_time = {*records.contributors, *(set(records.aggregate.refused) & set(records.updates))}
    return tuple(msp for msp in records.joined if msp not in had_time)


def answer_from_s(seen: SeenRound, records: RoundRecords, study: Study) -> float:
    """Return from when this hospital answers, by its own clock; 0 where nobody was left out."""
    if not left_out(records):
        return 0.0
    return end_of_s(seen, RoundState.SUBMITTING, study.deadlines_s.submit)


def check_may_submit(
    seen: SeenRound, records: RoundRecords, study: Study, active: tuple[str, ...], now_s: float
) -> None:
    """Refuse to submit to hospitals of which one is missing before it had its time to join.

    Raises:
        PhaseClosedEarlyError: The joins were closed too early by this hospital's clock.
    """
    end_s = submit_from_s(seen, records, study, active)
    if now_s < end_s:
        missing = ", ".join(msp for msp in active if msp not in records.joined)
        raise PhaseClosedEarlyError(
            f"the joins of round {records.record.round} were closed without {missing}, "
            f"{end_s - now_s:.0f} s before their deadline by this hospital's clock"
        )


def check_may_answer(seen: SeenRound, records: RoundRecords, study: Study, now_s: float) -> None:
    """Refuse to answer for a sum without a hospital that had not had its time to submit.

    Raises:
        PhaseClosedEarlyError: The submissions were closed too early by this hospital's clock.
    """
    end_s = answer_from_s(seen, records, study)
    if now_s < end_s:
        missing = ", ".join(left_out(records))
        raise PhaseClosedEarlyError(
            f"the sum of round {records.record.round} was made without {missing}, "
            f"{end_s - now_s:.0f} s before the deadline by this hospital's clock"
        )
