"""A hospital's own models, in the time that a phase leaves: no round may wait for them in vain.

Training alone comes after the update was kept, choosing before the confirmation; both stop when a
quarter of the phase is left. What was trained alone until then is kept for a later round; a model
that is not adapted by then is no candidate; without a choice the shared model is served, and the
ledger says that nothing was chosen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from chaincode.records.round import RoundState
from peer_client.rounds.context import (
    Notice,
    OutOfTimeError,
    RoundContext,
    ServingProgress,
    TrainingTask,
)
from peer_client.rounds.ledger_figures import UNCHOSEN
from peer_client.rounds.records import RoundRecords

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

#: Share of a phase that is left for what the round needs.
RESERVE: Final = 0.25


def train_alone_in_time(
    context: RoundContext, records: RoundRecords, task: TrainingTask, told: ServingProgress
) -> None:
    """Take the steps of the model trained alone, as far as the submissions' deadline allows.

    Args:
        context: The hospital.
        records: The round when training began.
        task: What was trained.
        told: Told (what is done, steps done, steps).
    """
    if context.serving is None:
        return
    phase_s = context.study.deadlines_s.submit
    # Before the joins are closed the phase has not begun: it ends later than counted from now.
    begun = records.record.state == RoundState.SUBMITTING
    deadline_s = records.record.deadline_s if begun else context.now_s() + phase_s
    check = _checking(context.now_s, deadline_s - RESERVE * phase_s)

    def progress(done: int, total: int) -> None:
        told("train alone", done, total)
        check()

    try:
        context.serving.train_alone(task, progress)
    except OutOfTimeError:
        logger.warning("round %d: no time left to train alone", task.round_number)


def serve_in_time(
    context: RoundContext, records: RoundRecords, task: TrainingTask, shared: NDArray[np.float32]
) -> Mapping[str, int]:
    """Choose what is served, if the confirmations' deadline allows; return the ledger's figures.

    Args:
        context: The hospital.
        records: The opened round.
        task: What was trained in it.
        shared: The shared weights it made, float32, shape `(parameters,)`.
    """
    if context.serving is None:
        return {}
    phase_s = context.study.deadlines_s.answer
    check = _checking(context.now_s, records.record.deadline_s - RESERVE * phase_s)

    def progress(text: str, done: int, total: int) -> None:
        context.watch(Notice(task.round_number, "confirm", text, done, total))
        check()

    try:
        return context.serving.serve(task, shared, progress)
    except OutOfTimeError:
        logger.warning(
            "round %d: no time left to choose; the shared model is served", task.round_number
        )
        return dict(UNCHOSEN)


def _checking(now_s: Callable[[], float], stop_s: float) -> Callable[[], None]:
    def check() -> None:
        if now_s() > stop_s:
            raise OutOfTimeError

    return check
