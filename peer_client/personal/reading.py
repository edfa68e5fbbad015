"""Let a served model, or a plain exported network, read slices and decide on patients.

A served model reads with each of its members and mixes their log odds; lesion maps come from its
mask member. A plain network decides at even odds, uncalibrated, and knows of no training manifest:
results say so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from model.calibration import Calibration, OperatingPoint
from model.decision import Decision
from peer_client.ct.cohort import SliceSet
from peer_client.evaluation.readings import Progress, Reading, read_slices
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

    def read(self, slices: SliceSet, progress: Progress | None = None) -> Reading:
        """Read slices with every member that is needed.

        Returns:
            Mixed log odds, and the mask member's lesions.
        """
        from model.prediction import predict, predict_scores
        from model.weights import set_vector

        served = self.served
        if served is not None:
            set_vector(self.net, served.vectors[served.choice.mask_member])

        def whole(
            images: NDArray[np.float32],
        ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            return predict(self.net, images, progress=progress)

        reading = read_slices(whole, slices)
        if served is None or not len(reading.logits):
            return reading
        labelled = slices.labelled()
        logits = {served.choice.mask_member: reading.logits}
        for member in served.choice.members:
            if member.name not in logits:
                set_vector(self.net, served.vectors[member.name])
                scores = predict_scores(self.net, labelled.images, progress=progress)
                logits[member.name] = scores.astype(np.float64)
        return replace(reading, logits=mixed_logits(served.choice.members, logits))


def open_decider(path: Path) -> Decider:
    """Open a model file: a served model, or a plain network without what a hospital adds.

    Raises:
        ServedModelError: Files beside it are damaged or belong to another model.
        ModelFileError: The Keras file is absent or damaged.
    """
    from model.network import load

    if read_facts(path) is not None:
        served = load_served(path)
        return Decider(served.hospital, served.net, served)
    return Decider(path.stem, load(path), None)
