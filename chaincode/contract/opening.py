"""From T share sums to the recorded round key, and who lied.

The contract only verifies: it interpolates the share sums it is told to use, checks that the key is
short and opens the summed key check to zero (`chaincode.roundkey.shares` has the proof), and names
the share sums that lie off the polynomial, with the number of liars in agreement against whom that
says nothing. It searches nothing and decrypts no update; a wrong key never passes, whoever names
it, and nothing acts on a name by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from chaincode.records import sums
from chaincode.records.canonical import sha256_hex
from chaincode.records.errors import (
    CheckSumError,
    FalseShareSumError,
    KeyCheckError,
    KeyNotShortError,
)
from chaincode.records.round import Aggregate, RoundKey, ShareSum
from chaincode.records.study import Study
from chaincode.records.terms import round_parameters
from chaincode.roundkey import shares
from chaincode.roundkey.parameters import NOISE_BOUND


def check_sum_of(aggregate: Aggregate, check: bytes) -> bytes:
    """Return the summed key check after comparing it with the aggregate's digest.

    Raises:
        CheckSumError: It is another one.
    """
    if sha256_hex(check) != aggregate.check_sha256:
        raise CheckSumError(
            f"the summed key check is not the one that round {aggregate.round} recorded"
        )
    return check


def open_round(
    terms: Study,
    aggregate: Aggregate,
    answers: Mapping[str, ShareSum],
    senders: Sequence[str],
    check: bytes,
) -> RoundKey:
    """Interpolate the round key, prove it right, and name false share sums.

    Args:
        terms: The study.
        aggregate: The round's sum.
        answers: All share sums of the round by hospital; reports are passed over.
        senders: The T hospitals to interpolate from, in MSP order.
        check: The summed key check, 32768 bytes.

    Returns:
        The record.

    Raises:
        KeyNotShortError: A coefficient is above 42 times the contributors.
        KeyCheckError: The key does not open the key check to zero.
    """
    values = {
        answer.point: shares.read_share_sum(answer.share_sum)
        for answer in answers.values()
        if answer.share_sum
    }
    named = {answers[msp].point: values[answers[msp].point] for msp in senders}
    key = shares.interpolate(named)
    contributors = len(aggregate.contributors)
    bound = NOISE_BOUND * contributors
    if int(np.abs(key).max()) > bound:
        raise KeyNotShortError(
            f"the key from {', '.join(senders)} reaches {int(np.abs(key).max())}; a sum of "
            f"{contributors} secrets reaches at most {bound}: one of these share sums is false"
        )
    try:
        shares.check_round_key(
            key,
            sums.validate_ciphertext(check, 1)[0],
            study=terms.study,
            round_number=aggregate.round,
            parameters=round_parameters(terms),
            contributors=contributors,
        )
    except shares.AggregateKeyError:
        raise KeyCheckError(
            f"the key from {', '.join(senders)} does not open the sum of the key checks to zero"
        ) from None
    liars = set(shares.false_senders(values, [answers[msp].point for msp in senders]))
    framing = shares.colluders_to_frame(len(values) - len(liars), terms.threshold)
    return RoundKey(
        study=terms.study,
        round=aggregate.round,
        digest=aggregate.digest,
        key=shares.write_round_key(key),
        senders=tuple(senders),
        false_senders=tuple(sorted(m for m, a in answers.items() if a.point in liars)),
        colluders_to_frame=framing,
    )


def check_late_answer(
    round_key: RoundKey, answers: Mapping[str, ShareSum], msp: str, point: int, content: bytes
) -> None:
    """Check that an answer given after the key was recorded lies on its polynomial.

    Raises:
        FalseShareSumError: It does not.
    """
    proved = {
        answers[sender].point: shares.read_share_sum(answers[sender].share_sum)
        for sender in round_key.senders
    }
    if shares.evaluate_at(proved, point).astype("<u2").tobytes() != content:
        raise FalseShareSumError(
            f"the share sum of {msp} lies off the polynomial of round {round_key.round}'s key"
        )
