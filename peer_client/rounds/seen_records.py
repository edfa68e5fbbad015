"""What this hospital has seen of a round on the ledger, kept so that a change is noticed.

A record is written to the ledger once. Whoever could change one between the answers of two honest
hospitals would have two sums answered for, and their difference is one hospital's update. So the
digest of every record that the client reads is kept, flushed to the disk before anybody acts on
what was read, and compared at each later reading, also after a restart. A record that is another
than before, or gone, stops the client. With the digests stands when each phase was first seen by
this hospital's own clock (peer_client/rounds/own_clock.py) and which sealing keys it made.

    rounds/000004/seen    one line of JSON for each record, phase and own key
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from chaincode.records.canonical import Json, encode, sha256_hex
from chaincode.records.round import Round, RoundState
from peer_client.errors import RecordChangedError, StoreError
from peer_client.rounds.records import RoundRecords
from peer_client.storage.study_store import StudyStore

#: States in the order in which a round takes them; all that end it stand last.
ORDER: Final[Mapping[str, int]] = {
    RoundState.OPEN: 0, RoundState.SUBMITTING: 1, RoundState.SUMMED: 2, RoundState.OPENED: 3,
    RoundState.PUBLISHED: 4, RoundState.REJECTED: 4, RoundState.ABANDONED: 4,
}  # fmt: skip
#: The name of what a round is fixed to at its opening.
OPENING: Final = "opening"
#: The name of how a round ended.
OUTCOME: Final = "outcome"


@dataclass(frozen=True, slots=True)
class PhaseSeen:
    """When a state of a round was first seen here.

    Attributes:
        seen_at_s: Unix time by this hospital's own clock, seconds.
        deadline_s: The state's deadline as the ledger had it, Unix time, seconds.
    """

    seen_at_s: float
    deadline_s: int


class SeenRound:
    """What one hospital has seen of one round.

    Args:
        store: The study's files.
        number: The round.

    Raises:
        StoreError: The file is damaged.
    """

    def __init__(self, store: StudyStore, number: int) -> None:
        self._store = store
        self._number = number
        self._digests: dict[str, str] = {}
        self._phases: dict[str, PhaseSeen] = {}
        self._own_keys: set[str] = set()
        self._height = 0
        for entry in store.read_seen(number):
            self._take(entry)

    @property
    def own_keys(self) -> frozenset[str]:
        """Return the SHA-256 of each public sealing key that this hospital made for the round."""
        return frozenset(self._own_keys)

    @property
    def height(self) -> int:
        """Return the own peer's height when it first showed the aggregate, 0 before."""
        return self._height

    def phase(self, state: str) -> PhaseSeen | None:
        """Return when a state was first seen, or nothing."""
        return self._phases.get(state)

    def first_phase(self, least: str) -> PhaseSeen | None:
        """Return when a state not before `least` was first seen, or nothing."""
        later = [seen for state, seen in self._phases.items() if ORDER[state] >= ORDER[least]]
        return min(later, key=lambda seen: seen.seen_at_s, default=None)

    def add_own_key(self, sealing_key_sha256: str) -> None:
        """Write down a sealing key of this hospital, before it is published."""
        if sealing_key_sha256 not in self._own_keys:
            self._add([{"own_key": sealing_key_sha256}])

    def check(
        self, records: RoundRecords | None, *, now_s: float, height: Callable[[], int]
    ) -> None:
        """Compare a round with what was seen of it before, and keep what is new.

        Args:
            records: The round as the own peer shows it now.
            now_s: This hospital's own clock, Unix seconds.
            height: Gives the own peer's height; asked once, when the aggregate is first seen.

        Raises:
            RecordChangedError: A record is another than before, or gone.
            StoreError: What is new cannot be kept; nothing may follow from it.
        """
        if records is None:
            if self._digests:
                raise RecordChangedError(f"round {self._number} itself", "was there", "is gone")
            return
        self._check_state(records.record)
        found = digests_of(records)
        for name, before in self._digests.items():
            if (now := found.get(name)) != before:
                what = f"{in_words(name)} of round {self._number}"
                raise RecordChangedError(what, f"had the digest {before[:16]}", _now(now))
        fresh: list[dict[str, Any]] = [
            {"name": name, "sha256": sha256}
            for name, sha256 in found.items()
            if name not in self._digests
        ]
        if records.aggregate is not None and not self._height:
            fresh.append({"height": height()})
        if records.record.state not in self._phases:
            deadline_s = records.record.deadline_s
            fresh.append(
                {"phase": records.record.state, "seen_at_s": now_s, "deadline_s": deadline_s}
            )
        if fresh:
            self._add(fresh)

    def check_height(self, height: int) -> None:
        """Refuse a peer that has fewer blocks than when it first showed the aggregate.

        Raises:
            RecordChangedError: It has.
        """
        if height < self._height:
            raise RecordChangedError(
                f"the height of the own peer's ledger (round {self._number})",
                f"was {self._height}", f"is {height}",
            )  # fmt: skip

    def check_outcome(self, record: Round) -> None:
        """Refuse another outcome of a round than the one seen before, where one was.

        Raises:
            RecordChangedError: It is another.
        """
        before = self._digests.get(OUTCOME)
        now = sha256_hex(encode(_outcome(record)))
        if before is not None and before != now:
            raise RecordChangedError(
                f"the outcome of round {self._number}", f"had the digest {before[:16]}", _now(now)
            )

    def _check_state(self, record: Round) -> None:
        for state, seen in self._phases.items():
            if ORDER[record.state] < ORDER[state] or (
                ORDER[record.state] == ORDER[state] and record.state != state
            ):
                what = f"the state of round {self._number}"
                raise RecordChangedError(what, f"was {state}", f"is {record.state}")
            if record.state == state and record.deadline_s != seen.deadline_s:
                raise RecordChangedError(
                    f"the deadline of round {self._number}, {state},",
                    f"was {seen.deadline_s}", f"is {record.deadline_s}",
                )  # fmt: skip

    def _add(self, entries: list[dict[str, Any]]) -> None:
        self._store.append_seen(self._number, entries)
        for entry in entries:
            self._take(entry)

    def _take(self, entry: Mapping[str, Any]) -> None:
        match entry:
            case {"name": str(name), "sha256": str(sha256)}:
                if self._digests.setdefault(name, sha256) != sha256:
                    raise StoreError(f"round {self._number}: two digests were kept of {name}")
            case {"phase": str(state), "seen_at_s": seen_at_s, "deadline_s": int(deadline_s)}:
                self._phases.setdefault(state, PhaseSeen(float(seen_at_s), deadline_s))
            case {"own_key": str(sha256)}:
                self._own_keys.add(sha256)
            case {"height": int(height)}:
                self._height = self._height or height
            case _:
                raise StoreError(f"round {self._number}: what was seen of it is damaged")


def digests_of(records: RoundRecords) -> dict[str, str]:
    """Return the digest of each record of a round that is never written twice, by name."""
    record = records.record
    found: dict[str, Json] = {
        OPENING: [
            record.study, record.round, record.opened_at_s, record.parent_sha256,
            record.published_before, record.opened_before, record.contributors_before,
        ],
    }  # fmt: skip
    if record.joined:
        found["joined"] = [*record.joined, record.joined_sha256]
    if ORDER[record.state] == ORDER[RoundState.PUBLISHED]:
        found[OUTCOME] = _outcome(record)
    found |= {f"join/{msp}": sha256 for msp, sha256 in records.joins.items()}
    found |= {
        f"answer/{msp}": [each.digest, each.share_sum_sha256, *each.unopened]
        for msp, each in records.answers.items()
    }
    found |= {f"join_report/{msp}": sha256 for msp, sha256 in records.join_reports.items()}
    found |= {f"give_up/{msp}": reason for msp, reason in records.give_up_votes.items()}
    if records.round_key is not None:
        key = records.round_key
        found["key"] = [key.key_sha256, [*key.senders], [*key.false_senders]]
    digests = {name: sha256_hex(encode(value)) for name, value in found.items()}
    digests |= {f"update/{m}": sha256_hex(each.to_bytes()) for m, each in records.updates.items()}
    digests |= {
        f"confirmation/{msp}": sha256_hex(each.to_bytes())
        for msp, each in records.confirmations.items()
    }
    if records.aggregate is not None:
        digests["aggregate"] = sha256_hex(records.aggregate.to_bytes())
    return digests


def _outcome(record: Round) -> Json:
    return [record.state, record.changed_at_s, record.model_sha256, record.reason]


_WORDS: Final = {
    OPENING: "the parent and the opening",
    "joined": "the list of the joined",
    OUTCOME: "the outcome",
    "aggregate": "the aggregate",
    "key": "the round key",
    "join": "the join",
    "update": "the manifest",
    "answer": "the answer",
    "confirmation": "the confirmation",
    "give_up": "the vote to give up",
    "join_report": "the report of a join",
}


def in_words(name: str) -> str:
    """Return a record's name as people read it.

    >>> in_words("answer/ucsdMSP"), in_words("aggregate")
    ('the answer of ucsdMSP', 'the aggregate')
    """
    kind, _, msp = name.partition("/")
    return f"{_WORDS[kind]} of {msp}" if msp else _WORDS[kind]


def _now(digest: str | None) -> str:
    return "is gone" if digest is None else f"has {digest[:16]}"


def check_study_seen(store: StudyStore, sha256: str) -> None:
    """Keep a study's digest at its first reading, and refuse another one later.

    Raises:
        RecordChangedError: It is another.
    """
    entries = store.read_seen(0)
    for entry in entries:
        if entry.get("name") == "study" and entry.get("sha256") != sha256:
            before = str(entry.get("sha256"))
            raise RecordChangedError(
                "the record of the study", f"had the digest {before[:16]}", _now(sha256)
            )
    if not entries:
        store.append_seen(0, [{"name": "study", "sha256": sha256}])
