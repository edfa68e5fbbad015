"""Rounds over a ledger in memory: complete clients in one process, with real encryption.

Each hospital has an identity, a journal, sealing keys and a context as over Fabric; they take turns
in one thread. The clock moves only while all of them wait. The channel lives as long as the
process: a simulation that was stopped goes on from the last model on a new channel. What is tried
here is the method and the code; with all hospitals in one process nothing is secret from anybody.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chaincode.contract.dispatch import invoke
from chaincode.memory_ledger import MemoryLedger
from chaincode.records.study import Study
from chaincode.records.terms import round_parameters
from peer_client.ledgers.ledger import OrderingClaim
from peer_client.ledgers.memory import MemoryHospitalLedger
from peer_client.ledgers.memory_identity import new_member, roots_of
from peer_client.rounds.context import Notice, RoundContext, Trainer, TrainingProgress, TrainingTask
from peer_client.rounds.decision import Act
from peer_client.rounds.round import HospitalRound
from peer_client.sealing import Journal, SealingKeys, memory_backed_folder
from peer_client.simulation.errors import StuckRoundError
from peer_client.simulation.rounds import (
    RoundDone,
    SimulatedHospital,
    Told,
    fractions,
    last_model,
)
from peer_client.simulation.study import CHANNEL, continued
from peer_client.storage.study_store import ModelState, StudyStore
from peer_client.studies.own_agreement import OwnAgreement
from peer_client.studies.study import approve, propose, read_study

#: How far the clock moves when no hospital can do anything, seconds.
PATIENT_S: Final = 60.0
#: Turns without progress after which the clock is moved, and after which the round is stuck.
IDLE_TURNS, STUCK_TURNS = 3, 400


class SteppedClock:
    """A clock that moves only when it is told to.

    Args:
        start_s: Unix time at the start, seconds.
    """

    def __init__(self, start_s: float) -> None:
        self.now_s = start_s

    def __call__(self) -> float:
        """Return the time, Unix seconds."""
        return self.now_s

    def forward(self, seconds: float) -> None:
        """Move on."""
        self.now_s += seconds


@dataclass(frozen=True, slots=True)
class LaterTrainer:
    """A trainer whose study goes on on a new channel, where rounds are counted from 1 again.

    Attributes:
        trainer: Of the study from its beginning.
        before: Rounds done on earlier channels.
    """

    trainer: Trainer
    before: int

    def train(self, task: TrainingTask, progress: TrainingProgress) -> NDArray[np.float32]:
        """Train as in the study's own count of rounds."""
        return self.trainer.train(self._whole(task), progress)

    def metrics_ppm(self, task: TrainingTask, after: NDArray[np.float32]) -> Mapping[str, int]:
        """Judge as in the study's own count of rounds."""
        return self.trainer.metrics_ppm(self._whole(task), after)

    def _whole(self, task: TrainingTask) -> TrainingTask:
        return TrainingTask(
            task.round_number + self.before, task.rounds_done + self.before, task.start
        )


def memory_rounds(
    study: Study,
    hospitals: Sequence[SimulatedHospital],
    ordering: OrderingClaim,
    told: Told,
    *,
    start: datetime,
) -> Iterator[RoundDone]:
    """Run the rounds that are missing, encrypted, over a ledger in memory.

    Args:
        study: The terms from round 1.
        hospitals: All hospitals.
        ordering: How their consortium is ordered.
        told: Told how far each hospital is.
        start: Time of the first proposal, with a time zone.

    Raises:
        StuckRoundError: A round did not end.
    """
    everybody = tuple(hospitals)
    first = last_model(study, everybody)
    if first.round_number >= study.rounds:
        return
    terms = continued(study, first) if first.round_number else study
    members = {each.msp_id: new_member(each.msp_id, start) for each in everybody}
    roots = roots_of(tuple(members.values()))
    clock = SteppedClock(start.timestamp())
    channel = MemoryLedger(invoke, hospitals=terms.msps, channel=CHANNEL)
    with ExitStack() as stack:
        contexts: dict[str, RoundContext] = {}
        for each in everybody:
            # A channel of its own needs journals of its own: round numbers begin at 1 again.
            store = StudyStore(each.store.folder / f"channel-{first.round_number:06d}")
            _empty(store)
            journal = stack.enter_context(Journal(store.journal_path, channel.genesis_sha256))
            keys = SealingKeys(
                memory_backed_folder(os.environ),
                channel=CHANNEL,
                genesis_sha256=channel.genesis_sha256,
                study=f"{store.folder.absolute()}/{terms.study}",
                msp_id=each.msp_id,
                entropy=os.urandom,
            )
            stack.callback(keys.wipe_all_before, terms.rounds + 1)
            contexts[each.msp_id] = RoundContext(
                ledger=MemoryHospitalLedger(
                    channel, members[each.msp_id], clock, ordering.consenter_msps
                ),
                signer=members[each.msp_id],
                roots=roots,
                study=terms,
                agreement=OwnAgreement(store.folder, terms.msps),
                parameters=round_parameters(terms),
                store=store,
                journal=journal,
                sealing_keys=keys,
                trainer=LaterTrainer(each.trainer, first.round_number),
                initial=lambda: first.weights,
                now_s=clock,
                entropy=os.urandom,
                watch=_watcher(each.name, first.round_number, told),
                grace_s=0.0,
            )
        proposer, *others = terms.msps
        first_context = contexts[proposer]
        propose(first_context.ledger, terms, first_context.agreement, now_s=clock())
        for msp in others:
            context = contexts[msp]
            state = read_study(context.ledger, terms.study)
            approve(context.ledger, state, context.agreement, now_s=clock())
        for number in range(1, terms.rounds + 1):
            play(tuple(contexts.values()), number, clock)
            yield _kept(everybody, contexts, number, first.round_number)


def play(contexts: Sequence[RoundContext], number: int, clock: SteppedClock) -> None:
    """Let hospitals take turns until the round has ended for all.

    Raises:
        StuckRoundError: It does not end.
    """
    active = read_study(contexts[0].ledger, contexts[0].study.study).active
    parts = {context.msp_id: HospitalRound(context, number, active) for context in contexts}
    idle = 0
    for _ in range(STUCK_TURNS):
        acts = {msp: part.step() for msp, part in parts.items()}
        for msp in [msp for msp, act in acts.items() if act is Act.DONE]:
            parts.pop(msp).finish()
        if not parts:
            return
        idle = idle + 1 if all(act in (Act.WAIT, Act.DONE) for act in acts.values()) else 0
        if idle >= IDLE_TURNS:
            clock.forward(PATIENT_S)
            idle = 0
    raise StuckRoundError(f"round {number} did not end; {', '.join(parts)} still wait")


def _kept(
    hospitals: Sequence[SimulatedHospital],
    contexts: Mapping[str, RoundContext],
    number: int,
    before: int,
) -> RoundDone:
    """Copy a round's model and facts to the hospitals' own files, in the study's own count."""
    metrics: dict[str, dict[str, float]] = {}
    seconds: dict[str, float] = {}
    upload_bytes = 0
    model = None
    for each in hospitals:
        store = contexts[each.msp_id].store
        found = store.read_model(number)
        if found is None:
            raise StuckRoundError(f"round {number} was not published at {each.name}")
        model = ModelState(before + number, found.weights, found.scales)
        facts = store.read_facts(number)
        metrics[each.msp_id] = fractions(facts.get("metrics_ppm", {}))
        upload_bytes = max(upload_bytes, int(facts.get("upload_bytes", 0)))
        for phase, value in facts.get("seconds", {}).items():
            seconds[phase] = max(seconds.get(phase, 0.0), float(value))
        each.store.write_facts(
            model.round_number,
            {"metrics": metrics[each.msp_id], "upload_bytes": upload_bytes, "seconds": seconds},
        )
        each.store.write_model(model)
    if model is None:  # pragma: no cover - a study has at least three hospitals
        raise StuckRoundError("there are no hospitals")
    return RoundDone(model, metrics, upload_bytes, seconds)


def _empty(store: StudyStore) -> None:
    """Remove what an earlier process left of a channel that ended with it."""
    import shutil

    shutil.rmtree(store.folder, ignore_errors=True)


def _watcher(name: str, before: int, told: Told) -> Callable[[Notice], None]:
    def watch(notice: Notice) -> None:
        told(name, f"round {notice.round_number + before}, {notice.phase}", notice.done,
             notice.total)  # fmt: skip

    return watch
