"""What a hospital does next in a round, decided from what the ledger says and nothing else.

A pure function of the round's record, of what this hospital has done so far, and of the time: no
ledger, no file, no clock. So a client that was stopped anywhere decides as it would have decided,
and every line of the table can be tested. The table of states is in
`chaincode/records/states.py`, which holds the ledger's side of it.

Closing a phase is anybody's to do. The first hospital of the round's order acts at once, the others
after a grace that grows with their rank: usually one transaction is sent, and a hospital that is
away holds nobody up for long. Losing such a race is normal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from chaincode.records.round import RoundState
from peer_client.ledgers.ledger import StepsAwaited


class Act(Enum):
    """One thing to do."""

    OPEN_ROUND = "open the round"
    JOIN = "join"
    TRAIN = "train"
    CLOSE_JOINS = "close the joins"
    SUBMIT = "submit the update"
    AGGREGATE = "have the sum made"
    ANSWER = "answer with the share sum"
    RECORD_KEY = "have the round key recorded"
    APPLY = "open and apply the sum"
    CONFIRM = "confirm the model"
    PUBLISH = "have the model published"
    ABANDON = "abandon the round"
    GIVE_UP = "vote to give the round up"
    WAIT = "wait for the others"
    DONE = "the round has ended"


#: Acts that any hospital may do for all; the others are this hospital's own.
CLOSING = frozenset(
    {Act.OPEN_ROUND, Act.CLOSE_JOINS, Act.AGGREGATE, Act.RECORD_KEY, Act.PUBLISH, Act.ABANDON}
)

ENDED = frozenset({RoundState.PUBLISHED, RoundState.REJECTED, RoundState.ABANDONED})


@dataclass(frozen=True, slots=True)
class RoundView:
    """A round as the ledger shows it.

    Attributes:
        state: OPEN, SUBMITTING, SUMMED, OPENED, PUBLISHED, REJECTED or ABANDONED; empty before the
            round is opened.
        deadline_s: When the present phase may be closed without those who are missing, Unix time.
        joined: Who has joined, in MSP order.
        submitted: Whose update is recorded.
        contributors: Whose updates are in the sum; empty before SUMMED.
        answered: Who has sent a share sum.
        reported: Who has reported boxes that did not open instead.
        confirmed: Who has confirmed, with the digest of the model computed.
        given_up: Who has voted to give the round up.
        join_reports: Who has reported a join in its name as not its own: the round is void.
    """

    state: str = ""
    deadline_s: int = 0
    joined: tuple[str, ...] = ()
    submitted: tuple[str, ...] = ()
    contributors: tuple[str, ...] = ()
    answered: tuple[str, ...] = ()
    reported: tuple[str, ...] = ()
    confirmed: tuple[tuple[str, str], ...] = ()
    given_up: tuple[str, ...] = ()
    join_reports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnProgress:
    """What this hospital has done in the round, from its own store.

    Attributes:
        trained: A trained vector lies in the store, or the sealed upload does.
        has_keys: The sealing key of the round is still in memory-backed storage.
        answer_refused: This hospital found a reason not to answer (said once, kept for the round).
        too_few_valid: The chaincode found too few of the updates submitted to be valid.
        no_key: The share sums sent so far open nothing, in any choice of T of them.
        applied: The round's model has been computed here.
        opening_refused: The sum did not open to one of updates; there is no model to confirm.
        update_spent: The journal says that an update was sealed, but its bytes are gone.
        submit_from_s: From when this hospital submits, by its own clock (rounds/own_clock.py):
            later than at once where a hospital is missing among the joined.
        answer_from_s: From when it answers: later where a joined hospital is not in the sum.
    """

    trained: bool = False
    has_keys: bool = False
    answer_refused: bool = False
    too_few_valid: bool = False
    no_key: bool = False
    applied: bool = False
    opening_refused: bool = False
    update_spent: bool = False
    submit_from_s: float = 0.0
    answer_from_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What the study's record fixes for every round.

    Attributes:
        hospitals: The hospitals that may take part in this round, in MSP order (the suspended are
            not among them).
        threshold: T, the share sums that open a round.
        contributors_min: k, the fewest updates that are summed.
    """

    hospitals: tuple[str, ...]
    threshold: int
    contributors_min: int


def next_act(view: RoundView, own: OwnProgress, terms: Terms, msp_id: str, now_s: float) -> Act:
    """Return what this hospital does next.

    Args:
        view: The round on the ledger.
        own: This hospital's progress.
        terms: The study's terms.
        msp_id: This hospital.
        now_s: Unix time.

    >>> terms = Terms(("A", "B", "C", "D"), 3, 3)
    >>> next_act(RoundView(), OwnProgress(), terms, "A", 0)
    <Act.OPEN_ROUND: 'open the round'>
    >>> next_act(RoundView("OPEN", 60), OwnProgress(), terms, "A", 0)
    <Act.JOIN: 'join'>
    """
    late = now_s > view.deadline_s
    match view.state:
        case "":
            return Act.OPEN_ROUND
        case RoundState.OPEN:
            return _while_open(view, own, terms, msp_id, late)
        case RoundState.SUBMITTING:
            return _while_submitting(view, own, terms, msp_id, now_s)
        case RoundState.SUMMED:
            return _while_summed(view, own, terms, msp_id, now_s)
        case RoundState.OPENED:
            return _while_opened(view, own, terms, msp_id, now_s)
        case RoundState.PUBLISHED if not own.applied:
            return Act.APPLY
        case _:
            return Act.DONE


def _while_open(view: RoundView, own: OwnProgress, terms: Terms, msp_id: str, late: bool) -> Act:
    """Join, train while others join, then close the joins."""
    if view.join_reports:
        return Act.ABANDON
    if msp_id not in view.joined and msp_id in terms.hospitals and not late:
        return Act.JOIN
    if msp_id in view.joined and not own.trained and not own.update_spent:
        return Act.TRAIN
    if set(terms.hospitals) <= set(view.joined):
        return Act.CLOSE_JOINS
    if late:
        enough = len(view.joined) >= terms.contributors_min
        return Act.CLOSE_JOINS if enough else Act.ABANDON
    return Act.WAIT


def _while_submitting(
    view: RoundView, own: OwnProgress, terms: Terms, msp_id: str, now_s: float
) -> Act:
    """Submit, then have the sum made when all have, or enough have and time is up."""
    if view.join_reports:
        return Act.ABANDON
    late = now_s > view.deadline_s
    takes_part = msp_id in view.joined and not own.update_spent
    if takes_part and msp_id not in view.submitted:
        if not own.trained:
            return Act.TRAIN
        if now_s >= own.submit_from_s:
            return Act.SUBMIT
    enough = len(view.submitted) >= terms.contributors_min and not own.too_few_valid
    if late:
        return Act.AGGREGATE if enough else Act.ABANDON
    if set(view.joined) <= set(view.submitted) and enough:
        return Act.AGGREGATE
    return Act.WAIT


def _may_answer(view: RoundView, own: OwnProgress, msp_id: str, now_s: float) -> bool:
    """Return whether this hospital has an answer to give, and gives it now."""
    able = own.has_keys and not own.answer_refused and not view.join_reports
    is_owed = msp_id in view.joined and msp_id not in (*view.answered, *view.reported)
    return able and is_owed and now_s >= own.answer_from_s


def _while_summed(
    view: RoundView, own: OwnProgress, terms: Terms, msp_id: str, now_s: float
) -> Act:
    """Answer once, then have the key recorded, or vote when no key can come any more."""
    if _may_answer(view, own, msp_id, now_s):
        return Act.ANSWER
    if len(view.answered) >= terms.threshold and not own.no_key:
        return Act.RECORD_KEY
    if now_s > view.deadline_s and msp_id not in view.given_up:
        return Act.GIVE_UP
    return Act.WAIT


def _while_opened(
    view: RoundView, own: OwnProgress, terms: Terms, msp_id: str, now_s: float
) -> Act:
    """Compute the model, confirm it, and have it published; answer late if need be."""
    if not own.applied and not own.opening_refused:
        return Act.APPLY
    if _may_answer(view, own, msp_id, now_s):
        return Act.ANSWER
    confirmed = dict(view.confirmed)
    if own.applied and msp_id not in confirmed and msp_id in terms.hospitals:
        return Act.CONFIRM
    # Those who contributed were there a moment ago; whoever was not need not be waited for. After
    # the deadline the ledger decides with what it has: without T equal digests, against the model.
    enough = len(confirmed) >= terms.threshold
    late = now_s > view.deadline_s
    if late or (enough and set(view.contributors) <= set(confirmed)):
        return Act.PUBLISH
    return Act.WAIT


def order_of_round(hospitals: tuple[str, ...], round_number: int) -> tuple[str, ...]:
    """Return the hospitals in the order in which they close this round's phases.

    The order turns by one from round to round, so that no hospital always does the work and an
    absent one is not always first.

    >>> order_of_round(("A", "B", "C"), 2)
    ('C', 'A', 'B')
    """
    turn = round_number % len(hospitals)
    return hospitals[turn:] + hospitals[:turn]


class Patience:
    """How long this hospital leaves a closing act to those before it in the round's order.

    Args:
        rank: This hospital's place in the order, from 0.
        grace_s: What each place adds, in seconds.
    """

    def __init__(self, rank: int, grace_s: float) -> None:
        self._wait_s = rank * grace_s
        self._since: dict[Act, float] = {}

    def is_due(self, act: Act, now_s: float) -> bool:
        """Return whether to do a closing act now; the first call for an act starts its time.

        >>> patience = Patience(rank=1, grace_s=2.0)
        >>> patience.is_due(Act.AGGREGATE, 10.0), patience.is_due(Act.AGGREGATE, 12.0)
        (False, True)
        """
        return now_s - self._since.setdefault(act, now_s) >= self._wait_s

    def lost(self, act: Act, now_s: float) -> None:
        """Start an act's time again, after another hospital was first or the ledger refused."""
        self._since[act] = now_s


def missing_steps(view: RoundView, terms: Terms) -> StepsAwaited | None:
    """Return which steps of others end the present phase, for whoever closes it first.

    Nothing where none is missing: then only another's closing act, or the clock, can help.

    >>> view = RoundView("OPEN", 60, joined=("A", "B"))
    >>> missing_steps(view, Terms(("A", "B", "C"), 2, 2))
    StepsAwaited(event='round.joined', members=frozenset({'C'}), enough=1)
    """
    missing, event = _missing(view, terms)
    enough = len(missing)
    if view.state == RoundState.SUMMED:
        enough = min(enough, terms.threshold - len(view.answered))
    return StepsAwaited(event, frozenset(missing), enough) if enough > 0 else None


def _missing(view: RoundView, terms: Terms) -> tuple[set[str], str]:
    """Return who has not taken the present phase's step, and the event that tells of it."""
    match view.state:
        case RoundState.OPEN:
            return set(terms.hospitals) - set(view.joined), "round.joined"
        case RoundState.SUBMITTING:
            return set(view.joined) - set(view.submitted), "round.update"
        case RoundState.SUMMED:
            return set(view.joined) - {*view.answered, *view.reported}, "round.share_sum"
        case RoundState.OPENED:
            return set(view.contributors) - {msp for msp, _ in view.confirmed}, "round.confirmed"
        case _:
            return set(), ""


#: What the event of a phase's step is called where people read it.
_WORDS = {
    "round.joined": "join",
    "round.update": "submit",
    "round.share_sum": "answer",
    "round.confirmed": "confirm",
}


def awaited(view: RoundView, terms: Terms, now_s: float) -> str:
    """Return whom or what a waiting hospital waits for, as words for people.

    >>> terms = Terms(("AMSP", "BMSP", "CMSP"), 3, 3)
    >>> awaited(RoundView("OPEN", 60, joined=("AMSP",)), terms, 20.0)
    'waiting for BMSP, CMSP to join (at most 40 s)'
    """
    missing, event = _missing(view, terms)
    if not missing:
        return "waiting for the ledger"
    left_s = max(0, round(view.deadline_s - now_s))
    return f"waiting for {', '.join(sorted(missing))} to {_WORDS[event]} (at most {left_s} s)"
