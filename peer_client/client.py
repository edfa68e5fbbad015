"""Put a hospital's context together from its member directory, and follow a study round by round.

The command line's one way to a running client: which study, is it in force, is this hospital in it,
did it approve this text itself, is the channel what it was then, is the claim about the ordering
true, does the network here give the initial model that was agreed on; then the context; then the
rounds. Passing failures of peers are waited out, up to a limit.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chaincode.records.errors import StudyFinishedError, StudyNotInForceError
from chaincode.records.round import RoundState
from chaincode.records.study import Study
from chaincode.records.terms import round_parameters
from network.consortium.member import MemberDirectory
from network.errors import NetworkError
from peer_client.errors import RoundsAbandonedError, SettingsError
from peer_client.ledgers.fabric import FabricLedger
from peer_client.ledgers.ledger import HospitalLedger
from peer_client.rounds import lineage
from peer_client.rounds.context import Notice, RoundContext, Serving, Trainer
from peer_client.rounds.decision import ENDED
from peer_client.rounds.round import HospitalRound, RoundOutcome
from peer_client.rounds.seen_records import check_study_seen
from peer_client.sealing import Journal, SealingKeys, memory_backed_folder
from peer_client.serving.starting_model import starting_weights
from peer_client.storage.study_store import StudyStore
from peer_client.studies.own_agreement import OwnAgreement
from peer_client.studies.study import (
    StudyState,
    check_ordering,
    check_own_part,
    list_studies,
    read_study,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

#: How long passing failures of the network are waited out, seconds.
PATIENCE_S = 180.0
#: Rounds abandoned one after the other after which a client stops.
ABANDONED_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class MemberClient:
    """A member's directory with its ledger open."""

    directory: MemberDirectory
    ledger: FabricLedger

    def agreement(self) -> OwnAgreement:
        """Return what this hospital approved, and what it accepted the channel to be."""
        hospitals = self.directory.topology().hospitals
        return OwnAgreement(self.directory.client_path, tuple(each.msp_id for each in hospitals))

    def store(self, study: str) -> StudyStore:
        """Return the files of a study here."""
        return StudyStore(self.directory.client_path / "studies" / study)


@contextmanager
def member_client(path: Path | None) -> Iterator[MemberClient]:
    """Open a member's ledger.

    Args:
        path: The member's directory.

    Raises:
        SettingsError: No directory was named.
        NetworkError: It is none, or its peer cannot be reached.
    """
    if path is None:
        raise SettingsError("no member was named: give --member or set HOSPITAL_MEMBER")
    directory = MemberDirectory(path)
    with FabricLedger(directory) as ledger:
        yield MemberClient(directory, ledger)


def chosen_study(ledger: HospitalLedger, name: str | None) -> StudyState:
    """Return the study to work on: the one named, else the only one of this hospital.

    Raises:
        UnknownStudyError: There is no study of that name.
        SettingsError: None was named, and this hospital is in none or in several.
    """
    if name is not None:
        return read_study(ledger, name)
    mine = [
        each["study"]
        for each in list_studies(ledger)
        if ledger.msp_id in each["hospitals"] and each["state"] != "WITHDRAWN"
    ]
    if len(mine) != 1:
        known = ", ".join(mine) or "none"
        raise SettingsError(f"name the study with --study; those of {ledger.msp_id} are: {known}")
    return read_study(ledger, mine[0])


def check_may_train(ledger: HospitalLedger, state: StudyState, agreement: OwnAgreement) -> None:
    """Refuse to train for a study not in force, not ours, not approved here, or not as it claims.

    Raises:
        NotOfStudyError: This hospital is not in it.
        NotApprovedHereError: This hospital has not approved this text itself.
        ChannelChangedError: The channel has changed since a person accepted it.
        StudyNotInForceError: Too few hospitals approved it.
        StudyClaimError: The channel is another, or not ordered as the study says.
    """
    check_own_part(ledger, state.terms)
    agreement.check(ledger, state.terms)
    if not state.in_force:
        raise StudyNotInForceError(
            f"study {state.terms.study} has {len(state.approved_by)} approvals, "
            f"{state.approvals_needed} are needed"
        )
    check_ordering(state.terms, ledger.ordering())


@contextmanager
def open_context(
    client: MemberClient,
    study: Study,
    trainer: Trainer,
    *,
    watch: Callable[[Notice], None],
    environment: Mapping[str, str],
    serving: Serving | None = None,
    initial: Callable[[], NDArray[np.float32]] | None = None,
) -> Iterator[RoundContext]:
    """Yield the context of a study, held by this process alone.

    Args:
        client: The member.
        study: The study's terms.
        trainer: Works on own patients.
        watch: Told of every act.
        environment: Says where memory-backed storage is (XDG_RUNTIME_DIR).
        serving: Chooses what is served after each round; by default nothing is chosen.
        initial: Gives the shared weights before round 1; by default those kept here, else those
            of the study's network and seed.

    Raises:
        AlreadyRunningError: Another client works on this study here.
        StudyClaimError: The network here gives another initial model than was agreed on.
        MemoryStorageError: There is no memory-backed storage for sealing keys.
    """
    store = client.store(study.study)
    draw = initial if initial is not None else lambda: starting_weights(study, store)
    lineage.initial_model(study, draw())
    keys = SealingKeys(
        memory_backed_folder(environment),
        channel=client.ledger.channel,
        genesis_sha256=study.genesis_sha256,
        study=study.study,
        msp_id=client.ledger.msp_id,
        entropy=os.urandom,
    )
    with store.held(), Journal(store.journal_path, study.genesis_sha256) as journal:
        yield RoundContext(
            ledger=client.ledger,
            signer=client.ledger.identity,
            roots=client.directory.roots_pem,
            study=study,
            agreement=client.agreement(),
            parameters=round_parameters(study),
            store=store,
            journal=journal,
            sealing_keys=keys,
            trainer=trainer,
            initial=draw,
            now_s=time.time,
            entropy=os.urandom,
            serving=serving,
            watch=watch,
        )


def next_round(state: StudyState) -> int:
    """Return the round to take part in: the one that runs, else the next.

    Raises:
        StudyFinishedError: The study has published all its rounds.
    """
    if state.last_round == 0:
        return 1
    if state.last_round_state not in ENDED:
        return state.last_round
    if state.published_rounds >= state.terms.rounds:
        raise StudyFinishedError(
            f"study {state.terms.study} has published its {state.terms.rounds} rounds"
        )
    return state.last_round + 1


def follow(context: RoundContext, rounds: int) -> Iterator[RoundOutcome]:
    """Take part in rounds until so many have been published or rejected; yield each one's end.

    Args:
        context: The hospital.
        rounds: How many; a round that runs already counts as one. An abandoned one does not count.

    Raises:
        NotApprovedHereError: This hospital has not approved the study's text itself.
        ChannelChangedError: The channel has changed since a person accepted it.
        RoundsAbandonedError: Three rounds in a row were abandoned.
        RecordChangedError: The study's record is not the one seen before.
        NetworkError: The network failed for three minutes on end.
    """
    counted = abandoned = 0
    while counted < rounds:
        state = read_study(context.ledger, context.study.study)
        check_study_seen(context.store, context.study.sha256)
        check_study_seen(context.store, state.terms.sha256)
        try:
            number = next_round(state)
        except StudyFinishedError:
            return
        context.check_agreed()
        outcome = _patiently(HospitalRound(context, number, state.active))
        yield outcome
        if outcome.state == RoundState.ABANDONED:
            abandoned += 1
            if abandoned == ABANDONED_IN_A_ROW:
                raise RoundsAbandonedError(number, outcome.reason)
            continue
        abandoned = 0
        counted += 1


def _patiently(part: HospitalRound) -> RoundOutcome:
    """Run a round; a network that fails for a while is waited out."""
    failing_since: float | None = None
    while True:
        begin = time.monotonic()
        try:
            return part.run()
        except NetworkError as error:
            now = time.monotonic()
            # A run that lasted is a success in between: patience starts again.
            if failing_since is None or now - begin > PATIENCE_S / 3:
                failing_since = now
            if now - failing_since > PATIENCE_S:
                raise
            # One warning; the waiting itself is shown, and every try would say the same.
            level = logging.WARNING if failing_since == now else logging.DEBUG
            logger.log(level, "%s; trying again", error)
            code = getattr(error, "code", "no code")
            text = "a clock is off" if code == "CLOCK" else f"the network does not answer ({code})"
            part.context.watch(Notice(part.number, "wait", f"{text}, trying again"))
            time.sleep(2.0)
