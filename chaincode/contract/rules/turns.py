"""When a round may move: which round comes next, who is awaited until when, who is too few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaincode.ledger import Ledger
from chaincode.records import keys
from chaincode.records.errors import (
    AbandonTooEarlyError,
    EnoughJoinedError,
    JoinReportedError,
    JoinsAwaitedError,
    RoundOrderError,
    RoundRepeatedError,
    RoundRunningError,
    StudyFinishedError,
    TooFewContributorsError,
    TooFewJoinedError,
    UpdatesAwaitedError,
)
from chaincode.records.round import JoinReport, Round
from chaincode.records.states import deadline_passed, has_ended, published_after
from chaincode.records.study import Study


def check_opening(ledger: Ledger, terms: Study, number: int) -> Round | None:
    """Return the round before a new one, None before the first.

    Raises:
        RoundRepeatedError: The number was used.
        RoundOrderError: The number leaves a gap.
        RoundRunningError: The round before it has not ended.
        StudyFinishedError: All rounds of the study are published.
    """
    if ledger.get_state(keys.round_(terms.study, number)):
        raise RoundRepeatedError(
            f"round {number} of {terms.study} exists; a round's number is never used again"
        )
    if number == 1:
        return None
    data = ledger.get_state(keys.round_(terms.study, number - 1))
    if not data:
        raise RoundOrderError(f"round {number} cannot open: round {number - 1} does not exist")
    previous = Round.from_bytes(data)
    if not has_ended(previous):
        raise RoundRunningError(
            f"round {number} cannot open: round {number - 1} is {previous.state}"
        )
    if published_after(previous) >= terms.rounds:
        raise StudyFinishedError(f"study {terms.study} has published its {terms.rounds} rounds")
    return previous


def check_joins_closable(
    round_record: Round, terms: Study, joined_msps: Sequence[str], active: Sequence[str], now_s: int
) -> None:
    """Check that the joins may close.

    Raises:
        JoinsAwaitedError: Somebody is awaited and the deadline has not passed.
        TooFewJoinedError: Fewer than k joined.
    """
    missing = sorted(set(active) - set(joined_msps))
    if missing and not deadline_passed(round_record, now_s):
        raise JoinsAwaitedError(
            f"round {round_record.round} waits for {', '.join(missing)} "
            f"until {round_record.deadline_s}"
        )
    if len(joined_msps) < terms.contributors_min:
        raise TooFewJoinedError(
            f"{len(joined_msps)} hospitals joined round {round_record.round}, "
            f"{terms.contributors_min} are needed"
        )


def check_updates_addable(round_record: Round, submitted: Sequence[str], now_s: int) -> None:
    """Check that the updates may be added.

    Raises:
        UpdatesAwaitedError: Somebody is awaited and the deadline has not passed.
    """
    missing = sorted(set(round_record.joined) - set(submitted))
    if missing and not deadline_passed(round_record, now_s):
        raise UpdatesAwaitedError(
            f"round {round_record.round} waits for the updates of {', '.join(missing)} "
            f"until {round_record.deadline_s}"
        )


def check_enough_contributors(
    terms: Study, number: int, count: int, refused: Mapping[str, str] | None = None
) -> None:
    """Check that at least k updates go into a sum.

    Raises:
        TooFewContributorsError: Fewer.
    """
    if count < terms.contributors_min:
        because = "; ".join(f"{msp}: {why}" for msp, why in (refused or {}).items())
        raise TooFewContributorsError(
            f"{count} valid updates in round {number}, {terms.contributors_min} are needed"
            + (f" (refused: {because})" if because else "")
        )


def check_deadline_passed(round_record: Round, now_s: int) -> None:
    """Check that a round's deadline has passed.

    Raises:
        AbandonTooEarlyError: It has not.
    """
    if not deadline_passed(round_record, now_s):
        raise AbandonTooEarlyError(
            f"round {round_record.round} may be abandoned after {round_record.deadline_s}"
        )


def check_too_few_joined(round_record: Round, terms: Study, count: int) -> None:
    """Check that an open round has too few hospitals to go on.

    Raises:
        EnoughJoinedError: It has enough.
    """
    if count >= terms.contributors_min:
        raise EnoughJoinedError(
            f"{count} hospitals joined round {round_record.round}: close the joins"
        )


def check_no_join_reports(round_record: Round, reports: Mapping[str, JoinReport]) -> None:
    """Check that no hospital has disowned the join in its name.

    Raises:
        JoinReportedError: One has; the round can only be abandoned.
    """
    if reports:
        raise JoinReportedError(
            f"{', '.join(reports)} reported that the join in its name in round "
            f"{round_record.round} is not its own; abandon the round"
        )
