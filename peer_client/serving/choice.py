"""Which model a hospital serves: decided on its own validation patients, nothing else.

Candidates: the model trained alone, the federated one, the adapted one, their mixture in equal
parts, and the mixture with the lesion share as one more member. Rule: the mixture, unless the model
trained alone has the higher AUC by patient; then the best of the three models. The mixture with the
lesion share takes its place where it ranks the validation patients better: it does where the label
is the extent of disease, and not where other diseases have lesions too. So nothing is served that
ranks the validation patients worse than what the hospital had alone. Why equal parts and why not
simply the highest: with 20 to 100 validation patients the highest of five is mostly luck
(docs/evidence.md).

Masks come from one model: the one with the best Dice on validation masks; a hospital without masks
takes the federated one, whose decoder learnt from others' masks. The lesion share is of that map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model.decision import Decision, fit_decision
from model.evaluation import auc
from peer_client.evaluation.errors import ChoiceError
from peer_client.evaluation.figures import dice_figures
from peer_client.evaluation.readings import Reading
from peer_client.evaluation.scores import (
    LESIONS,
    EnsembleMember,
    by_lesions,
    equal_mixture,
    mixed_logits,
    mixed_scores,
)

ALONE, FEDERATED, ADAPTED = "alone", "federated", "adapted"
MIXTURE, LESION_MIXTURE = "mixture", "lesion_mixture"
#: Order in which equal models are preferred.
PREFERENCE = (ADAPTED, FEDERATED, ALONE)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a hospital serves, and on what grounds.

    Attributes:
        name: The candidate: "alone", "federated", "adapted", "mixture" or "lesion_mixture".
        members: The models behind it, and the lesion share, with their weights.
        mask_member: The model whose lesion maps are served.
        auc_validation: AUC by patient of every candidate on the validation patients.
        dice_validation: Mean Dice of every model on validation masks; empty without masks.
        decision: From the mixed log odds of slices to a probability and thresholds.
    """

    name: str
    members: tuple[EnsembleMember, ...]
    mask_member: str
    auc_validation: Mapping[str, float]
    dice_validation: Mapping[str, float]
    decision: Decision


def choose(readings: Mapping[str, Reading]) -> Choice:
    """Decide what to serve.

    Args:
        readings: Of the validation patients, by model: "alone" and at least one of "federated" and
            "adapted".

    Returns:
        The choice, calibrated.

    Raises:
        ChoiceError: A reading is missing, or the patients are all of one class.
    """
    if ALONE not in readings or len(readings) < 2:
        raise ChoiceError(f"the candidates are {sorted(readings)}; alone and another are needed")
    figures = {name: dice_figures(reading)["dice_mean"] for name, reading in readings.items()}
    dice = {name: mean for name, mean in figures.items() if mean is not None}
    mask_member = _mask_member(dice, readings)
    readings = with_lesions(readings, mask_member)
    candidates = candidates_of(readings)
    scores = {name: mixed_scores(members, readings) for name, members in candidates.items()}
    if len(set(scores[ALONE].labels.tolist())) < 2:
        raise ChoiceError("all validation patients are of one class")
    found = {name: auc(each.labels, each.scores) for name, each in scores.items()}
    chosen = decided(found)
    return Choice(
        name=chosen,
        members=candidates[chosen],
        mask_member=mask_member,
        auc_validation=found,
        dice_validation=dice,
        decision=_decision(candidates[chosen], readings),
    )


def with_lesions(readings: Mapping[str, Reading], mask_member: str) -> dict[str, Reading]:
    """Return the models' readings, and the one by the lesion share of the mask member's maps."""
    return {**readings, LESIONS: by_lesions(readings[mask_member])}


def candidates_of(readings: Mapping[str, Reading]) -> dict[str, tuple[EnsembleMember, ...]]:
    """Return every candidate's members: each model by itself, all in equal parts, with lesions.

    Args:
        readings: Of the validation patients, by model and of the lesion share (`with_lesions`).
    """
    names = [name for name in (ALONE, FEDERATED, ADAPTED) if name in readings]
    single = {name: equal_mixture(readings, [name]) for name in names}
    return {
        **single,
        MIXTURE: equal_mixture(readings, names),
        LESION_MIXTURE: equal_mixture(readings, [*names, LESIONS]),
    }


def decided(auc_validation: Mapping[str, float]) -> str:
    """Return the candidate that the rule picks.

    >>> models = {"alone": 0.7, "federated": 0.9, "adapted": 0.8}
    >>> decided({**models, "mixture": 0.75, "lesion_mixture": 0.74})
    'mixture'
    >>> decided({**models, "mixture": 0.75, "lesion_mixture": 0.76})
    'lesion_mixture'
    >>> decided({"alone": 0.8, "federated": 0.6, "adapted": 0.85, "mixture": 0.75,
    ...          "lesion_mixture": 0.7})
    'adapted'
    """
    found = MIXTURE
    if auc_validation[MIXTURE] < auc_validation[ALONE]:
        best = max(auc_validation.get(name, 0.0) for name in PREFERENCE)
        found = next(name for name in PREFERENCE if auc_validation.get(name) == best)
    if auc_validation[LESION_MIXTURE] > auc_validation[found]:
        return LESION_MIXTURE
    return found


def _decision(members: Sequence[EnsembleMember], readings: Mapping[str, Reading]) -> Decision:
    first = readings[members[0].name]
    logits = mixed_logits(members, {each.name: readings[each.name].logits for each in members})
    return fit_decision(first.patients, logits, first.labels)


def _mask_member(dice: Mapping[str, float], readings: Mapping[str, Reading]) -> str:
    if not dice:
        return FEDERATED if FEDERATED in readings else ADAPTED
    best = max(dice.values())
    return next(name for name in (ADAPTED, FEDERATED, ALONE) if dice.get(name) == best)
