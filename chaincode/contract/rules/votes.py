"""What a confirmation may say, and the vote that follows from it.

Figures have two decimals and no interval (`chaincode.records.figures` says why), and a hospital
with too few patients of a class sends its vote alone.
"""

from __future__ import annotations

from chaincode.records.errors import (
    MetricsError,
    MetricsTooSharpError,
    ParentModelError,
    VoteError,
)
from chaincode.records.figures import (
    AUC_AFTER,
    AUC_BEFORE,
    NUMBERS,
    STEP_PPM,
    is_bound,
    vote_of,
)
from chaincode.records.round import ConfirmationClaim, Round
from chaincode.records.study import Study


def check_vote(claim: ConfirmationClaim, round_record: Round, terms: Study) -> int:
    """Return a hospital's vote: 1 when its AUC did not fall by more than the study's margin.

    Raises:
        ParentModelError: The model was made from another parent.
        MetricsError: ``auc_before`` or ``auc_after`` is missing or not in [0, 1000000].
        MetricsTooSharpError: A figure has more than two decimals, or is an interval's bound.
        VoteError: The vote claimed is not the one that the metrics give.
    """
    if claim.parent_sha256 != round_record.parent_sha256:
        raise ParentModelError(
            f"round {round_record.round} starts from model {round_record.parent_sha256}, "
            "not from the one named"
        )
    if not claim.metrics_ppm:
        return claim.vote
    _check_metrics(claim)
    vote = vote_of(claim.metrics_ppm, terms.gate_margin_ppm)
    if claim.vote != vote:
        before, after = (claim.metrics_ppm[name] for name in (AUC_BEFORE, AUC_AFTER))
        raise VoteError(
            f"the vote is {claim.vote}, but {AUC_BEFORE} {before}, {AUC_AFTER} {after} and the "
            f"margin {terms.gate_margin_ppm} give {vote}"
        )
    return vote


def _check_metrics(claim: ConfirmationClaim) -> None:
    values = [claim.metrics_ppm.get(name, -1) for name in (AUC_BEFORE, AUC_AFTER)]
    if not all(0 <= value <= 1_000_000 for value in values):
        raise MetricsError(
            f"{AUC_BEFORE} and {AUC_AFTER} must be there, from 0 to 1000000 (millionths)"
        )
    for name, value in claim.metrics_ppm.items():
        if is_bound(name):
            raise MetricsTooSharpError(f"{name} is the bound of an interval; bounds stay at home")
        if name not in NUMBERS and value % STEP_PPM:
            raise MetricsTooSharpError(
                f"{name} is {value} millionths; figures leave a hospital in steps of {STEP_PPM}"
            )
