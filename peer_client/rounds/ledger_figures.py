"""What a hospital puts on the ledger of its validation patients: as little as the vote needs.

Figures go there with two decimals and without intervals (`chaincode.records.figures` says why), and
none at all where a class has fewer than ten validation patients. What a hospital keeps for itself
(`facts.json`) is exact. Without figures the hospital states its vote alone.

    auc_before        AUC by patient of the round's parent; auc_after of the new model; these decide
    dice_before       mean Dice on the validation masks, and dice_after, from ten patients on
    served            0 federated, without a choice; 1 alone; 2 federated; 3 adapted; 4 mixture;
                      5 mixture with the lesion share
    served_masks      whose lesion masks it serves, by the same numbers
    auc_<candidate>   AUC by patient on the hospital's validation patients: alone, federated,
                      adapted, mixture, lesion_mixture
    dice_<model>      mean Dice on its validation masks: alone, federated, adapted

Nothing else of a hospital's own models leaves it. Plain values only, so that an audit that shows
them loads no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chaincode.records.figures import NUMBERS, STEP_PPM, is_bound

#: Candidates by their number on the ledger.
CANDIDATES: Final = ("unchosen", "alone", "federated", "adapted", "mixture", "lesion_mixture")
#: Those that are models, and so may have a Dice; head of the column of `candidates_text`.
MODELS: Final = CANDIDATES[1:4]
CANDIDATES_HEAD: Final = "on validation: alone, federated, adapted, mixture, with lesion share"
#: Validation patients by kind: counts that stay at the hospital.
POSITIVE: Final = "validation_positive"
NEGATIVE: Final = "validation_negative"
MASKED: Final = "validation_masks"
_OF_KINDS: Final = frozenset({POSITIVE, NEGATIVE, MASKED})
#: Metrics that are counts or numbers of something, not millionths.
COUNTS: Final = NUMBERS | _OF_KINDS
#: Fewest validation patients of a class, or with masks, for a figure of them to leave the hospital.
PATIENTS_MIN: Final = 10
#: What a hospital says whose validation patients cannot decide, or who had no time to ask them.
UNCHOSEN: Final[Mapping[str, int]] = {"served": 0}

#: What is shown of a hospital that confirmed without figures.
TOO_FEW: Final = f"not told: fewer than {PATIENTS_MIN} validation patients of a class"


def ledger_ppm(exact_ppm: Mapping[str, int]) -> dict[str, int]:
    """Return the figures that leave a hospital, from the exact ones that it keeps.

    Args:
        exact_ppm: In millionths, with the counts of validation patients by kind.

    >>> exact = {"auc_before": 804_999, "auc_low_before": 700_000, "dice_after": 512_345}
    >>> ledger_ppm(exact | {POSITIVE: 10, NEGATIVE: 12, MASKED: 9})
    {'auc_before': 800000}
    >>> ledger_ppm(exact | {POSITIVE: 10, NEGATIVE: 9, MASKED: 9})
    {}
    """
    if min(exact_ppm.get(POSITIVE, 0), exact_ppm.get(NEGATIVE, 0)) < PATIENTS_MIN:
        return {}
    few_masks = exact_ppm.get(MASKED, 0) < PATIENTS_MIN

    def leaves(name: str) -> bool:
        few = few_masks and name.startswith("dice_")
        return not (name in _OF_KINDS or is_bound(name) or few)

    return {
        name: value if name in COUNTS else STEP_PPM * round(value / STEP_PPM)
        for name, value in sorted(exact_ppm.items())
        if leaves(name)
    }


def in_words(candidate: str) -> str:
    """Return a candidate as people are told of it.

    >>> in_words("lesion_mixture")
    'lesion mixture'
    """
    return candidate.replace("_", " ")


def choice_ppm(
    served: str,
    mask_member: str,
    auc_validation: Mapping[str, float],
    dice_validation: Mapping[str, float],
) -> dict[str, int]:
    """Return a choice as the metrics of a confirmation.

    >>> choice_ppm("mixture", "alone", {"alone": 0.5, "mixture": 0.75}, {})
    {'served': 4, 'served_masks': 1, 'auc_alone': 500000, 'auc_mixture': 750000}
    """
    figures = {f"auc_{name}": value for name, value in auc_validation.items()}
    figures |= {f"dice_{name}": value for name, value in dice_validation.items()}
    numbers = {
        "served": CANDIDATES.index(served),
        "served_masks": CANDIDATES.index(mask_member),
    }
    return numbers | {name: round(1e6 * value) for name, value in figures.items()}


def is_of_choice(metric: str) -> bool:
    """Return whether a metric is one of a choice, not of the vote.

    >>> is_of_choice("auc_adapted"), is_of_choice("served"), is_of_choice("auc_after")
    (True, True, False)
    """
    return metric.startswith("served") or metric.split("_", 1)[-1] in CANDIDATES


def served_text(metrics_ppm: Mapping[str, int]) -> str:
    """Return what the metrics of a confirmation say about the choice, in words; "" for nothing.

    >>> served_text({"served": 3, "auc_adapted": 812345, "auc_alone": 790000})
    'adapted 0.81 (alone 0.79)'
    >>> served_text({"served": 1, "auc_alone": 790000}), served_text({"served": 0})
    ('alone 0.79', 'federated, not chosen')
    """
    number = metrics_ppm.get("served")
    if number is None or not 0 <= number < len(CANDIDATES):
        return ""
    name = CANDIDATES[number]
    if name == "unchosen":
        return "federated, not chosen"
    auc = metrics_ppm.get(f"auc_{name}")
    alone = metrics_ppm.get("auc_alone")
    words = in_words(name)
    text = words if auc is None else f"{words} {auc / 1e6:.2f}"
    return text if alone is None or name == "alone" else f"{text} (alone {alone / 1e6:.2f})"


def candidates_text(metrics_ppm: Mapping[str, int]) -> str:
    """Return the candidates' AUC, and Dice where there is one, in the order of their numbers.

    >>> candidates_text({"auc_alone": 700000, "dice_alone": 512000, "auc_mixture": 750000})
    'AUC 0.70, -, -, 0.75, -; Dice 0.51, -, -'
    """
    parts = []
    for kind, label, names in (("auc", "AUC", CANDIDATES[1:]), ("dice", "Dice", MODELS)):
        found = [metrics_ppm.get(f"{kind}_{name}") for name in names]
        if any(value is not None for value in found):
            shown = ["-" if value is None else f"{value / 1e6:.2f}" for value in found]
            parts.append(f"{label} {', '.join(shown)}")
    return "; ".join(parts)
