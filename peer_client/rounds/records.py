"""One round, read from the ledger as typed records.

`read_round` asks the own peer and checks the form of what it says again; it draws no conclusions.
Sealing keys, share sums and the round key are large and are asked for only when they are needed.
What a record claims is checked where it is used: sums in peer_client/rounds/sums.py, signatures in
peer_client/rounds/submission.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from chaincode.ledger import StateReader
from chaincode.records import register
from chaincode.records.canonical import Record, encode, sha256_hex
from chaincode.records.errors import UnknownRoundError
from chaincode.records.round import (
    Aggregate,
    Confirmation,
    Join,
    Manifest,
    Round,
    RoundKey,
    ShareSum,
    UploadLayout,
)
from chaincode.records.study import Study
from peer_client.ledgers.ledger import HospitalLedger, query
from peer_client.rounds.decision import RoundView

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class AnswerSummary:
    """A hospital's answer without its share sum.

    Attributes:
        digest: D of the aggregate it answers for.
        share_sum_sha256: Empty where it is a report.
        unopened: Dealers whose boxes did not open.
    """

    digest: str
    share_sum_sha256: str
    unopened: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeySummary:
    """A recorded round key without the key."""

    key_sha256: str
    senders: tuple[str, ...]
    false_senders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RoundRecords:
    """What the ledger says of one round; the mappings are by MSP, in MSP order.

    Attributes:
        record: State, times, parent, the joined, the outcome.
        joins: SHA-256 of the sealing key that each hospital joined with.
        updates: Manifests.
        aggregate: The one sum.
        answers: Share sums by their digests, or which boxes did not open.
        round_key: The recorded key by its digest.
        confirmations: What each hospital computed and how it voted.
        give_up_votes: Reasons of those who voted to give the round up.
        join_reports: Who has reported a join in its name as not its own, with that sealing key's
            SHA-256.
    """

    record: Round
    joins: Mapping[str, str] = field(default_factory=dict)
    updates: Mapping[str, Manifest] = field(default_factory=dict)
    aggregate: Aggregate | None = None
    answers: Mapping[str, AnswerSummary] = field(default_factory=dict)
    round_key: KeySummary | None = None
    confirmations: Mapping[str, Confirmation] = field(default_factory=dict)
    give_up_votes: Mapping[str, str] = field(default_factory=dict)
    join_reports: Mapping[str, str] = field(default_factory=dict)

    @property
    def joined(self) -> tuple[str, ...]:
        """Return who has joined, in MSP order; final once the joins are closed."""
        return self.record.joined or tuple(self.joins)

    @property
    def contributors(self) -> tuple[str, ...]:
        """Return whose updates are in the sum."""
        found = self.aggregate.contributors if self.aggregate else ()
        return tuple(contributor.msp for contributor in found)

    def layout(self, polynomials: int) -> UploadLayout:
        """Return where everything of an upload of this round lies."""
        return UploadLayout(polynomials, len(self.joined))

    def view(self) -> RoundView:
        """Return what the next decision depends on."""
        return RoundView(
            state=self.record.state,
            deadline_s=self.record.deadline_s,
            joined=self.joined,
            submitted=tuple(self.updates),
            contributors=self.contributors,
            answered=tuple(m for m, each in self.answers.items() if each.share_sum_sha256),
            reported=tuple(m for m, each in self.answers.items() if each.unopened),
            confirmed=tuple((m, each.model_sha256) for m, each in self.confirmations.items()),
            given_up=tuple(self.give_up_votes),
            join_reports=tuple(self.join_reports),
        )


def read_round(ledger: HospitalLedger, study: str, number: int) -> RoundRecords | None:
    """Return a round's records, or nothing where the ledger has no such round.

    Raises:
        RecordError: The peer's answer is not of the form it must have.
    """
    try:
        answer: dict[str, Any] = json.loads(ledger.evaluate("round", study, str(number)))
    except UnknownRoundError:
        return None
    return records_of(answer)


def records_of(answer: Mapping[str, Any]) -> RoundRecords:
    """Return the records in an answer of the `round` query."""
    own = {"format", *(each.name for each in fields(Round))}
    key = answer["round_key"]
    return RoundRecords(
        record=_one(Round, {name: answer[name] for name in own}),
        joins={
            msp: str(each["sealing_key_sha256"]) for msp, each in sorted(answer["joins"].items())
        },
        updates=_by_msp(Manifest, answer["updates"]),
        aggregate=_one(Aggregate, answer["aggregate"]) if answer["aggregate"] else None,
        answers={
            msp: AnswerSummary(each["digest"], each["share_sum_sha256"], tuple(each["unopened"]))
            for msp, each in sorted(answer["share_sums"].items())
        },
        round_key=KeySummary(key["key_sha256"], tuple(key["senders"]), tuple(key["false_senders"]))
        if key
        else None,
        confirmations=_by_msp(Confirmation, answer["confirmations"]),
        give_up_votes=dict(sorted(answer["give_up_votes"].items())),
        join_reports=dict(sorted(answer["join_reports"].items())),
    )


def records_from(reader: StateReader, terms: Study, number: int) -> RoundRecords:
    """Return a round's records out of public values that are known already.

    Raises:
        UnknownRoundError: There is no such round.
        RecordError: A value is not of the form it must have.
    """
    record = register.round_(reader, terms.study, number)
    book = register.book(reader, terms, number)
    key = book.round_key
    return RoundRecords(
        record=record,
        joins={msp: sha256_hex(each.sealing_key) for msp, each in book.joins.items()},
        updates=book.updates,
        aggregate=book.aggregate,
        answers={
            msp: AnswerSummary(
                each.digest,
                sha256_hex(each.share_sum) if each.share_sum else "",
                each.unopened,
            )
            for msp, each in book.share_sums.items()
        },
        round_key=KeySummary(sha256_hex(key.key), key.senders, key.false_senders) if key else None,
        confirmations=book.confirmations,
        give_up_votes={msp: each.reason for msp, each in book.give_up_votes.items()},
        join_reports={msp: each.sealing_key_sha256 for msp, each in book.join_reports.items()},
    )


def read_joins(ledger: HospitalLedger, study: str, number: int) -> dict[str, Join]:
    """Return a round's joins in full, by MSP in MSP order."""
    return _by_msp(Join, query(ledger, "joins", study, str(number)))


def read_share_sums(ledger: HospitalLedger, study: str, number: int) -> dict[str, ShareSum]:
    """Return a round's answers in full, by MSP in MSP order."""
    return _by_msp(ShareSum, query(ledger, "share_sums", study, str(number)))


def read_round_key(ledger: HospitalLedger, study: str, number: int) -> RoundKey:
    """Return a round's key in full.

    Raises:
        UnknownRecordError: It has none yet.
    """
    return _one(RoundKey, query(ledger, "round_key", study, str(number)))


def read_rounds(ledger: HospitalLedger, study: str) -> tuple[Round, ...]:
    """Return the records of all rounds of a study, ascending, page by page."""
    found: list[Round] = []
    bookmark = ""
    while True:
        answer = query(ledger, "rounds", study, *([bookmark] if bookmark else []))
        found += [_one(Round, each) for each in answer["rounds"]]
        bookmark = answer["next"]
        if not bookmark:
            return tuple(found)


def _one(kind: type[R], value: Any) -> R:
    return kind.from_text(encode(value))


def _by_msp(kind: type[R], values: Mapping[str, Any]) -> dict[str, R]:
    return {msp: _one(kind, values[msp]) for msp in sorted(values)}
