"""One round from a hospital's side: read the ledger, do the next thing that is ours, again.

    step()   reads the round, decides (peer_client/rounds/decision.py), does one act
    run()    steps until the round has ended, waiting for the ledger's events in between

All state is on the ledger, in the study's store and in the journal, so a client may be stopped
anywhere and started again. What must not happen twice - an encryption, an answer - is written down
with fsync before it is sent; a retry sends the stored bytes. Before it answers, the hospital has
added the sum itself from its own peer and found it to be the one recorded, of at least k
contributors, with its own update in it as stored. Every act is decided from a reading of the ledger
made for it; nothing is predicted. What was read is kept by digests (rounds/seen_records.py),
and a record that changes stops this hospital. Losing the race to close a phase is normal. Rules:
docs/security.md.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from chaincode.records.errors import (
    AbandonError,
    ChunkError,
    DeadlineError,
    NotFoundError,
    OnceError,
    PublishError,
    RoundStateError,
    StudyFinishedError,
    SuspendedError,
    TooFewContributorsError,
    TooFewError,
)
from chaincode.records.round import RoundState
from chaincode.roundkey.shares import AggregateKeyError
from peer_client.errors import BundleMissingError, OwnJoinForgedError, SumMismatchError
from peer_client.ledgers.ledger import ConflictError, StepsAwaited
from peer_client.rounds import answering, own_clock, submission
from peer_client.rounds.context import Notice, RoundContext
from peer_client.rounds.decision import (
    CLOSING,
    ENDED,
    Act,
    OwnProgress,
    Patience,
    Terms,
    awaited,
    missing_steps,
    next_act,
    order_of_round,
)
from peer_client.rounds.own_records import (
    check_own_join,
    check_own_update_and_answer,
    report_own_join,
)
from peer_client.rounds.records import RoundRecords, read_round
from peer_client.rounds.seen_records import SeenRound
from peer_client.rounds.spoiled_parent import check_parent
from peer_client.sealing.errors import OpeningError, ShareRefusedError

logger = logging.getLogger(__name__)

#: Refusals that mean "another was first", "not yet", or "this endorser is a block behind": read the
#: ledger again.
PASSING = (
    OnceError,
    RoundStateError,
    DeadlineError,
    PublishError,
    AbandonError,
    TooFewError,
    ChunkError,
    NotFoundError,
)
#: Refusals that must have passed after this long, seconds: then they are an error after all.
PASSING_S = 120.0


#: Events that move a round: every hospital of it has something to do next.
MOVES = frozenset(
    f"round.{name}"
    for name in (
        "opened", "joins_closed", "summed", "key", "published", "rejected", "abandoned",
        "give_up_vote",
    )
)  # fmt: skip


class TrainingOvertakenError(Exception):
    """The round moved on without this hospital's update; training on would be in vain."""


@dataclass(frozen=True, slots=True)
class RoundOutcome:
    """How a round ended.

    Attributes:
        round_number: The round.
        state: PUBLISHED, REJECTED or ABANDONED.
        model_sha256: Digest of the model published, empty where none was.
        contributors: MSPs whose updates are in the sum.
        reason: Why it was rejected or abandoned, empty otherwise.
    """

    round_number: int
    state: str
    model_sha256: str = ""
    contributors: tuple[str, ...] = ()
    reason: str = ""


@dataclass(slots=True)
class _Memory:
    """What is found out during a round and need not survive a restart: it is found out again."""

    answer_refused: str = ""
    opening_refused: str = ""
    too_few_valid: bool = False
    no_key_among: tuple[str, ...] = ()
    suspended: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    told: str = ""
    refused_since_s: float | None = None
    ended: RoundRecords | None = None


class HospitalRound:
    """This hospital's part in one round.

    Args:
        context: The hospital's collaborators.
        number: The round.
        active: Hospitals of the study that are not suspended, in MSP order.
    """

    def __init__(self, context: RoundContext, number: int, active: tuple[str, ...]) -> None:
        self.context = context
        self.number = number
        study = context.study
        self._terms = Terms(active, study.threshold, study.contributors_min)
        order = order_of_round(active, number)
        rank = order.index(context.msp_id) if context.msp_id in order else len(order)
        self._patience = Patience(rank, context.grace_s)
        self._closes_first = rank == 0
        self._steps: StepsAwaited | None = None
        self._seen = SeenRound(context.store, number)
        self._memory = _Memory()

    def records(self) -> RoundRecords | None:
        """Return the round as the own peer has it now, compared with what it showed before.

        Raises:
            RecordChangedError: A record is another than before, or gone.
            OwnRecordForgedError: The round has a record in this hospital's name that it did not
                send; a join is reported to the others.
            SpoiledParentError: The round's parent has had its sums; a person must decide.
        """
        context = self.context
        found = read_round(context.ledger, context.study.study, self.number)
        self._seen.check(found, now_s=context.now_s(), height=context.ledger.height)
        if found is None or found.record.state in ENDED:
            return found
        try:
            check_own_join(context, found, self._seen)
        except OwnJoinForgedError:
            report_own_join(context, found)
            raise
        check_own_update_and_answer(context, found)
        check_parent(context.store, found.record)
        return found

    def progress(self, records: RoundRecords | None) -> OwnProgress:
        """Return what this hospital has done in the round."""
        context, memory = self.context, self._memory
        answered = records.view().answered if records else ()
        submit_from_s, answer_from_s = self._own_times_s(records)
        return OwnProgress(
            trained=submission.is_trained(context, self.number),
            has_keys=submission.has_sealing_keys(context, self.number),
            answer_refused=bool(memory.answer_refused),
            too_few_valid=memory.too_few_valid,
            no_key=bool(answered) and answered == memory.no_key_among,
            applied=context.store.has_model(self.number),
            opening_refused=bool(memory.opening_refused),
            update_spent=submission.is_spent(context, self.number),
            submit_from_s=submit_from_s,
            answer_from_s=answer_from_s,
        )

    def _own_times_s(self, records: RoundRecords | None) -> tuple[float, float]:
        """Return from when this hospital submits and answers by its own clock, Unix seconds."""
        if records is None:
            return 0.0, 0.0
        study = self.context.study
        return (
            own_clock.submit_from_s(self._seen, records, study, self._terms.hospitals),
            own_clock.answer_from_s(self._seen, records, study),
        )

    def step(self) -> Act:
        """Do the next act, or try to, and return it; WAIT and DONE do nothing.

        Raises:
            JoinSignatureError: A joined hospital's key is not signed by it.
            ChainBrokenError: A model made here is not the one its round published.
            RecordChangedError: A record on the ledger changed.
            OwnRecordForgedError: A record in this hospital's name is not its own.
            SpoiledParentError: A person must decide whether to go on from this parent.
        """
        records = self.records()
        act = self._decide(records)
        if act in CLOSING and not self._patience.is_due(act, self.context.now_s()):
            act = Act.WAIT
        if act is Act.WAIT and records is not None:
            view = records.view()
            self._say("wait", self._awaited(records))
            self._steps = missing_steps(view, self._terms) if self._closes_first else None
        if act is Act.DONE:
            self._memory.ended = records
        if act in (Act.WAIT, Act.DONE):
            return act
        if act is not Act.SUBMIT:
            self._tell(act)
        begin = time.monotonic()
        sealing_s = self._memory.seconds.get("seal", 0.0)
        try:
            self._do(act, records)
        except ConflictError as refusal:
            # What came first is committed at the own peer: reading again shows it, at once.
            self._passes(act, refusal)
            return act
        except PASSING as refusal:
            self._passes(act, refusal)
            return Act.WAIT
        except TrainingOvertakenError:
            logger.info("round %d moved on while this hospital trained", self.number)
            return Act.WAIT
        self._memory.refused_since_s = None
        # Sealing happens within the submission and is told apart from it.
        sealing_s = self._memory.seconds.get("seal", 0.0) - sealing_s
        self._took(act.name.lower(), time.monotonic() - begin - sealing_s)
        return act

    def _took(self, phase: str, seconds: float) -> None:
        """Add to the seconds of a phase."""
        self._memory.seconds[phase] = self._memory.seconds.get(phase, 0.0) + seconds

    def _passes(self, act: Act, refusal: Exception) -> None:
        """Take a refusal for what it mostly is: another was first, or it is a moment too early."""
        now_s = self.context.now_s()
        since_s = self._memory.refused_since_s
        self._memory.refused_since_s = now_s if since_s is None else since_s
        lasting = isinstance(refusal, (ChunkError, NotFoundError))
        if isinstance(refusal, StudyFinishedError) or (
            lasting and since_s is not None and now_s - since_s > PASSING_S
        ):
            raise refusal
        logger.debug("%s: %s", act.name, refusal)
        self._patience.lost(act, now_s)

    def run(self, poll_s: float = 2.0) -> RoundOutcome:
        """Step until the round has ended here and on the ledger.

        Args:
            poll_s: Longest wait for an event before the ledger is read again, seconds.
        """
        waited = 0.0
        # The events are followed from here on: what comes while this hospital works ends the wait.
        self.context.ledger.wait_change(0.0)
        while True:
            act = self.step()
            if act is Act.DONE:
                self._memory.seconds["wait"] = waited
                return self.finish()
            if act is Act.WAIT:
                begin = time.monotonic()
                self.context.ledger.wait_change(self._pause_s(poll_s), MOVES, self._steps)
                self._steps = None
                waited += time.monotonic() - begin

    def finish(self) -> RoundOutcome:
        """Write down the round's facts, wipe what it needed, and return how it ended."""
        records = self._memory.ended or self.records()
        if records is None or records.record.state not in ENDED:
            raise NotFoundError(f"round {self.number} of {self.context.study.study} has not ended")
        record = records.record
        submission.forget(self.context, self.number)
        known = self.context.store.read_facts(self.number).get("seconds", {})
        self.context.store.write_facts(
            self.number,
            {
                "state": record.state,
                "contributors": list(records.contributors),
                "joined": list(records.joined),
                "pooling_max": records.aggregate.pooling_max if records.aggregate else 0,
                "seconds": {**known, **self._memory.seconds},
                "model_sha256": record.model_sha256,
            },
        )
        return RoundOutcome(
            self.number, record.state, record.model_sha256, records.contributors, record.reason
        )

    def _pause_s(self, poll_s: float) -> float:
        """Return how long to wait: less while others' turns to close a phase run out."""
        return min(poll_s, max(self.context.grace_s / 2, 0.05)) if self.context.grace_s else poll_s

    def _decide(self, records: RoundRecords | None) -> Act:
        context = self.context
        if records is None:
            return Act.OPEN_ROUND
        terms = self._terms
        if self._memory.suspended:
            others = tuple(msp for msp in terms.hospitals if msp != context.msp_id)
            terms = Terms(others, terms.threshold, terms.contributors_min)
        own = self.progress(records)
        return next_act(records.view(), own, terms, context.msp_id, context.now_s())

    def _do(self, act: Act, records: RoundRecords | None) -> None:
        """Do one act; what it returns is on the ledger or in the store."""
        if records is None:
            self._submit("open_round")
            return
        match act:
            case Act.JOIN:
                self._join(records)
            case Act.TRAIN:
                submission.train(self.context, records, self._check_overtaken)
            case Act.CLOSE_JOINS:
                self._close("close_joins")
            case Act.SUBMIT:
                self._submit_update(records)
            case Act.AGGREGATE:
                self._aggregate()
            case Act.ANSWER:
                self._answer(records)
            case Act.RECORD_KEY:
                self._record_key(records)
            case Act.APPLY:
                self._apply(records)
            case Act.CONFIRM:
                answering.confirm(self.context, records)
            case Act.PUBLISH:
                self._close("publish_model")
            case Act.ABANDON:
                self._close("abandon", _reason(records))
            case Act.GIVE_UP:
                self._submit("give_up", "no round key can be found from the answers given")
            case _:
                raise AssertionError(act)

    def _submit(self, function: str, *more: str) -> None:
        self.context.ledger.submit(function, self.context.study.study, str(self.number), *more)

    def _close(self, function: str, *more: str) -> None:
        """Submit what ends a phase, once every endorsing peer can see what it rests on."""
        self.context.ledger.settle(self.context.level_s)
        self._submit(function, *more)

    def _join(self, records: RoundRecords) -> None:
        try:
            submission.join(self.context, records, self._seen)
        except SuspendedError as error:
            self._memory.suspended = True
            self._say("join", f"this hospital takes no part: {error.sentence}")

    def _submit_update(self, records: RoundRecords) -> None:
        """Seal the update if that has not been done, and send it."""
        context = self.context
        own_clock.check_may_submit(
            self._seen, records, context.study, self._terms.hospitals, context.now_s()
        )
        begin = time.monotonic()
        self._say("seal", "encrypt the update and seal its shares")
        payload = submission.sealed_upload(self.context, records)
        self._took("seal", time.monotonic() - begin)
        self._tell(Act.SUBMIT)
        submission.send(self.context, records, payload)

    def _aggregate(self) -> None:
        try:
            self._close("aggregate")
        except TooFewContributorsError as error:
            self._memory.too_few_valid = True
            self._say("aggregate", error.sentence)

    def _answer(self, records: RoundRecords) -> None:
        """Answer once, or remember why this hospital does not answer."""
        try:
            answering.answer(self.context, records, self._seen)
        except (SumMismatchError, ShareRefusedError) as error:
            self._memory.answer_refused = str(error)
            logger.warning("round %d: no answer: %s", self.number, error)
            self._say("answer", f"this hospital does not answer: {error}")
        except BundleMissingError as error:
            # Chunks are pulled after a commit; a peer that was away gets them within seconds.
            logger.debug("%s", error)
            self.context.ledger.wait_change(0.2)

    def _record_key(self, records: RoundRecords) -> None:
        try:
            answering.record_key(self.context, records)
        except AggregateKeyError as error:
            self._memory.no_key_among = records.view().answered
            self._say("record_key", str(error))

    def _apply(self, records: RoundRecords) -> None:
        """Open and apply, or remember that there is nothing to apply.

        Raises:
            OpeningError: The others published a model that this hospital cannot open.
        """
        try:
            answering.apply_round(self.context, records)
        except OpeningError as error:
            if records.record.state in ENDED:
                raise
            self._memory.opening_refused = str(error)
            logger.warning("round %d: %s", self.number, error)
            self._say("apply", f"the old model stays in force: {error}")

    def _awaited(self, records: RoundRecords) -> str:
        """Return whom or what this hospital waits for, as words for people."""
        now_s = self.context.now_s()
        submit_from_s, answer_from_s = self._own_times_s(records)
        for from_s, act, state in (
            (submit_from_s, "submits", RoundState.SUBMITTING),
            (answer_from_s, "answers", RoundState.SUMMED),
        ):
            if records.record.state == state and from_s > now_s:
                return (
                    f"a hospital is missing: this one {act} when its own clock says that the "
                    f"others had their time (in {from_s - now_s:.0f} s)"
                )
        return awaited(records.view(), self._terms, now_s)

    def _check_overtaken(self) -> None:
        """Stop training for a round that has gone on without this hospital."""
        records = self.records()
        if records is not None and records.record.state not in (
            RoundState.OPEN,
            RoundState.SUBMITTING,
        ):
            raise TrainingOvertakenError

    def _tell(self, act: Act) -> None:
        self._say(act.name.lower(), act.value)

    def _say(self, phase: str, text: str) -> None:
        """Tell whoever watches, once for each thing there is to tell."""
        if self._memory.told != text:
            self._memory.told = text
            self.context.watch(Notice(self.number, phase, text))


def _reason(records: RoundRecords) -> str:
    """Return why a round is abandoned, for the ledger."""
    if records.join_reports:
        who = ", ".join(records.join_reports)
        return f"reported that the join in its name is not its own: {who}"
    return "the deadline passed with too few hospitals"
