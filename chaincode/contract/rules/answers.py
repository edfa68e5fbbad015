"""A hospital's one answer for a round's sum, and the senders that a round key is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chaincode.contract.rules.arguments import read_transient
from chaincode.ledger import Ledger
from chaincode.records.errors import (
    OtherAggregateError,
    SendersError,
    ShareRangeError,
    ShareSumLengthError,
    UnopenedBoxesError,
)
from chaincode.records.round import Aggregate, ShareSum
from chaincode.records.study import Study
from chaincode.roundkey.parameters import SHARE_BYTES
from chaincode.roundkey.shares import AggregateKeyError as ShareFormError
from chaincode.roundkey.shares import Shares, read_share_sum


def check_same_aggregate(aggregate: Aggregate, claimed_digest: str) -> str:
    """Return D after comparing it with the one an answer names.

    Raises:
        OtherAggregateError: They differ.
    """
    if claimed_digest != aggregate.digest:
        raise OtherAggregateError(
            f"the aggregate of round {aggregate.round} has digest {aggregate.digest}, "
            "not the one answered for"
        )
    return aggregate.digest


def check_unopened_dealers(aggregate: Aggregate, dealers: Sequence[str]) -> tuple[str, ...]:
    """Check a report of unopened boxes and return the dealers in MSP order.

    Raises:
        UnopenedBoxesError: One is named twice or is no contributor.
    """
    contributors = {contributor.msp for contributor in aggregate.contributors}
    if len(set(dealers)) != len(dealers) or not set(dealers) <= contributors:
        raise UnopenedBoxesError(
            "a report names contributors of the round, each once; "
            f"it names {', '.join(dealers)[:200]}"
        )
    return tuple(sorted(dealers))


def check_answer_or_report(ledger: Ledger, dealers: Sequence[str]) -> bytes:
    """Return the share sum of an answer, ``b""`` for a report of unopened boxes.

    Raises:
        UnopenedBoxesError: A share sum comes together with a report.
        TransientError: An answer without a share sum.
    """
    if dealers:
        if ledger.transient:
            raise UnopenedBoxesError(
                "who could not open a box has no sum of all shares: send the report alone"
            )
        return b""
    return read_transient(ledger, "share_sum")


def check_share_values(content: bytes) -> Shares:
    """Return a share sum's values, uint16 below 65521, shape ``(4096,)``.

    Raises:
        ShareSumLengthError: Not 8192 bytes.
        ShareRangeError: A value is not below 65521.
    """
    if len(content) != SHARE_BYTES:
        raise ShareSumLengthError(
            f"a share sum has {SHARE_BYTES} bytes and no more, this one has {len(content)}"
        )
    try:
        return read_share_sum(content)
    except ShareFormError as error:
        raise ShareRangeError(str(error)) from None


def check_senders(
    terms: Study, senders: Sequence[str], share_sums: Mapping[str, ShareSum]
) -> tuple[str, ...]:
    """Check the senders that a round key is interpolated from and return them in MSP order.

    Raises:
        SendersError: Not exactly T different hospitals that gave a share sum.
    """
    if len(senders) != terms.threshold or len(set(senders)) != len(senders):
        raise SendersError(
            f"a round key is interpolated from {terms.threshold} different share sums, "
            f"{len(set(senders))} are named"
        )
    for msp in senders:
        if msp not in share_sums or not share_sums[msp].share_sum:
            raise SendersError(f"{msp[:63]} gave no share sum in this round")
    return tuple(sorted(senders))
