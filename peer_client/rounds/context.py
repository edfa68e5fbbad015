"""What one hospital works with during a study: its collaborators, as one frozen value.

Ledger, identity, files, secrets, trainer, clock and randomness come in here and nowhere else, so
that the same round runs over Fabric, over the in-memory ledger, and in tests with a clock of their
own. Nothing is opened or started by making one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from chaincode.records.study import Study, StudyHospital
from chaincode.roundkey.parameters import RoundParameters
from peer_client.errors import NotOfStudyError
from peer_client.ledgers.ledger import HospitalLedger, Roots, Signer
from peer_client.storage.study_store import StudyStore
from peer_client.studies.own_agreement import OwnAgreement

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from peer_client.sealing import Journal, SealingKeys
    from peer_client.sealing.transcript import RoundTranscript
    from peer_client.storage.study_store import ModelState


@dataclass(frozen=True, slots=True)
class TrainingTask:
    """What a trainer is asked for in one round.

    Attributes:
        round_number: The round; never the same twice.
        rounds_done: Rounds published before it: how far the schedule has come.
        start: The shared weights to start from, float32, shape `(parameters,)`.
    """

    round_number: int
    rounds_done: int
    start: NDArray[np.float32]


#: Told (steps done, steps in all) while a trainer works; an exception of its stops the training.
TrainingProgress = Callable[[int, int], None]


class Trainer(Protocol):
    """What a hospital does with its own patients; knows nothing of ledgers or ciphertexts."""

    def train(self, task: TrainingTask, progress: TrainingProgress) -> NDArray[np.float32]:
        """Return the shared weights after this hospital's steps, float32, `(parameters,)`."""

    def metrics_ppm(self, task: TrainingTask, after: NDArray[np.float32]) -> Mapping[str, int]:
        """Return `auc_before`, `auc_after` and others on own validation patients, in millionths.

        They are exact and stay here with the counts of patients by kind; what of them leaves the
        hospital follows from `peer_client.rounds.ledger_figures.ledger_ppm`.
        """


#: Told (what is done, steps done, steps in all) while a hospital chooses; 0 where there are none.
ServingProgress = Callable[[str, int, int], None]


class OutOfTimeError(Exception):
    """Raised by a progress callback: the phase is nearly over, so own work has to end."""


class Serving(Protocol):
    """What a hospital does around the rounds to serve what is best on its own patients."""

    def train_alone(self, task: TrainingTask, progress: TrainingProgress) -> None:
        """Take the steps of the model trained alone that this round needs."""

    def serve(
        self, task: TrainingTask, shared: NDArray[np.float32], progress: ServingProgress
    ) -> Mapping[str, int]:
        """Choose after a round; return the choice's figures, exact, in millionths."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told to whoever watches a round.

    Attributes:
        round_number: The round.
        phase: The act under way or done, by name (`peer_client.rounds.decision.Act`).
        text: A sentence for people.
        done: Steps done, 0 where there are none.
        total: Steps in all, 0 where they are not known.
    """

    round_number: int
    phase: str
    text: str
    done: int = 0
    total: int = 0


def unwatched(notice: Notice) -> None:
    """Tell nobody."""


@dataclass(slots=True)
class Recall:
    """What was proved a moment ago and cannot change: found again rather than proved again.

    Attributes:
        transcript: The last round's joined hospitals, each key proved to be signed by its owner.
        parent: The model that the last round started from, proved to be the one published: its
            digest, how many rounds were published before, the model. The digest alone would not
            do: it leaves out the clipping scales.
        trained: The round and the vector trained in it, as it lies in the store.
    """

    transcript: RoundTranscript | None = None
    parent: tuple[str, int, ModelState] | None = None
    trained: tuple[int, NDArray[np.float32]] | None = None


@dataclass(frozen=True, slots=True)
class RoundContext:
    """A hospital at work on a study.

    Attributes:
        ledger: The way to the ledger.
        signer: The hospital's identity.
        roots: Certificate roots of the members, from the own directory.
        study: The study's terms.
        agreement: What this hospital approved, and what it accepted the channel to be.
        parameters: The encryption's numbers that follow from them.
        store: The study's files here.
        journal: What must not be done twice.
        sealing_keys: Round keys of this hospital, in memory-backed storage.
        trainer: Trains and evaluates on own patients.
        serving: Chooses what is served after each round; None serves the shared model.
        initial: Draws the shared weights that the study starts from, `(parameters,)`.
        now_s: Unix time, seconds.
        entropy: Random bytes, as `os.urandom`.
        watch: Told of every act.
        grace_s: What each place in the round's order waits before closing a phase, seconds.
        level_s: Longest wait for all members' peers to be level, seconds.
        recall: What need not be proved twice; it may be lost at any moment.
    """

    ledger: HospitalLedger
    signer: Signer
    roots: Roots
    study: Study
    agreement: OwnAgreement
    parameters: RoundParameters
    store: StudyStore
    journal: Journal = field(repr=False)
    sealing_keys: SealingKeys = field(repr=False)
    trainer: Trainer
    initial: Callable[[], NDArray[np.float32]]
    now_s: Callable[[], float]
    entropy: Callable[[int], bytes]
    serving: Serving | None = None
    watch: Callable[[Notice], None] = unwatched
    grace_s: float = 2.0
    level_s: float = 5.0
    recall: Recall = field(default_factory=Recall, repr=False)

    @property
    def msp_id(self) -> str:
        """Return this hospital's MSP."""
        return self.ledger.msp_id

    @property
    def hospital(self) -> StudyHospital:
        """Return this hospital's entry in the study.

        Raises:
            NotOfStudyError: It has none.
        """
        found = self.study.hospital(self.msp_id)
        if found is None:
            raise NotOfStudyError(self.msp_id, self.study.study)
        return found

    def check_agreed(self) -> None:
        """Refuse to act before this hospital's people have approved this text on this channel.

        Called before a round, and before a join, an update or an answer leaves. Training leaves
        nothing, so it asks for the approved text alone.

        Raises:
            NotApprovedHereError: This hospital has not approved this text.
            StudyClaimError: The study is of another channel than the one connected to.
            ChannelChangedError: The channel has changed since a person accepted it.
        """
        self.agreement.check(self.ledger, self.study)

    def points(self, msps: Sequence[str]) -> dict[str, int]:
        """Return the evaluation points of some hospitals of the study."""
        every = {hospital.msp: hospital.point for hospital in self.study.hospitals}
        return {msp: every[msp] for msp in msps}
