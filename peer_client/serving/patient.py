"""What a model says of one patient: a probability with its note, and calls at thresholds.

For `predict`: the slices of one patient (of a volume: those with lungs) become one score by the
model's own rule. A plain exported network has nothing fitted; its answer says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.calibration import OperatingPoint
from peer_client.evaluation.scores import PATIENT_RULE
from peer_client.serving.predictor import Predictor

NOT_CALIBRATED = (
    "not calibrated: this file carries no validation patients' fit; the number ranks, it does not "
    "count"
)
#: The stored operating points, by their names in results, and what people are told.
POINTS: Final = {
    "balanced": "best balanced accuracy",
    "sensitivity_90": "90 % sensitivity",
    "specificity_90": "90 % specificity",
}


@dataclass(frozen=True, slots=True)
class Call:
    """What is called at one operating point.

    Attributes:
        positive: Whether the patient's score reaches the point's threshold.
        sensitivity: What the point reached on the validation patients it was chosen on.
        specificity: The same.
    """

    positive: bool
    sensitivity: float
    specificity: float


@dataclass(frozen=True, slots=True)
class PatientAnswer:
    """What is said of a patient.

    Attributes:
        finding: What the probability is of (label 1).
        against: What it was learnt against (label 0); empty where that is not known.
        probability: Of the finding, in [0, 1].
        calibrated: Whether it was fitted on validation patients.
        note: What the probability rests on.
        calls: For each stored operating point (`POINTS`) whether the patient is called positive;
            empty where nothing was fitted.
        served: Which of the hospital's candidates decides: "alone", "federated", "adapted",
            "mixture" or "lesion_mixture"; empty for a plain network.
        members: Whose scores are mixed: models, and "lesions", the lesion share; empty for a
            plain network.
        rule: How slices became a patient.
    """

    finding: str
    against: str
    probability: float
    calibrated: bool
    note: str
    calls: Mapping[str, Call]
    served: str
    members: tuple[str, ...]
    rule: str = PATIENT_RULE

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def patient_answer(predictor: Predictor, logits: NDArray[np.float64]) -> PatientAnswer:
    """Decide on one patient.

    Args:
        predictor: The model.
        logits: Of the patient's slices, as `Predictor.read_images` gives them, shape `(n,)`.

    Raises:
        EvaluationError: There is no slice.
    """
    decision = predictor.decision
    score = decision.patient_score(logits)
    probability = float(decision.calibration.probability([score])[0])
    finding, against = predictor.labels.positive, predictor.labels.negative
    if predictor.served is None:
        return PatientAnswer(finding, against, probability, False, NOT_CALIBRATED, {}, "", ())
    calibration, choice = decision.calibration, predictor.served.choice

    def call(point: OperatingPoint) -> Call:
        return Call(score >= point.threshold, point.sensitivity, point.specificity)

    return PatientAnswer(
        finding=finding,
        against=against,
        probability=probability,
        calibrated=True,
        note=(
            f"calibrated on {calibration.patients} validation patients of {predictor.name}, of "
            f"whom {100 * calibration.prevalence:.0f} % had the finding; holds for that mix only"
        ),
        calls={
            "balanced": call(decision.balanced),
            "sensitivity_90": call(decision.sensitive),
            "specificity_90": call(decision.specific),
        },
        served=choice.name,
        members=tuple(member.name for member in choice.members),
    )
