"""Sums that were opened from a parent without a model coming of them.

Such a sum and the next one from the same parent differ by what changed between them. Clients stop
after two, and open none of fewer contributors than before (docs/security.md); the contract counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaincode.ledger import Ledger
from chaincode.records import keys, register, states
from chaincode.records.round import Aggregate, Round, RoundState
from chaincode.records.study import Study


@dataclass(frozen=True, slots=True)
class SpoiledSums:
    """How many sums were opened from a parent in vain, and the most updates in one of them."""

    sums: int
    contributors: int


def opened_before(ledger: Ledger, terms: Study, previous: Round | None) -> SpoiledSums:
    """Count the sums opened from the parent of the round that follows `previous`.

    A rejected round opened its sum. A round that was given up counts as opened where so many share
    sums had come that hospitals which cheat could have opened it with the answers they kept back.
    """
    if previous is None or previous.state == RoundState.PUBLISHED.value:
        return SpoiledSums(0, 0)
    before = SpoiledSums(previous.opened_before, previous.contributors_before)
    total = register.found(ledger, Aggregate, keys.aggregate(terms.study, previous.round))
    if total is None or not _may_have_been_opened(ledger, terms, previous, total):
        return before
    most = max(before.contributors, len(total.contributors))
    return SpoiledSums(before.sums + 1, most)


def _may_have_been_opened(ledger: Ledger, terms: Study, previous: Round, total: Aggregate) -> bool:
    if previous.state == RoundState.REJECTED.value:
        return True
    answers = register.share_sums(ledger, terms.study, previous.round)
    given = sum(bool(answer.share_sum) for answer in answers.values())
    return states.may_be_opened(total, given, terms.threshold)
