"""A federation between two rounds, kept whole or not at all, with its learning curve and losses."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from evidence_worlds import World

from model.evaluation import auc, patient_scores
from model.training import OptimiserState
from model.weights import initial_vector, set_vector
from peer_client.evaluation.readings import thinned
from peer_client.simulation.averaging import FloatAverage, PlainAverage
from peer_client.simulation.federation import FederationState, begin
from peer_client.simulation.recipe import Recipe
from peer_client.studies.study_file import shared_places, weights_of

#: The curve reads so few slices of a patient, unmirrored, every so many rounds: it is for looking.
SLICES_OF_A_CURVE, ROUNDS_OF_A_CURVE = 2, 2


@dataclass
class Federation:
    """A federation on its way.

    Attributes:
        state: After the last round.
        averaging: How updates become shared weights.
        curve: Hospital to pairs (rounds done, AUC by validation patient).
        losses: Hospital to what quantising took in each round: relative error, share clipped.
        seconds: What its rounds took, over all runs of the program.
    """

    state: FederationState
    averaging: Any
    curve: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    losses: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    seconds: float = 0.0

    def renew_noise(self, recipe: Recipe) -> None:
        """Let the next round's rounding noise depend on the round alone: a kill changes nothing."""
        if recipe.bits is not None:
            self.averaging.rng = np.random.default_rng(
                [recipe.seed, recipe.bits, 99, self.state.rounds_done]
            )

    def note_losses(self) -> None:
        """Note what the last round's quantising took; nothing where floats were averaged."""
        for name, report in self.averaging.losses.items():
            self.losses.setdefault(name, []).append((report.relative_error, report.clipped))

    def note_curve(self, net: Any, world: World) -> None:
        """Read the shared model on a few validation slices at every hospital."""
        from model.prediction import predict_scores

        for name, cohort in world.hospitals.items():
            part = thinned(cohort.validation, SLICES_OF_A_CURVE).labelled()
            set_vector(net, vector_at(net.manifest, self.state, world, name))
            scores = predict_scores(net, part.images, flips=False)
            by = patient_scores(part.patients, scores, part.labels)
            point = (self.state.rounds_done, round(auc(by.labels, by.scores), 4))
            self.curve.setdefault(name, []).append(point)


def opened(path: Path, world: World, recipe: Recipe, net: Any) -> Federation:
    """Return a federation before its first round, or where it was kept.

    Args:
        path: Where it is kept.
        world: Who takes part.
        recipe: Its recipe.
        net: A network of the recipe.
    """
    shared = [spec for spec in net.manifest if spec.group != "personal"]
    averaging: Any
    if recipe.bits is None:
        averaging = FloatAverage(shared, world.has_masks)
    else:
        weights = weights_of(net.manifest, recipe.local_steps)
        averaging = PlainAverage(weights, world.has_masks, recipe.bits, np.random.default_rng())
    if path.exists():
        found = kept(path, list(world.slices), averaging)
        print("going on at round", found.state.rounds_done, "of", path.name, flush=True)
    else:
        start = initial_vector(net.manifest, recipe.seed)
        found = Federation(begin(net.manifest, list(world.slices), start), averaging)
    return found


def keep(path: Path, federation: Federation) -> None:
    """Keep a federation, whole or not at all."""
    state = federation.state
    arrays: dict[str, Any] = {
        "shared": state.shared,
        "rounds_done": np.array(state.rounds_done),
        "notes": np.array(
            json.dumps(
                {
                    "curve": federation.curve,
                    "losses": federation.losses,
                    "seconds": federation.seconds,
                }
            )
        ),
    }
    for name, vector in state.personal.items():
        arrays[f"personal {name}"] = vector
    for name, mine in state.optimisers.items():
        if mine is not None:
            arrays[f"steps {name}"] = np.array(mine.steps)
            arrays[f"first {name}"], arrays[f"second {name}"] = mine.first, mine.second
    if getattr(federation.averaging, "scales", None) is not None:
        arrays["scales"] = federation.averaging.scales
    temporary = path.with_suffix(f".{os.getpid()}.tmp.npz")
    np.savez(temporary, **arrays)
    temporary.replace(path)


def kept(path: Path, taking_part: list[str], averaging: Any) -> Federation:
    """Read what `keep` wrote."""
    with np.load(path) as stored:
        if "scales" in stored.files:
            averaging.scales = stored["scales"]
        optimisers: dict[str, OptimiserState | None] = {
            name: OptimiserState(
                int(stored[f"steps {name}"]), stored[f"first {name}"], stored[f"second {name}"]
            )
            for name in taking_part
        }
        personal = {name: stored[f"personal {name}"] for name in taking_part}
        state = FederationState(int(stored["rounds_done"]), stored["shared"], personal, optimisers)
        notes = json.loads(str(stored["notes"]))
    curve = {name: [(int(at), value) for at, value in each]
             for name, each in notes["curve"].items()}  # fmt: skip
    losses = {name: [(error, clipped) for error, clipped in each]
              for name, each in notes["losses"].items()}  # fmt: skip
    return Federation(state, averaging, curve, losses, notes["seconds"])


def vector_at(manifest: Any, state: FederationState, world: World, hospital: str) -> np.ndarray:
    """Return the shared model as a hospital uses it, float32, shape `(values,)`.

    Personal tensors are those of the hospital's first piece; one that had no part has another's.
    """
    pieces = [piece for piece, owner in world.pieces.items() if owner == hospital]
    owner = pieces[0] if pieces else next(iter(world.pieces))
    places = shared_places(manifest)
    vector = np.empty(len(places), np.float32)
    vector[places] = state.shared
    vector[~places] = state.personal[owner]
    return vector


def mean_losses(losses: Mapping[str, list[tuple[float, float]]]) -> dict[str, float]:
    """Return relative error and share clipped, means over rounds and hospitals; empty without."""
    rows = [row for mine in losses.values() for row in mine]
    if not rows:
        return {}
    error, clipped = np.mean(rows, axis=0).tolist()
    return {"relative_error": error, "clipped": clipped}
