"""Rounds whose sum opens and gives no model, because one contributor sends values out of range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from chaincode.records.terms import round_parameters
from peer_client.rounds import submission
from peer_client.rounds.decision import Act
from peer_client.sealing import upload
from tests.support.hospitals import MSPS, MemoryConsortium, play, play_up_to

SPOILER = MSPS[3]


class NotLookedAt:
    """A quantisation that nobody reports."""

    relative_error = clipped = 0.0


def spoiled(
    consortium: MemoryConsortium, number: int, *, without: Sequence[str] = ()
) -> dict[str, list[Act]]:
    """Play a round in which one contributor sends values out of range."""
    parts = consortium.parts(number, without=without)
    play_up_to(consortium, parts, "SUBMITTING", number)
    honest, too_far = submission.quantise, round_parameters(consortium.study).field_base // 2

    def reaching_too_far(*args: Any, **more: Any) -> Any:
        return np.full_like(honest(*args, **more), too_far)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(submission, "quantise", reaching_too_far)
        patched.setattr(submission, "quantisation_report", lambda *_, **__: NotLookedAt)
        patched.setattr(upload, "_check_values", lambda *_: None)
        parts[SPOILER] = consortium.part(SPOILER, number)
        assert parts[SPOILER].step() is Act.SUBMIT
    return play(consortium, parts)
