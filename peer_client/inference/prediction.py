"""What `predict` says of one patient, as plain values: one row a slice, and the patient as a whole.

Every figure that an input cannot give is None, with no stand-in: pictures have no spacing, so no
millilitres; a slice without lungs was not read. Every result says "Research use, not a diagnosis".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from peer_client.serving.patient import POINTS, PatientAnswer
from peer_client.studies.wording import RESEARCH_USE


@dataclass(frozen=True, slots=True)
class SliceResult:
    """What is said of one slice.

    Attributes:
        name: File name, or the slice's position in its volume, from 0.
        lung_found: Whether lungs were found; a slice without them is not read.
        reason: Why not; empty where found.
        score: Log odds, what a patient's score is the mean of.
        probability: The score on the patient's scale: to compare slices of one patient by.
        lesion_percent: Lesion in the lung of this slice, in percent.
        mask: File of the lesion mask, empty where none was written.
    """

    name: str
    lung_found: bool
    reason: str = ""
    score: float | None = None
    probability: float | None = None
    lesion_percent: float | None = None
    mask: str = ""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is said of one patient.

    Attributes:
        input: What was read.
        model: What read it and decided.
        answer: Probability with its note, and calls.
        lesion_percent: Lesion in the lung, over all slices with lungs, in percent.
        lesion_ml: Volume of the lesion in millilitres; None where spacing is not known.
        lung_ml: Volume of the lungs with their lesions, where slices show them; None likewise.
        slices: One row each, also those without lungs in a folder of pictures.
        slices_given: Slices of the input.
        slices_read: Those with lungs, which the answer rests on.
        files: What was written.
        passed_over: What lay in the input folder and was not read, each with its reason.
        use: What this is not.
    """

    input: str
    model: str
    answer: PatientAnswer
    lesion_percent: float
    lesion_ml: float | None
    lung_ml: float | None
    slices: tuple[SliceResult, ...]
    slices_given: int
    slices_read: int
    files: tuple[str, ...]
    passed_over: tuple[str, ...] = ()
    use: str = RESEARCH_USE

    def to_json(self) -> dict[str, Any]:
        """Return plain values, the answer's own among the others."""
        values = asdict(self)
        return {**values.pop("answer"), **values}

    @property
    def lesion_text(self) -> str:
        """Return the lesion's share and volume in words."""
        share = f"{self.lesion_percent:.1f} % of the lung"
        if self.lesion_ml is None or self.lung_ml is None:
            return f"{share} (no volume: the spacing is not known)"
        return f"{share}: {self.lesion_ml:.0f} of {self.lung_ml:.0f} ml"

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Return what people are told of the patient, as names and values."""
        answer = self.answer
        against = f" (against {answer.against})" if answer.against else ""
        lines = [("model", self.model)]
        lines.append((f"probability of {answer.finding}", f"{answer.probability:.3f}{against}"))
        lines.append(("what it rests on", answer.note))
        for name, call in answer.calls.items():
            said = answer.finding if call.positive else f"not {answer.finding}"
            reached = f"sensitivity {call.sensitivity:.2f}, specificity {call.specificity:.2f}"
            lines.append((f"at {POINTS[name]}", f"{said} (on validation patients: {reached})"))
        lines.append(("rule", f"{answer.rule}, {self.slices_read} of {self.slices_given} slices"))
        lines.append(("lesion", self.lesion_text))
        lines += [("passed over", each) for each in self.passed_over]
        return lines
