"""Figures of validation patients on the ledger: how sharp they may be, and the vote they give.

Figures over a handful of validation patients reveal single patients: an AUC is a fraction whose
parts can be guessed, and sharp figures of many known models give away the order of the patients'
scores. So a figure has two decimals and no interval. Hospitals round by these rules, and the
contract checks by the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: AUC by patient of the round's parent and of the new model, millionths.
AUC_BEFORE: Final = "auc_before"
AUC_AFTER: Final = "auc_after"
#: Two decimals, in millionths.
STEP_PPM: Final = 10_000
#: Metrics that are numbers of something, not fractions in millionths.
NUMBERS: Final = frozenset({"served", "served_masks", "validation_patients"})


def is_bound(name: str) -> bool:
    """Return whether a metric is the bound of an interval.

    >>> is_bound("auc_low_before"), is_bound("auc_before")
    (True, False)
    """
    return "_low" in name or "_high" in name


def vote_of(metrics_ppm: Mapping[str, int], margin_ppm: int) -> int:
    """Return the vote that figures give: 1 where the AUC did not fall by more than the margin.

    >>> vote_of({"auc_before": 800_000, "auc_after": 750_000}, 50_000)
    1
    """
    return int(metrics_ppm[AUC_AFTER] >= metrics_ppm[AUC_BEFORE] - margin_ppm)
