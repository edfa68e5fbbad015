"""What a model says of one patient: a probability with its note, and calls at thresholds.

For `predict`: the slices of one patient (of a volume: those with lungs) become one score by the
model's own rule. A plain exported network has nothing fitted; its answer says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peer_client.personal.reading import Decider

NOT_CALIBRATED = (
    "not calibrated: this file carries no validation patients' fit; the number ranks, it does not "
    "count"
)


@dataclass(frozen=True, slots=True)
class PatientAnswer:
    """What is said of a patient.

    Attributes:
        probability: Of the finding, in [0, 1].
        calibrated: Whether it was fitted on validation patients.
        note: What the probability rests on.
        calls: For each stored threshold whether the patient is called positive; empty where
            nothing was fitted.
        served: Which of the hospital's candidates decides; empty for a plain network.
    """

    probability: float
    calibrated: bool
    note: str
    calls: Mapping[str, bool]
    served: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def patient_answer(decider: Decider, logits: NDArray[np.float64]) -> PatientAnswer:
    """Decide on one patient.

    Args:
        decider: The model.
        logits: Of the patient's slices, as `Decider.read_images` gives them, shape `(n,)`.

    Raises:
        EvaluationError: There is no slice.
    """
    decision = decider.decision
    score = decision.patient_score(logits)
    probability = float(decision.calibration.probability([score])[0])
    if decider.served is None:
        return PatientAnswer(probability, False, NOT_CALIBRATED, {}, "")
    calibration = decision.calibration
    return PatientAnswer(
        probability=probability,
        calibrated=True,
        note=(
            f"calibrated on {calibration.patients} validation patients of {decider.name}, of whom "
            f"{100 * calibration.prevalence:.0f} % had the finding; holds for that mix only"
        ),
        calls={
            "balanced": score >= decision.balanced.threshold,
            "90 % sensitivity": score >= decision.sensitive.threshold,
            "90 % specificity": score >= decision.specific.threshold,
        },
        served=decider.served.choice.name,
    )
