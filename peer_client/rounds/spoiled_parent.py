"""How many sums are opened from one parent, and how small the next may be.

A round whose sum was opened and that published no model is repeated from the same parent. Two such
sums with different contributors differ by somebody's update, but for the noise of training again;
more of them average that noise away. So a hospital takes part in at most two of them, answers for
none that is smaller than one before, and then asks a person. Each decision of a person lets it
take part in one more from that parent; it is kept in the study's store (`StudyStore.accept`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chaincode.records import states
from chaincode.records.round import Round, RoundState
from peer_client.errors import SpoiledParentError
from peer_client.rounds.records import RoundRecords
from peer_client.sealing.errors import SmallerSumError
from peer_client.storage.study_store import StudyStore

#: Opened sums from one parent after which a person is asked.
OPENED_MAX: Final = 2


def check_parent(store: StudyStore, record: Round) -> None:
    """Refuse a round from a parent of which too many sums were opened.

    Args:
        store: The study's files, with a person's decisions.
        record: The round.

    Raises:
        SpoiledParentError: Too many were, and no person has decided to go on.
    """
    opened = record.opened_before
    if opened >= OPENED_MAX and not is_accepted(store, record):
        raise SpoiledParentError(record.round, record.parent_sha256, opened)


def check_sum_size(store: StudyStore, record: Round, contributors: int) -> None:
    """Refuse a sum of fewer contributors than one opened from the same parent.

    Raises:
        SmallerSumError: It has fewer, and no person has decided to go on.
    """
    if contributors < record.contributors_before and not is_accepted(store, record):
        raise SmallerSumError(
            f"the sum of round {record.round} has {contributors} contributors, and one of "
            f"{record.contributors_before} was opened from the same model before"
        )


@dataclass(frozen=True, slots=True)
class Repetition:
    """What the next round would repeat.

    Attributes:
        parent_sha256: The model it starts from.
        opened: Sums opened from that model that gave no model, at least 1.
        contributors: The most contributors of one of them.
    """

    parent_sha256: str
    opened: int
    contributors: int


def repetition_of(records: RoundRecords, threshold: int) -> Repetition | None:
    """Return what the next round, or the one that runs, repeats; nothing where it repeats nothing.

    Args:
        records: The study's newest round.
        threshold: T, the answers that open a sum.
    """
    record = records.record
    if record.state == RoundState.PUBLISHED:
        return None
    opened, contributors = record.opened_before, record.contributors_before
    answered = sum(bool(each.share_sum_sha256) for each in records.answers.values())
    total = records.aggregate
    if states.has_ended(record) and total and states.may_be_opened(total, answered, threshold):
        opened, contributors = opened + 1, max(contributors, len(records.contributors))
    return Repetition(record.parent_sha256, opened, contributors) if opened else None


def is_accepted(store: StudyStore, record: Round) -> bool:
    """Return whether a person has decided to go on after so many opened sums of this parent."""
    return store.accepted().get(record.parent_sha256, 0) >= max(1, record.opened_before)
