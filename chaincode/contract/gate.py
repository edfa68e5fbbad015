"""The gate: whether a round's model is published.

A model is published when T hospitals computed the same digest and a majority of the hospitals
that are not suspended voted for that very model. It is rejected when that can no longer come
about, or when the answer deadline has passed without it. Votes come from
`chaincode.contract.rules.votes`; the order in which confirmations arrive never matters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chaincode.records.errors import GateUndecidedError, TooFewConfirmationsError
from chaincode.records.round import Confirmation
from chaincode.records.study import Study


@dataclass(frozen=True, slots=True)
class GateDecision:
    """Outcome of the gate: the model's digest when published, the reason when rejected."""

    model_sha256: str
    reason: str

    @property
    def published(self) -> bool:
        """Whether the model is published."""
        return bool(self.model_sha256)


def decide(
    terms: Study,
    active: Sequence[str],
    confirmations: Mapping[str, Confirmation],
    *,
    deadline_over: bool,
) -> GateDecision:
    """Decide a round's model.

    Args:
        terms: The study; its threshold T is the number of equal digests needed.
        active: Hospitals that are not suspended; they vote.
        confirmations: By hospital.
        deadline_over: Whether the round need wait no longer.

    Returns:
        The decision.

    Raises:
        TooFewConfirmationsError: Fewer than T equal digests, and more may come.
        GateUndecidedError: T equal digests, but the votes may still go either way.
    """
    digests = Counter(c.model_sha256 for c in confirmations.values())
    model, equal = max(digests.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    awaited = [msp for msp in terms.msps if msp not in confirmations]
    if equal < terms.threshold:
        if equal + len(awaited) >= terms.threshold and not deadline_over:
            raise TooFewConfirmationsError(
                f"{equal} equal model digests, {terms.threshold} are needed"
            )
        return GateDecision("", f"{equal} equal model digests, {terms.threshold} were needed")
    votes = [msp for msp in active if msp in confirmations and _for(confirmations[msp], model)]
    open_votes = [msp for msp in active if msp in awaited]
    needed = len(active) // 2 + 1
    if len(votes) >= needed:
        return GateDecision(model, "")
    if len(votes) + len(open_votes) >= needed and not deadline_over:
        raise GateUndecidedError(
            f"{len(votes)} of {len(active)} hospitals voted for the model, {needed} are needed"
        )
    return GateDecision(
        "", f"{len(votes)} of {len(active)} hospitals voted for the model, {needed} were needed"
    )


def _for(confirmation: Confirmation, model: str) -> bool:
    return confirmation.model_sha256 == model and confirmation.vote == 1
