"""Let a served model, or a plain exported network, read slices and decide on patients.

A served model reads with each of its members and mixes their log odds; lesion maps come from its
mask member. A plain network decides at even odds, uncalibrated, and knows of no training manifest:
results say so. What an exported file's facts say of its labels is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model.calibration import Calibration, OperatingPoint
from model.decision import Decision
from peer_client.ct.cohort import SliceSet
from peer_client.evaluation.readings import Progress, Reading, log_odds, read_slices
from peer_client.models import exported_facts
from peer_client.personal.manifest import TrainingManifest
from peer_client.personal.scores import LESIONS, lesion_scores, mixed_logits
from peer_client.personal.served import LabelScheme, ServedModel, load_served, read_facts

if TYPE_CHECKING:
    from model.network import SliceNetwork

#: Even odds: nothing was fitted, so the points have reached nothing anywhere.
NOT_FITTED = OperatingPoint(0.0, float("nan"), float("nan"))
#: What a network without facts learnt to tell apart.
UNKNOWN_LABELS = LabelScheme("COVID-19", "")
EVEN_ODDS = Decision(1.0, Calibration(1.0, 0.0, 0, 0.5), NOT_FITTED, NOT_FITTED, NOT_FITTED)


@dataclass(frozen=True, slots=True, eq=False)
class Decider:
    """A model as `evaluate` and `predict` need it.

    Attributes:
        name: For results.
        net: The network.
        served: How it decides; None for a plain network.
        plain_labels: What a plain network's labels mean.
    """

    name: str
    net: SliceNetwork
    served: ServedModel | None
    plain_labels: LabelScheme = UNKNOWN_LABELS

    @property
    def manifest(self) -> TrainingManifest | None:
        """What the model has seen, where that is known."""
        return self.served.manifest if self.served is not None else None

    @property
    def decision(self) -> Decision:
        """Probability and thresholds; of a plain network even odds, uncalibrated."""
        return self.served.choice.decision if self.served is not None else EVEN_ODDS

    @property
    def labels(self) -> LabelScheme:
        """What its two labels mean."""
        return self.served.labels if self.served is not None else self.plain_labels

    @property
    def description(self) -> str:
        """What reads and decides, for people."""
        if self.served is None:
            return f"{self.name}: one network, nothing fitted to validation patients"
        choice = self.served.choice
        names = ", ".join(member.name for member in choice.members)
        what = f"mixture of {names}" if len(choice.members) > 1 else f"the {choice.name} one"
        return f"{self.name} serves {what}; masks of the {choice.mask_member} one"

    def read_images(
        self, images: NDArray[np.float32], progress: Progress | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Read slices with every member that is needed.

        Args:
            images: float32, shape `(n, size_px, size_px, 1)`, at least one slice.
            progress: Told (slices done, slices); all members together read them once.

        Returns:
            Mixed log odds, float64, shape `(n,)`, and the mask member's lesion probabilities,
            float32, shape `(n, size_px, size_px)`.
        """
        from model.prediction import predict
        from model.weights import set_vector

        served = self.served
        others: list[str] = []
        if served is not None:
            set_vector(self.net, served.vectors[served.choice.mask_member])
            names = (member.name for member in served.choice.members)
            others = [name for name in names if name not in (served.choice.mask_member, LESIONS)]
        telling = [_part_of(progress, place, 1 + len(others)) for place in range(1 + len(others))]
        probabilities, lesion = predict(self.net, images, progress=telling[0])
        first = log_odds(probabilities)
        if served is None:
            return first, lesion
        share = lesion.mean((1, 2), dtype=np.float64)
        logits = {served.choice.mask_member: first, LESIONS: lesion_scores(share)}
        for name, told in zip(others, telling[1:], strict=True):
            set_vector(self.net, served.vectors[name])
            logits[name] = _log_odds_alone(self.net, images, told)
        return mixed_logits(served.choice.members, logits), lesion

    def read(self, slices: SliceSet, progress: Progress | None = None) -> Reading:
        """Read the slices of some patients; see `read_images`."""
        return read_slices(lambda images: self.read_images(images, progress), slices)


def open_decider(path: Path) -> Decider:
    """Open a model file: a served model, or a plain network without what a hospital adds.

    Raises:
        ServedModelError: Files beside it are damaged or belong to another model.
        ModelFileError: The Keras file is absent or damaged.
    """
    from model.files import load

    if read_facts(path) is not None:
        served = load_served(path)
        return Decider(served.hospital, served.net, served)
    facts = exported_facts(path)
    if facts is None:
        return Decider(path.stem, load(path), None)
    labels = LabelScheme(facts.label_positive, facts.label_negative)
    return Decider(path.stem, load(path), None, labels)


def _log_odds_alone(
    net: SliceNetwork, images: NDArray[np.float32], told: Progress | None
) -> NDArray[np.float64]:
    """Return the log odds that `predict` would give, without its maps: two to three times as fast.

    What a member's centre and spread were fitted to is the mean probability of a slice and its
    mirror image; the mean of their log odds is another number.
    """
    from model.prediction import predict_scores

    def probabilities(pictures: NDArray[np.float32], place: int) -> NDArray[np.float64]:
        half = _part_of(told, place, 2)
        scores = predict_scores(net, pictures, flips=False, progress=half).astype(np.float64)
        result: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * scores))
        return result

    both = probabilities(images, 0) + probabilities(images[:, :, ::-1], 1)
    return log_odds((both / 2).astype(np.float32))


def _part_of(progress: Progress | None, place: int, parts: int) -> Progress | None:
    """Return what one of several readings of the same slices tells its progress to."""
    if progress is None:
        return None
    return lambda done, total: progress((place * total + done) // parts, total)
