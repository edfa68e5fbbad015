"""From slices to one score for each patient, and from several models to one score.

Rule: a patient's score is the mean log odds of the patient's slices. A mixture adds the scores of
its members, each centred and scaled by what it gave the validation patients, with fixed weights.
The lesion share may be a member beside the models: its score of a slice is the logarithm.
Pure numpy; thresholds and probabilities come later (`model.calibration`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.evaluation import PatientScores, patient_scores
from peer_client.evaluation.errors import ChoiceError
from peer_client.evaluation.readings import LEAST_SHARE, Reading

#: What the rule is called in results.
PATIENT_RULE = "mean log odds of the patient's slices"
#: The member that is no model but the lesion share of the served lesion map.
LESIONS: Final = "lesions"


@dataclass(frozen=True, slots=True)
class EnsembleMember:
    """One model of a mixture, and how its scores are brought to the others' scale.

    Attributes:
        name: "alone", "federated", "adapted", or "lesions".
        weight: Its share, above 0; the shares of a mixture add up to 1.
        centre: Mean score of the validation patients.
        spread: Standard deviation of their scores, above 0.
    """

    name: str
    weight: float
    centre: float
    spread: float


def by_patient(reading: Reading, *, top_share: float = 1.0) -> PatientScores:
    """Return each patient's score and label, sorted by patient (see `model.decision`)."""
    return patient_scores(reading.patients, reading.logits, reading.labels, top_share=top_share)


def lesion_scores(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what lesion shares of slices say, as a member's scores, same shape.

    Args:
        share: Mean lesion probability over each slice, in [0, 1].

    >>> lesion_scores(np.array([0.0, 0.0999])).round(2).tolist()
    [-9.21, -2.3]
    """
    result: NDArray[np.float64] = np.log(share + LEAST_SHARE)
    return result


def by_lesions(reading: Reading) -> Reading:
    """Return a reading that scores slices by their lesion share."""
    return replace(reading, logits=lesion_scores(reading.lesion_share))


def equal_mixture(
    readings: Mapping[str, Reading], names: Sequence[str]
) -> tuple[EnsembleMember, ...]:
    """Return members with equal weights, scaled on validation patients.

    Args:
        readings: By member's name, of the validation patients.
        names: The members to mix, at least one.

    Raises:
        ChoiceError: A member has no reading.
    """
    members = []
    for name in names:
        if name not in readings:
            raise ChoiceError(f"member {name!r} has not read the validation patients")
        scores = by_patient(readings[name]).scores
        spread = float(scores.std())
        members.append(EnsembleMember(name, 1 / len(names), float(scores.mean()), spread or 1.0))
    return tuple(members)


def mixed_logits(
    members: Sequence[EnsembleMember], logits: Mapping[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Mix slices' log odds.

    The mixture is linear, so mixing slices and averaging over a patient gives what averaging each
    member first would.

    Args:
        members: The mixture.
        logits: By member's name, float64, each of shape `(n,)`.

    Returns:
        float64, shape `(n,)`.

    >>> members = (EnsembleMember("alone", 0.5, 1.0, 2.0), EnsembleMember("adapted", 0.5, 0.0, 1.0))
    >>> mixed_logits(members, {"alone": np.array([3.0]), "adapted": np.array([-1.0])}).tolist()
    [0.0]
    """
    total = np.zeros(len(logits[members[0].name]))
    for member in members:
        total += member.weight * (logits[member.name] - member.centre) / member.spread
    return total


def mixed_scores(
    members: Sequence[EnsembleMember], readings: Mapping[str, Reading]
) -> PatientScores:
    """Return each patient's score under a mixture.

    Args:
        members: The mixture.
        readings: By member's name, all of the same slices.

    Raises:
        ChoiceError: The readings are not of the same slices.
    """
    first = readings[members[0].name]
    for member in members:
        if readings[member.name].patients != first.patients:
            raise ChoiceError("the members of a mixture have read different slices")
    logits = {member.name: readings[member.name].logits for member in members}
    return patient_scores(first.patients, mixed_logits(members, logits), first.labels)
