"""Measure a training step on a hospital's own slices, and foretell what a round takes.

The network of the default architecture is built and takes a few steps; nothing of it is kept. What
a round takes beside training (encryption, the ledger, waiting for others) is not in the forecast:
docs/speed.md has it.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model.config import CapsNetConfig
from model.sampling import TrainingSlices
from peer_client.ct.cohort import Cohort

#: Steps that are timed, after a first one that compiles.
TIMED_STEPS: Final = 3
#: Validation slices that are read to time the judging.
_JUDGED_SLICES: Final = 16


@dataclass(frozen=True, slots=True)
class StepTime:
    """What training takes on this machine.

    Attributes:
        start_s: Building and compiling the network, once in a run.
        step_s: One step.
        judge_s: Reading one validation slice.
        peak_mib: Memory of the whole process at its peak, MiB.
        local_steps: Steps of a round that the forecast is for.
        validation_slices: Slices that a round's two models are judged on.
        threads: Processor threads.
    """

    start_s: float
    step_s: float
    judge_s: float
    peak_mib: int
    local_steps: int
    validation_slices: int
    threads: int

    @property
    def round_s(self) -> float:
        """Seconds of a round's training and judging: its steps, and two models on validation."""
        return self.local_steps * self.step_s + 2 * self.validation_slices * self.judge_s


def measured_step(
    cohort: Cohort,
    *,
    size_px: int,
    local_steps: int,
    threads: int,
    told: Callable[[int, int], None] = lambda *_: None,
) -> StepTime:
    """Take a few training steps.

    Args:
        cohort: The hospital's slices.
        size_px: Side of the network's input.
        local_steps: Steps of a round, for the forecast.
        threads: Processor threads.
        told: Called with (steps done, steps in all).
    """
    from model.capsnet import build
    from model.prediction import predict_scores
    from model.threads import set_threads
    from model.training import TrainProgress, TrainSettings, train

    begin = time.perf_counter()
    set_threads(threads)
    net = build(CapsNetConfig(size_px=size_px))
    slices = cohort.train
    ends: list[float] = []

    def seen(progress: TrainProgress) -> None:
        ends.append(time.perf_counter())
        told(progress.step, progress.steps)

    train(
        net,
        TrainingSlices(
            images=slices.images,
            labels=slices.labels,
            patients=slices.patients,
            masks=slices.masks,
            mask_images=slices.mask_index,
        ),
        TrainSettings(steps=1 + TIMED_STEPS),
        progress=seen,
    )
    step_s = statistics.median(b - a for a, b in itertools.pairwise(ends))
    judged = cohort.validation.images[:_JUDGED_SLICES]
    predict_scores(net, judged, flips=False)  # compiles
    before = time.perf_counter()
    predict_scores(net, judged, flips=False)
    return StepTime(
        start_s=ends[0] - begin - step_s,
        step_s=step_s,
        judge_s=(time.perf_counter() - before) / len(judged),
        peak_mib=peak_mib(),
        local_steps=local_steps,
        validation_slices=len(cohort.validation),
        threads=threads,
    )


def peak_mib() -> int:
    """Return the most memory that this process has had, MiB (Linux, proc(5), VmHWM)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024
