"""Hospitals for scenarios: a small study, a trainer without TensorFlow, desks over either ledger.

`TargetTrainer` moves the shared weights towards a target of its own by a fixed share: what the
hospitals compute together is known beforehand, and a wrong sum is seen at once. `MemoryConsortium`
gives each hospital a desk over one in-memory channel with a clock of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chaincode.contract import invoke
from chaincode.memory_ledger import MemoryLedger
from chaincode.study import (
    Architecture,
    Deadlines,
    Ordering,
    Study,
    StudyHospital,
    Weight,
    weights_digest,
)
from chaincode.terms import round_parameters
from peer_client.decision import Act
from peer_client.desk import Desk, TrainingProgress, TrainingTask
from peer_client.ledger import OrderingClaim
from peer_client.memory_hospital import MemoryHospital
from peer_client.memory_identity import MemoryMember, new_member, roots_of
from peer_client.round import HospitalRound
from peer_client.sealing import Journal, SealingKeys, memory_backed_folder
from peer_client.store import StudyStore
from peer_client.study import approve, propose, read_study
from peer_client.update import model_digest

START_S = 1_800_000_000
WEIGHTS = (
    Weight("encoder/kernel", (30, 40), "all", 500_000_000),
    Weight("decoder/kernel", (100,), "masks", 500_000_000),
    Weight("head/kernel", (10,), "personal", 0),
)
SHARED = 1300
MSPS = ("EastMSP", "NorthMSP", "SouthMSP", "WestMSP")


def initial_weights() -> NDArray[np.float32]:
    """Return the shared weights every hospital starts from."""
    return np.linspace(-1, 1, SHARED, dtype=np.float32)


def small_study(
    msps: Sequence[str] = MSPS,
    *,
    name: str = "small",
    without_masks: Sequence[str] = (),
    **terms: Any,
) -> Study:
    """Return the terms of a study of a small network for these hospitals."""
    threshold = 2 * len(msps) // 3 + 1
    study = Study(
        study=name,
        title="A small network",
        architecture=Architecture("test", {}),
        label_scheme={"positive": "COVID-19"},
        hospitals=tuple(
            StudyHospital(msp, point, int(msp not in without_masks), "other disease")
            for point, msp in enumerate(sorted(msps), start=1)
        ),
        ordering=Ordering("BFT", max(len(msps), 4)),
        bits=8,
        threshold=threshold,
        contributors_min=threshold,
        rounds=5,
        local_steps=1,
        seed=1,
        weights=WEIGHTS,
        weights_sha256=weights_digest(WEIGHTS),
        initial_model_sha256=model_digest(initial_weights()),
        deadlines_s=Deadlines(60, 60, 60),
        gate_margin_ppm=50_000,
    )
    return replace(study, **terms)


@dataclass(slots=True)
class TargetTrainer:
    """Moves the weights towards `target` by `share` of the way; counts how often it is asked."""

    target: float
    share: float = 0.1
    trained: list[int] = field(default_factory=list)
    auc_after_ppm: int = 800_000

    def train(self, task: TrainingTask, progress: TrainingProgress) -> NDArray[np.float32]:
        """Return weights a little nearer to the target; never the same twice."""
        self.trained.append(task.round_number)
        progress(1, 1)
        noise = np.random.default_rng([task.round_number, len(self.trained)]).normal(
            0, 1e-3, SHARED
        )
        moved = task.start + self.share * (self.target - task.start) + noise
        return moved.astype(np.float32)

    def metrics_ppm(self, task: TrainingTask, after: NDArray[np.float32]) -> Mapping[str, int]:
        """Return fixed metrics."""
        return {"auc_before": 800_000, "auc_after": self.auc_after_ppm}


@dataclass(slots=True)
class Clock:
    """A clock that moves only when it is told to."""

    now_s: float = START_S

    def __call__(self) -> float:
        """Return the time, Unix seconds."""
        return self.now_s

    def forward(self, seconds: float) -> None:
        """Move on."""
        self.now_s += seconds


class MemoryConsortium:
    """Hospitals over one in-memory channel, in one thread, with one clock.

    Args:
        folder: Where each hospital keeps its files.
        msps: The members; each is a hospital of the channel.
        study: Agreed on at once where given.
    """

    def __init__(
        self,
        folder: Path,
        msps: Sequence[str] = MSPS,
        *,
        study: Study | None = None,
        block_to_live: int = 0,
    ) -> None:
        self.folder = folder
        self.clock = Clock()
        self.msps = tuple(sorted(msps))
        now = datetime.fromtimestamp(START_S, UTC)
        self.members: dict[str, MemoryMember] = {msp: new_member(msp, now) for msp in self.msps}
        self.roots = roots_of(tuple(self.members.values()))
        self.channel = MemoryLedger(
            invoke, hospitals=self.msps, channel="consortium", block_to_live=block_to_live
        )
        self.keys_folder = memory_backed_folder(os.environ)
        self.trainers = {
            msp: TargetTrainer(target=float(number)) for number, msp in enumerate(self.msps)
        }
        self.journals: dict[str, Journal] = {}
        self.study = study or small_study(self.msps)
        self.ordering = OrderingClaim("BFT", self.msps)

    def ledger(self, msp: str) -> MemoryHospital:
        """Return a hospital's way to the channel."""
        orderers = tuple(f"orderer{n}" for n in range(self.study.ordering.nodes))
        return MemoryHospital(self.channel, self.members[msp], self.clock, orderers)

    def agree(self, study: Study | None = None) -> None:
        """Propose the study and let all its hospitals approve it."""
        if study is not None:
            self.study = study
        first, *others = self.study.msps
        propose(self.ledger(first), self.study)
        for msp in others:
            approve(self.ledger(msp), read_study(self.ledger(msp), self.study.study))

    def desk(self, msp: str, **changes: Any) -> Desk:
        """Return a hospital's desk, as its client would make it when it starts."""
        store = StudyStore(self.folder / msp / "studies" / self.study.study)
        if msp in self.journals:
            self.journals[msp].close()
        self.journals[msp] = Journal(store.journal_path)
        desk = Desk(
            ledger=self.ledger(msp),
            signer=self.members[msp],
            roots=self.roots,
            study=self.study,
            parameters=round_parameters(self.study),
            store=store,
            journal=self.journals[msp],
            sealing_keys=SealingKeys(
                self.keys_folder,
                channel="consortium",
                study=f"{self.folder}/{self.study.study}",
                msp_id=msp,
                entropy=os.urandom,
            ),
            trainer=self.trainers[msp],
            initial=initial_weights,
            now_s=self.clock,
            entropy=os.urandom,
            grace_s=0.0,
        )
        return replace(desk, **changes)

    def active(self) -> tuple[str, ...]:
        """Return the hospitals that may join."""
        return read_study(self.ledger(self.study.msps[0]), self.study.study).active

    def part(self, msp: str, number: int, **changes: Any) -> HospitalRound:
        """Return a hospital's part in a round, as a client just started would take it up."""
        return HospitalRound(self.desk(msp, **changes), number, self.active())

    def close(self) -> None:
        """Close journals and wipe what lies in memory-backed storage."""
        for msp in self.journals:
            self.desk(msp).sealing_keys.wipe_all_before(1_000_000)
        for journal in self.journals.values():
            journal.close()


#: Steps without any progress after which a round is taken to wait for time to pass.
IDLE_TURNS = 3


def play(
    consortium: MemoryConsortium,
    parts: Mapping[str, HospitalRound],
    *,
    until: Callable[[], bool] = lambda: False,
    patient_s: float = 30.0,
    turns: int = 400,
) -> dict[str, list[Act]]:
    """Let hospitals take turns until all are done; time passes only while all of them wait.

    Args:
        consortium: Whose clock is moved.
        parts: Who plays.
        until: Stops the play when it becomes true.
        patient_s: How far the clock moves when nobody can do anything.
        turns: Most turns, so that a round that never ends fails the test.

    Returns:
        What each hospital did, without waiting.
    """
    acts: dict[str, list[Act]] = {msp: [] for msp in parts}
    done: set[str] = set()
    idle = 0
    for _ in range(turns):
        moved = False
        for msp, part in parts.items():
            if until():
                return acts
            if msp in done:
                continue
            act = part.step()
            if act is Act.DONE:
                done.add(msp)
            elif act is not Act.WAIT:
                acts[msp].append(act)
                moved = True
        if done == set(parts):
            return acts
        idle = 0 if moved else idle + 1
        if idle >= IDLE_TURNS:
            consortium.clock.forward(patient_s)
            idle = 0
    raise AssertionError(f"the round did not end; so far {acts}")
