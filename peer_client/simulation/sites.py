"""Networks of simulated hospitals: from a recipe to what is trained and asked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.config import CapsNetConfig
from peer_client.evaluation.readings import Reader
from peer_client.evaluation.views import averaged_over_views, log_odds
from peer_client.simulation.recipe import Recipe


def network_config(recipe: Recipe) -> CapsNetConfig:
    """Return the architecture that a recipe names."""
    return CapsNetConfig(
        size_px=recipe.size_px,
        votes="textbook" if recipe.network == "textbook" else "shared",
        personal=recipe.personal,
    )


def build_network(recipe: Recipe) -> Any:
    """Build the recipe's network with its initial weights (imports TensorFlow)."""
    config = network_config(recipe)
    if recipe.network == "unet":
        from model.twin import build_twin

        return build_twin(config, seed=recipe.seed)
    from model.capsnet import build

    return build(config, seed=recipe.seed)


def reader_of(net: Any) -> Reader:
    """Return how a network reads slices: each also mirrored, some in all views."""
    from model.prediction import predict

    def read(
        images: NDArray[np.float32], few: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        probabilities, lesion = predict(net, images)
        return averaged_over_views(net, images, log_odds(probabilities), few), lesion

    return read
