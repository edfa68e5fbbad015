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
from peer_client.evaluation.readings import Reading, read_slices
from peer_client.evaluation.scores import LESIONS, lesion_scores, mixed_logits
from peer_client.evaluation.views import (
    Progress,
    averaged_over_views,
    log_odds,
    mirrored_log_odds,
    part_of,
)
from peer_client.serving.exported import exported_facts
from peer_client.serving.manifest import TrainingManifest
from peer_client.serving.served import LabelScheme, ServedModel, load_served, read_facts

if TYPE_CHECKING:
    from model.network import SliceNetwork

#: Even odds: nothing was fitted, so the points have reached nothing anywhere.
NOT_FITTED = OperatingPoint(0.0, float("nan"), float("nan"))
#: What a network without facts learnt to tell apart.
UNKNOWN_LABELS = LabelScheme("COVID-19", "")
EVEN_ODDS = Decision(1.0, Calibration(1.0, 0.0, 0, 0.5), NOT_FITTED, NOT_FITTED, NOT_FITTED)


@dataclass(frozen=True, slots=True, eq=False)
class Predictor:
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
        self,
        images: NDArray[np.float32],
        few: NDArray[np.bool_] | None = None,
        progress: Progress | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Read slices with every member that is needed.

        Args:
            images: float32, shape `(n, size_px, size_px, 1)`, at least one slice.
            few: Which slices are read in all views, bool, shape `(n,)`
                (`peer_client.evaluation.views`); None: none.
            progress: Told (slices done, slices); all members together read them once.

        Returns:
            Mixed log odds, float64, shape `(n,)`, and the mask member's lesion probabilities,
            float32, shape `(n, size_px, size_px)`.
        """
        from model.prediction import predict
        from model.weights import set_vector

        served = self.served
        # A model reads the slices once as they are, and some of them once more in all views.
        times = 1 if few is None or not few.any() else 2
        if served is None:
            probabilities, lesion = predict(self.net, images, progress=part_of(progress, 0, times))
            told = part_of(progress, 1, times)
            return averaged_over_views(self.net, images, log_odds(probabilities), few, told), lesion
        mapped, members = served.choice.mask_member, served.choice.members
        names = [member.name for member in members if member.name not in (mapped, LESIONS)]
        parts = times * (1 + len(names))
        set_vector(self.net, served.vectors[mapped])
        probabilities, lesion = predict(self.net, images, progress=part_of(progress, 0, parts))
        share = lesion.mean((1, 2), dtype=np.float64)
        logits = {mapped: log_odds(probabilities), LESIONS: lesion_scores(share)}
        if any(member.name == mapped for member in members):
            told = part_of(progress, 1, parts)
            logits[mapped] = averaged_over_views(self.net, images, logits[mapped], few, told)
        for place, name in enumerate(names, start=1):
            set_vector(self.net, served.vectors[name])
            told = part_of(progress, times * place, parts)
            first = mirrored_log_odds(self.net, images, told)
            told = part_of(progress, times * place + 1, parts)
            logits[name] = averaged_over_views(self.net, images, first, few, told)
        return mixed_logits(members, logits), lesion

    def read(self, slices: SliceSet, progress: Progress | None = None) -> Reading:
        """Read the slices of some patients; see `read_images`."""
        return read_slices(lambda images, few: self.read_images(images, few, progress), slices)


def open_predictor(path: Path) -> Predictor:
    """Open a model file: a served model, or a plain network without what a hospital adds.

    Raises:
        ServedModelError: Files beside it are damaged or belong to another model.
        ModelFileError: The Keras file is absent or damaged.
    """
    from model.files import load

    if read_facts(path) is not None:
        served = load_served(path)
        return Predictor(served.hospital, served.net, served)
    facts = exported_facts(path)
    if facts is None:
        return Predictor(path.stem, load(path), None)
    labels = LabelScheme(facts.label_positive, facts.label_negative)
    return Predictor(path.stem, load(path), None, labels)
