"""The learning rate by step: a short rise, then half a cosine down over the whole study.

A hospital trains a few steps each round, so the schedule is given by the step within the study, not
within the round.
"""

from __future__ import annotations

import math


def learning_rate(
    step: int, total_steps: int, *, highest: float, lowest: float, warm_up_steps: int
) -> float:
    """Return the learning rate of one step.

    Formula (Loshchilov & Hutter 2017, equation 5, without restarts), times the rise:

        (lowest + (highest - lowest) (1 + cos(pi step / total_steps)) / 2)
            x min(1, (step + 1) / warm_up_steps)

    Args:
        step: Steps done before, from 0; beyond `total_steps` the rate stays at the lowest.
        total_steps: Steps of the whole study at one hospital.
        highest: Learning rate at the top.
        lowest: Learning rate at the end.
        warm_up_steps: Steps of the rise; 0 for none.

    >>> shape = {"highest": 1.0, "lowest": 0.0, "warm_up_steps": 2}
    >>> [round(learning_rate(step, 100, **shape), 3) for step in (0, 1, 50, 100)]
    [0.5, 1.0, 0.5, 0.0]
    """
    share = min(step / total_steps, 1.0) if total_steps else 1.0
    cosine = lowest + (highest - lowest) * (0.5 + 0.5 * math.cos(math.pi * share))
    return cosine * min(1.0, (step + 1) / warm_up_steps) if warm_up_steps else cosine
