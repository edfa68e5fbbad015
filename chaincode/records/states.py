"""How a round moves: one table of states and events.

`after` refuses, with RoundStateError, every event that the table does not have for the round's
state. `moved` gives the round's next record with its times. There is no clock: time is the
proposal's timestamp, never earlier than the round's last change. The peers refuse proposals far
from their own clocks (`network.clock`). Should that fail, a recorded time that leads a proposal's
by more than a week counts as wrong: it delays a study by days at most and cannot stop it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import Any, Final

from chaincode.records.errors import RoundStateError
from chaincode.records.round import Aggregate, Round, RoundState
from chaincode.records.study import Study


class RoundEvent(Enum):
    """What can happen to a round."""

    OPEN_ROUND = "open_round"
    JOIN = "join_round"
    REPORT_JOIN = "report_join"
    CLOSE_JOINS = "close_joins"
    PUT_CHUNK = "put_chunk"
    SUBMIT_UPDATE = "submit_update"
    AGGREGATE = "aggregate"
    SUBMIT_SHARE_SUM = "submit_share_sum"
    RECORD_ROUND_KEY = "record_round_key"
    CONFIRM_MODEL = "confirm_model"
    PUBLISH = "publish"
    REJECT = "reject"
    ABANDON = "abandon"
    VOTE_GIVE_UP = "vote to give up"
    GIVE_UP = "give_up"


_S = RoundState
_E = RoundEvent

#: (state, event) -> next state. Anything absent is refused with RoundStateError. None is the
#: state of a round that does not exist.
TRANSITIONS: Final[Mapping[tuple[RoundState | None, RoundEvent], RoundState]] = {
    (None, _E.OPEN_ROUND): _S.OPEN,
    (_S.OPEN, _E.JOIN): _S.OPEN,
    (_S.OPEN, _E.REPORT_JOIN): _S.OPEN,
    (_S.OPEN, _E.CLOSE_JOINS): _S.SUBMITTING,
    (_S.OPEN, _E.ABANDON): _S.ABANDONED,
    (_S.SUBMITTING, _E.REPORT_JOIN): _S.SUBMITTING,
    (_S.SUBMITTING, _E.PUT_CHUNK): _S.SUBMITTING,
    (_S.SUBMITTING, _E.SUBMIT_UPDATE): _S.SUBMITTING,
    (_S.SUBMITTING, _E.AGGREGATE): _S.SUMMED,
    (_S.SUBMITTING, _E.ABANDON): _S.ABANDONED,
    (_S.SUMMED, _E.SUBMIT_SHARE_SUM): _S.SUMMED,
    (_S.SUMMED, _E.RECORD_ROUND_KEY): _S.OPENED,
    (_S.SUMMED, _E.VOTE_GIVE_UP): _S.SUMMED,
    (_S.SUMMED, _E.GIVE_UP): _S.ABANDONED,
    # A hospital that comes back answers late; its answer must lie on the recorded polynomial.
    (_S.OPENED, _E.SUBMIT_SHARE_SUM): _S.OPENED,
    (_S.OPENED, _E.CONFIRM_MODEL): _S.OPENED,
    (_S.OPENED, _E.PUBLISH): _S.PUBLISHED,
    (_S.OPENED, _E.REJECT): _S.REJECTED,
}

#: A round's recorded time that leads a proposal's by more was set by a wrong clock, seconds. A
#: study may rest between two rounds for as long as it likes: only a lead counts.
LEAD_MAX_S: Final = 7 * 24 * 3600

#: States that a round never leaves.
ENDED: Final = frozenset({_S.PUBLISHED, _S.REJECTED, _S.ABANDONED})


def after(round_record: Round, event: RoundEvent) -> RoundState:
    """Return the state that an event leads to.

    Raises:
        RoundStateError: The round's state does not allow the event.
    """
    state = RoundState(round_record.state)
    following = TRANSITIONS.get((state, event))
    if following is None:
        raise RoundStateError(
            f"round {round_record.round} of {round_record.study} is {state.value}, "
            f"which does not allow {event.value}"
        )
    return following


def has_ended(round_record: Round) -> bool:
    """Say whether a round has reached a state that it never leaves."""
    return RoundState(round_record.state) in ENDED


def time_of(round_record: Round, timestamp_s: int) -> int:
    """Return the time that a proposal sets, in seconds since 1970 UTC.

    Never earlier than the round's last change, unless that was set by a wrong clock.
    """
    if clock_was_wrong(round_record, timestamp_s):
        return timestamp_s
    return max(timestamp_s, round_record.changed_at_s)


def clock_was_wrong(round_record: Round, timestamp_s: int) -> bool:
    """Say whether a round's last change lies too far after a proposal to be true."""
    return round_record.changed_at_s - timestamp_s > LEAD_MAX_S


def deadline_passed(round_record: Round, timestamp_s: int) -> bool:
    """Say whether the present state need wait no longer.

    A deadline that a wrong clock has set is not waited for.
    """
    if clock_was_wrong(round_record, timestamp_s):
        return True
    return time_of(round_record, timestamp_s) >= round_record.deadline_s


def moved(
    round_record: Round, event: RoundEvent, study: Study, timestamp_s: int, **changes: Any
) -> Round:
    """Return the round's record after an event that changes its state.

    Args:
        round_record: The record as it is.
        event: What happened.
        study: Its terms, for the next deadline.
        timestamp_s: Proposal time, seconds since 1970 UTC.
        changes: Further fields to set.

    Raises:
        RoundStateError: The round's state does not allow the event.
    """
    state = after(round_record, event)
    now_s = time_of(round_record, timestamp_s)
    return replace(
        round_record,
        state=state.value,
        changed_at_s=now_s,
        deadline_s=now_s + wait_s(state, study) if state not in ENDED else 0,
        **changes,
    )


def wait_s(state: RoundState, study: Study) -> int:
    """Return how long a state waits for everybody, in seconds."""
    waits = {_S.OPEN: study.deadlines_s.join, _S.SUBMITTING: study.deadlines_s.submit}
    return waits.get(state, study.deadlines_s.answer)


def published_after(round_record: Round) -> int:
    """Return how many rounds of the study are published once this one has ended."""
    return round_record.published_before + (round_record.state == RoundState.PUBLISHED.value)


def model_after(terms: Study, previous: Round | None) -> str:
    """Return the digest of the model in force after a round, or before the first."""
    if previous is None:
        return terms.initial_model_sha256
    return previous.model_sha256 or previous.parent_sha256


def may_be_opened(total: Aggregate, answers: int, threshold: int) -> bool:
    """Say whether somebody may be able to open a sum with the share sums that are recorded.

    Hospitals that cheat may have kept their own answers back and opened it for themselves.

    Args:
        total: The sum.
        answers: Share sums recorded for it.
        threshold: T, the share sums that open it.
    """
    return answers >= threshold - total.cheating_max
