"""What a simulation has to show for each hospital."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from peer_client.evaluation.figures import PartFigures


@dataclass(frozen=True, slots=True)
class HospitalResult:
    """What one hospital has in the end.

    Attributes:
        hospital: Its name.
        serves: "alone", "federated", "adapted", "mixture" or "lesion_mixture".
        auc_validation: By candidate, on validation patients (what the choice rests on).
        dice_validation: By model, on validation masks.
        test: Figures of what is served, on test patients.
        test_alone: Figures of the model trained alone, on the same patients.
        model: The served model's file, relative to the output folder.
    """

    hospital: str
    serves: str
    auc_validation: Mapping[str, float]
    dice_validation: Mapping[str, float]
    test: PartFigures
    test_alone: PartFigures
    model: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "hospital": self.hospital,
            "serves": self.serves,
            "auc_validation": dict(self.auc_validation),
            "dice_validation": dict(self.dice_validation),
            "test": self.test.to_json(),
            "test_alone": self.test_alone.to_json(),
            "model": self.model,
        }
