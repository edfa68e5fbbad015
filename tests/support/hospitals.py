"""Hospitals for scenarios: a small study, a trainer without TensorFlow, contexts over a ledger.

`TargetTrainer` moves the shared weights towards a target of its own by a fixed share: what the
hospitals compute together is known beforehand, and a wrong sum is seen at once. `MemoryConsortium`
gives each hospital a context over one in-memory channel with a clock that the test moves;
`FabricConsortium` the same over a running network, where time passes by itself.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chaincode.contract.dispatch import invoke
from chaincode.memory_ledger import MemoryLedger, memory_genesis_sha256
from chaincode.records.study import (
    Architecture,
    Deadlines,
    Ordering,
    Study,
    StudyHospital,
    Weight,
    weights_digest,
)
from chaincode.records.terms import round_parameters
from network.consortium.member import MemberDirectory
from peer_client.ledgers.fabric import FabricLedger
from peer_client.ledgers.ledger import HospitalLedger, Roots, Signer
from peer_client.ledgers.memory import MemoryHospitalLedger
from peer_client.ledgers.memory_identity import MemoryMember, new_member, roots_of
from peer_client.rounds.context import RoundContext, TrainingProgress, TrainingTask
from peer_client.rounds.decision import Act
from peer_client.rounds.records import RoundRecords, read_round
from peer_client.rounds.round import HospitalRound
from peer_client.sealing import Journal, SealingKeys, memory_backed_folder
from peer_client.storage.study_store import StudyStore
from peer_client.studies.own_agreement import OwnAgreement
from peer_client.studies.study import approve, propose, read_study
from peer_client.update import model_digest

START_S = 1_800_000_000
WEIGHTS = (
    Weight("encoder/kernel", (30, 40), "all", 500_000_000),
    Weight("decoder/kernel", (100,), "masks", 500_000_000),
    Weight("head/kernel", (10,), "personal", 0),
)
SHARED = 1300
CHANNEL = "hospitals"
MSPS = ("moscow1MSP", "moscow2MSP", "saopauloMSP", "ucsdMSP")


def initial_weights() -> NDArray[np.float32]:
    """Return the shared weights every hospital starts from."""
    return np.linspace(-1, 1, SHARED, dtype=np.float32)


def small_study(
    msps: Sequence[str] = MSPS,
    *,
    name: str = "small",
    without_masks: Sequence[str] = (),
    deadline_s: int = 60,
    **terms: Any,
) -> Study:
    """Return the terms of a study of a small network for these hospitals."""
    threshold = 2 * len(msps) // 3 + 1
    study = Study(
        study=name,
        genesis_sha256=memory_genesis_sha256(CHANNEL),
        title="A small network",
        architecture=Architecture("test", {}),
        label_scheme={"positive": "COVID-19"},
        hospitals=tuple(
            StudyHospital(msp, point, int(msp not in without_masks), "other disease")
            for point, msp in enumerate(sorted(msps), start=1)
        ),
        ordering=Ordering("BFT", 4),
        bits=8,
        threshold=threshold,
        contributors_min=threshold,
        rounds=5,
        local_steps=4,
        seed=1,
        weights=WEIGHTS,
        weights_sha256=weights_digest(WEIGHTS),
        initial_model_sha256=model_digest(initial_weights()),
        deadlines_s=Deadlines(deadline_s, deadline_s, deadline_s),
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
        """Return fixed metrics of enough patients for figures to leave the hospital."""
        patients = {"validation_positive": 12, "validation_negative": 12}
        return {"auc_before": 800_000, "auc_after": self.auc_after_ppm} | patients


class Clock(ABC):
    """The time that hospitals see, Unix seconds."""

    @abstractmethod
    def __call__(self) -> float:
        """Return the time."""

    @abstractmethod
    def forward(self, seconds: float) -> None:
        """Let time pass."""


@dataclass(slots=True)
class SetClock(Clock):
    """A clock that moves only when it is told to."""

    now_s: float = START_S

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s

    def forward(self, seconds: float) -> None:
        """Move on."""
        self.now_s += seconds


class WallClock(Clock):
    """The clock on the wall: time passes by waiting, in small pieces."""

    def __call__(self) -> float:
        """Return the time."""
        return time.time()

    def forward(self, seconds: float) -> None:
        """Wait a moment; whoever wants more asks again."""
        time.sleep(min(seconds, 0.5))


class Consortium(ABC):
    """Hospitals over one channel, each with files, a trainer and a way to the ledger of its own."""

    folder: Path
    study: Study
    clock: Clock
    msps: tuple[str, ...]

    def __init__(self, folder: Path, study: Study, clock: Clock) -> None:
        self.folder = folder
        self.study = study
        self.clock = clock
        self.msps = study.msps
        self.trainers = {msp: TargetTrainer(float(n)) for n, msp in enumerate(study.msps)}
        self._keys_folder = memory_backed_folder(os.environ)
        self._journals: dict[str, Journal] = {}
        self.agreed: list[Study] = []

    @abstractmethod
    def ledger(self, msp: str) -> HospitalLedger:
        """Return a hospital's way to the channel."""

    @abstractmethod
    def signer(self, msp: str) -> Signer:
        """Return a hospital's identity."""

    @abstractmethod
    def roots(self, msp: str) -> Roots:
        """Return the roots as a hospital's own directory holds them."""

    def agree(self, **terms: Any) -> None:
        """Propose the study, changed as asked, and let all its hospitals approve it."""
        first, *others = self.study.msps
        terms.setdefault("genesis_sha256", self.ledger(first).genesis_sha256)
        self.study = replace(self.study, **terms)
        now_s = self.clock()
        done = propose(self.ledger(first), self.study, self.agreement(first), now_s=now_s)
        self.ledger(first).wait_everywhere(done.transaction_id, 20.0)
        for msp in others:
            self.approve(msp)
        self.agreed.append(self.study)

    def approve(self, msp: str) -> None:
        """Let a hospital approve the study as the ledger has it."""
        ledger = self.ledger(msp)
        state = read_study(ledger, self.study.study)
        done = approve(ledger, state, self.agreement(msp), now_s=self.clock())
        if done is not None:
            ledger.wait_everywhere(done.transaction_id, 20.0)

    @abstractmethod
    def hospitals(self) -> tuple[str, ...]:
        """Return the MSPs of the channel's hospitals."""

    def agreement(self, msp: str) -> OwnAgreement:
        """Return what a hospital approved, and what it accepted the channel to be."""
        return OwnAgreement(self.folder / msp, self.hospitals())

    def store(self, msp: str) -> StudyStore:
        """Return a hospital's files of the study."""
        return StudyStore(self.folder / msp / "studies" / self.study.study)

    def context(self, msp: str, **changes: Any) -> RoundContext:
        """Return a hospital's context, as its client would make it when it starts."""
        store = self.store(msp)
        if msp in self._journals:
            self._journals[msp].close()
        self._journals[msp] = Journal(store.journal_path, self.study.genesis_sha256)
        context = RoundContext(
            ledger=self.ledger(msp),
            signer=self.signer(msp),
            roots=self.roots(msp),
            study=self.study,
            agreement=self.agreement(msp),
            parameters=round_parameters(self.study),
            store=store,
            journal=self._journals[msp],
            sealing_keys=SealingKeys(
                self._keys_folder,
                channel=str(self.folder),  # so that two runs of a test never meet
                genesis_sha256=self.study.genesis_sha256,
                study=self.study.study,
                msp_id=msp,
                entropy=os.urandom,
            ),
            trainer=self.trainers[msp],
            initial=initial_weights,
            now_s=self.clock,
            entropy=os.urandom,
            grace_s=0.0,
        )
        return replace(context, **changes)

    def active(self) -> tuple[str, ...]:
        """Return the hospitals that may join."""
        return read_study(self.ledger(self.study.msps[0]), self.study.study).active

    def part(self, msp: str, number: int, **changes: Any) -> HospitalRound:
        """Return a hospital's part in a round, as a client just started would take it up."""
        return HospitalRound(self.context(msp, **changes), number, self.active())

    def parts(self, number: int, *, without: Sequence[str] = ()) -> dict[str, HospitalRound]:
        """Return every hospital's part in a round, but for some."""
        return {msp: self.part(msp, number) for msp in self.msps if msp not in without}

    def records(self, number: int) -> RoundRecords:
        """Return a round as the ledger has it."""
        found = read_round(self.ledger(self.msps[0]), self.study.study, number)
        if found is None:
            raise AssertionError(f"there is no round {number}")
        return found

    def close(self) -> None:
        """Close journals and wipe what lies in memory-backed storage."""
        for msp in tuple(self._journals):
            self.context(msp).sealing_keys.wipe_all_before(1_000_000)
            self._journals[msp].close()


class MemoryConsortium(Consortium):
    """Hospitals over one in-memory channel.

    Args:
        folder: Where each hospital keeps its files.
        study: Its terms; its hospitals are members, and the usual four.
        block_to_live: Blocks after which chunks expire, 0 for never.
        members: Hospitals of the channel; the study's and the usual four where left out.
    """

    def __init__(
        self,
        folder: Path,
        study: Study | None = None,
        *,
        block_to_live: int = 0,
        members: Sequence[str] | None = None,
    ) -> None:
        super().__init__(folder, study or small_study(), SetClock())
        now = datetime.fromtimestamp(START_S, UTC)
        everybody = sorted(members or {*self.msps, *MSPS})
        self.members: dict[str, MemoryMember] = {msp: new_member(msp, now) for msp in everybody}
        self.channel = MemoryLedger(
            invoke,
            hospitals=everybody,
            channel=CHANNEL,
            block_to_live=block_to_live,
            clock_s=self.clock,
        )

    def hospitals(self) -> tuple[str, ...]:
        """Return the members of the channel."""
        return self.channel.hospitals

    def ledger(self, msp: str) -> MemoryHospitalLedger:
        """Return a hospital's way to the channel."""
        orderers = tuple(f"orderer{n}" for n in range(self.study.ordering.nodes))
        return MemoryHospitalLedger(self.channel, self.members[msp], self.clock, orderers)

    def signer(self, msp: str) -> MemoryMember:
        """Return a hospital's identity."""
        return self.members[msp]

    def roots(self, msp: str) -> Roots:
        """Return every member's roots."""
        return roots_of(tuple(self.members.values()))


class FabricConsortium(Consortium):
    """Hospitals over a running network, whose connections are kept for all scenarios.

    Args:
        folder: Where each hospital keeps its files of this scenario.
        study: Its terms, under a name of its own.
        directories: Member directory by MSP.
        ledgers: Open connection by MSP.
    """

    def __init__(
        self,
        folder: Path,
        study: Study,
        directories: Mapping[str, MemberDirectory],
        ledgers: Mapping[str, FabricLedger],
    ) -> None:
        super().__init__(folder, study, WallClock())
        self._directories = directories
        self._ledgers = ledgers

    def hospitals(self) -> tuple[str, ...]:
        """Return the hospitals of the network's crypto-config.yaml."""
        topology = next(iter(self._directories.values())).topology()
        return tuple(member.msp_id for member in topology.hospitals)

    def ledger(self, msp: str) -> FabricLedger:
        """Return a hospital's way to the channel."""
        return self._ledgers[msp]

    def signer(self, msp: str) -> Signer:
        """Return a hospital's identity."""
        return self._ledgers[msp].identity

    def roots(self, msp: str) -> Roots:
        """Return the roots in a hospital's own directory."""
        return self._directories[msp].roots_pem


#: Turns of all hospitals without any progress after which time is let pass.
IDLE_TURNS = 3


def play(
    consortium: Consortium,
    parts: Mapping[str, HospitalRound],
    *,
    until: Callable[[], bool] = lambda: False,
    patient_s: float = 30.0,
    turns: int = 600,
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


def play_up_to(
    consortium: Consortium, parts: Mapping[str, HospitalRound], state: str, number: int = 1
) -> None:
    """Let hospitals take turns until the round has reached a state on the ledger."""

    def reached() -> bool:
        ledger = consortium.ledger(consortium.msps[0])
        found = read_round(ledger, consortium.study.study, number)
        return found is not None and found.record.state == state

    play(consortium, parts, until=reached)


def digests(consortium: Consortium, number: int) -> set[str]:
    """Return the digests of the models that hospitals made of a round."""
    models = [consortium.store(msp).read_model(number) for msp in consortium.msps]
    return {model_digest(model.weights) for model in models if model is not None}


def played_round(consortium: Consortium, number: int = 1) -> RoundRecords:
    """Play a round with every hospital to its end and return its records."""
    play(consortium, consortium.parts(number))
    return consortium.records(number)
