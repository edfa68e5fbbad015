"""Networks of simulated hospitals: from a recipe to what is trained."""

from __future__ import annotations

from typing import Any

from model.config import CapsNetConfig
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
