"""Every line of the table of what a hospital does next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peer_client.rounds.decision import (
    CLOSING,
    Act,
    OwnProgress,
    Patience,
    RoundView,
    Terms,
    next_act,
    order_of_round,
)

ALL = ("A", "B", "C", "D")
TERMS = Terms(ALL, threshold=3, contributors_min=3)
EARLY, LATE = 10.0, 101.0
DEADLINE = 100


def view(state: str, **fields: object) -> RoundView:
    return replace(RoundView(state, DEADLINE), **fields)


def digests(*msps: str) -> tuple[tuple[str, str], ...]:
    return tuple((msp, "d") for msp in msps)


READY = OwnProgress(trained=True, has_keys=True)
CASES = [
    ("no round", RoundView(), OwnProgress(), EARLY, Act.OPEN_ROUND),
    ("open, not joined", view("OPEN"), OwnProgress(), EARLY, Act.JOIN),
    ("open, too late to join", view("OPEN", joined=("B",)), OwnProgress(), LATE, Act.ABANDON),
    ("joined, not trained", view("OPEN", joined=("A",)), OwnProgress(), EARLY, Act.TRAIN),
    ("joined, others awaited", view("OPEN", joined=("A", "B", "C")), READY, EARLY, Act.WAIT),
    ("all joined", view("OPEN", joined=ALL), READY, EARLY, Act.CLOSE_JOINS),
    ("deadline, k joined", view("OPEN", joined=ALL[:3]), READY, LATE, Act.CLOSE_JOINS),
    ("deadline, too few joined", view("OPEN", joined=ALL[:2]), READY, LATE, Act.ABANDON),
    ("submitting, trained", view("SUBMITTING", joined=ALL), READY, EARLY, Act.SUBMIT),
    ("submitting, not trained", view("SUBMITTING", joined=ALL), OwnProgress(), EARLY, Act.TRAIN),
    (
        "not joined, others submit",
        view("SUBMITTING", joined=ALL[1:], submitted=("B",)),
        OwnProgress(),
        EARLY,
        Act.WAIT,
    ),
    (
        "the stored bytes are gone",
        view("SUBMITTING", joined=ALL),
        replace(READY, update_spent=True),
        EARLY,
        Act.WAIT,
    ),
    ("all submitted", view("SUBMITTING", joined=ALL, submitted=ALL), READY, EARLY, Act.AGGREGATE),
    (
        "deadline, k submitted",
        view("SUBMITTING", joined=ALL, submitted=ALL[:3]),
        READY,
        LATE,
        Act.AGGREGATE,
    ),
    (
        "deadline, too few submitted",
        view("SUBMITTING", joined=ALL, submitted=ALL[:2]),
        READY,
        LATE,
        Act.ABANDON,
    ),
    (
        "too few are valid, before the deadline",
        view("SUBMITTING", joined=ALL, submitted=ALL),
        replace(READY, too_few_valid=True),
        EARLY,
        Act.WAIT,
    ),
    (
        "too few are valid, deadline",
        view("SUBMITTING", joined=ALL, submitted=ALL),
        replace(READY, too_few_valid=True),
        LATE,
        Act.ABANDON,
    ),
    (
        "a join reported while others join",
        view("OPEN", joined=("B",), join_reports=("B",)),
        OwnProgress(),
        EARLY,
        Act.ABANDON,
    ),
    (
        "a join reported, our update not sent",
        view("SUBMITTING", joined=ALL, join_reports=("B",)),
        READY,
        EARLY,
        Act.ABANDON,
    ),
    (
        "a join reported in a round that was summed all the same",
        view("SUMMED", joined=ALL, join_reports=("B",)),
        READY,
        EARLY,
        Act.WAIT,
    ),
    (
        "joins closed without one, before its time by the own clock",
        view("SUBMITTING", joined=ALL[:3]),
        replace(READY, submit_from_s=EARLY + 1),
        EARLY,
        Act.WAIT,
    ),
    (
        "joins closed without one, its time is over",
        view("SUBMITTING", joined=ALL[:3]),
        replace(READY, submit_from_s=EARLY),
        EARLY,
        Act.SUBMIT,
    ),
    (
        "a sum without one, before its time by the own clock",
        view("SUMMED", joined=ALL, contributors=ALL[:3]),
        replace(READY, answer_from_s=EARLY + 1),
        EARLY,
        Act.WAIT,
    ),
    (
        "a sum without one, the others answered",
        view("SUMMED", joined=ALL, contributors=ALL[:3], answered=ALL[1:]),
        replace(READY, answer_from_s=EARLY + 1),
        EARLY,
        Act.RECORD_KEY,
    ),
    (
        "opened, a sum without one, before its time by the own clock",
        view("OPENED", joined=ALL, contributors=ALL[:3], answered=ALL[1:]),
        replace(READY, applied=True, answer_from_s=EARLY + 1),
        EARLY,
        Act.CONFIRM,
    ),
    ("summed", view("SUMMED", joined=ALL), READY, EARLY, Act.ANSWER),
    (
        "summed, joined without a contribution",
        view("SUMMED", joined=ALL, contributors=ALL[1:]),
        READY,
        EARLY,
        Act.ANSWER,
    ),
    (
        "sealing keys lost",
        view("SUMMED", joined=ALL, answered=("B", "C")),
        OwnProgress(trained=True),
        EARLY,
        Act.WAIT,
    ),
    (
        "a reason not to answer",
        view("SUMMED", joined=ALL),
        replace(READY, answer_refused=True),
        EARLY,
        Act.WAIT,
    ),
    ("reported", view("SUMMED", joined=ALL, reported=("A",)), READY, EARLY, Act.WAIT),
    (
        "T answered",
        view("SUMMED", joined=ALL, answered=("A", "B", "C")),
        READY,
        EARLY,
        Act.RECORD_KEY,
    ),
    (
        "T answered, nothing opens",
        view("SUMMED", joined=ALL, answered=("A", "B", "C")),
        replace(READY, no_key=True),
        EARLY,
        Act.WAIT,
    ),
    (
        "nothing opens, deadline",
        view("SUMMED", joined=ALL, answered=ALL),
        replace(READY, no_key=True),
        LATE,
        Act.GIVE_UP,
    ),
    (
        "too few answers, deadline",
        view("SUMMED", joined=ALL, answered=("A",)),
        READY,
        LATE,
        Act.GIVE_UP,
    ),
    (
        "voted already",
        view("SUMMED", joined=ALL, answered=("A",), given_up=("A",)),
        READY,
        LATE,
        Act.WAIT,
    ),
    ("opened", view("OPENED", joined=ALL), READY, EARLY, Act.APPLY),
    (
        "opened without our answer",
        view("OPENED", joined=ALL, answered=ALL[1:]),
        replace(READY, applied=True),
        EARLY,
        Act.ANSWER,
    ),
    (
        "opened, applied",
        view("OPENED", joined=ALL, answered=ALL, contributors=ALL),
        replace(READY, applied=True),
        EARLY,
        Act.CONFIRM,
    ),
    (
        "confirmed, a contributor awaited",
        view("OPENED", answered=ALL, contributors=ALL, confirmed=digests("A", "B", "C")),
        replace(READY, applied=True),
        EARLY,
        Act.WAIT,
    ),
    (
        "all contributors confirmed",
        view("OPENED", answered=ALL, contributors=ALL[:3], confirmed=digests("A", "B", "C")),
        replace(READY, applied=True),
        EARLY,
        Act.PUBLISH,
    ),
    (
        "deadline, T confirmed",
        view("OPENED", answered=ALL, contributors=ALL, confirmed=digests("A", "B", "C")),
        replace(READY, applied=True),
        LATE,
        Act.PUBLISH,
    ),
    (
        "the sum does not open",
        view("OPENED", joined=ALL, answered=ALL, contributors=ALL),
        replace(READY, opening_refused=True),
        EARLY,
        Act.WAIT,
    ),
    (
        "the sum does not open, deadline",
        view("OPENED", joined=ALL, answered=ALL, contributors=ALL),
        replace(READY, opening_refused=True),
        LATE,
        Act.PUBLISH,
    ),
    ("published, not applied here", view("PUBLISHED"), READY, EARLY, Act.APPLY),
    ("published", view("PUBLISHED"), replace(READY, applied=True), EARLY, Act.DONE),
    ("rejected", view("REJECTED"), READY, EARLY, Act.DONE),
    ("abandoned", view("ABANDONED"), READY, EARLY, Act.DONE),
]


@pytest.mark.parametrize(
    ("round_view", "own", "now_s", "expected"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_hospital_does_next_what_the_table_says(
    round_view: RoundView, own: OwnProgress, now_s: float, expected: Act
) -> None:
    assert next_act(round_view, own, TERMS, "A", now_s) is expected


@pytest.mark.parametrize("state", ["OPEN", "SUBMITTING", "SUMMED", "OPENED"])
def test_a_member_outside_the_round_never_joins_trains_submits_answers_or_confirms(
    state: str,
) -> None:
    own_acts = {Act.JOIN, Act.TRAIN, Act.SUBMIT, Act.ANSWER, Act.CONFIRM}

    for now_s in (EARLY, LATE):
        act = next_act(view(state, joined=ALL), READY, TERMS, "Z", now_s)
        assert act not in own_acts


def test_each_hospital_is_first_in_turn() -> None:
    firsts = [order_of_round(ALL, number)[0] for number in range(4, 8)]

    assert firsts == list(ALL)


def test_patience_waits_by_rank_and_starts_anew_after_a_lost_race() -> None:
    patience = Patience(rank=2, grace_s=3.0)

    assert not patience.is_due(Act.PUBLISH, 0.0)
    assert patience.is_due(Act.PUBLISH, 6.0)
    patience.lost(Act.PUBLISH, 6.0)
    assert not patience.is_due(Act.PUBLISH, 11.9)
    assert patience.is_due(Act.PUBLISH, 12.0)


def test_the_first_of_the_order_does_not_wait() -> None:
    assert all(Patience(0, 3.0).is_due(act, 5.0) for act in CLOSING)
