"""Let a served model, or a plain exported network, read slices and decide on patients.

A served model reads with each of its members and mixes their log odds; lesion maps come from its
mask member. A plain network decides at even odds, uncalibrated, and knows of no training manifest:
results say so.
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
from peer_client.personal.manifest import TrainingManifest
from peer_client.personal.scores import mixed_logits
from peer_client.personal.served import ServedModel, load_served, read_facts

if TYPE_CHECKING:
    from model.network import SliceNetwork

#: Even odds: nothing was fitted, so the points have reached nothing anywhere.
NOT_FITTED = OperatingPoint(0.0, float("nan"), float("nan"))
EVEN_ODDS = Decision(1.0, Calibration(1.0, 0.0, 0, 0.5), NOT_FITTED, NOT_FITTED, NOT_FITTED)


@dataclass(frozen=True, slots=True, eq=False)
class Decider:
    """A model as `evaluate` needs it.

    Attributes:
        name: For results.
        net: The network.
        served: How it decides; None for a plain network.
    """

    name: str
    net: SliceNetwork
    served: ServedModel | None

    @property
    def manifest(self) -> TrainingManifest | None:
        """What the model has seen, where that is known."""
        return self.served.manifest if self.served is not None else None

    @property
    def decision(self) -> Decision:
        """Probability and thresholds; of a plain network even odds, uncalibrated."""
        return self.served.choice.decision if self.served is not None else EVEN_ODDS

    def read_images(
        self, images: NDArray[np.float32], progress: Progress | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Read slices with every member that is needed.

        Args:
            images: float32, shape `(n, size_px, size_px, 1)`, at least one slice.
            progress: Told (slices done, slices) for each member.

        Returns:
            Mixed log odds, float64, shape `(n,)`, and the mask member's lesion probabilities,
            float32, shape `(n, size_px, size_px)`.
        """
        from model.prediction import predict, predict_scores
        from model.weights import set_vector

        served = self.served
        if served is not None:
            set_vector(self.net, served.vectors[served.choice.mask_member])
        probabilities, lesion = predict(self.net, images, progress=progress)
        first = log_odds(probabilities)
        if served is None:
            return first, lesion
        logits = {served.choice.mask_member: first}
        for member in served.choice.members:
            if member.name not in logits:
                set_vector(self.net, served.vectors[member.name])
                scores = predict_scores(self.net, images, progress=progress)
                logits[member.name] = scores.astype(np.float64)
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
    return Decider(path.stem, load(path), None)
