"""How hospitals train in a simulation: plain values with the defaults of the recommended recipe.

Where the numbers come from: docs/evidence.md. A recipe that cannot be run is refused.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from peer_client.simulation.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained, for how long.

    Attributes:
        rounds: Federated rounds.
        local_steps: Steps a hospital takes in each round.
        adapt_steps: Steps each hospital takes from the last shared model, on its own.
        seed: Of initial weights and draws.
        bits: Width of a quantised update.
        size_px: Side of the network's input, pixels.

    Raises:
        RecipeError: A value cannot be run.
    """

    rounds: int = 20
    local_steps: int = 40
    adapt_steps: int = 600
    seed: int = 0
    bits: int = 8
    size_px: int = 96

    def __post_init__(self) -> None:
        for name in ("rounds", "local_steps"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} must be at least 1. Received: {getattr(self, name)}")
        if self.adapt_steps < 0:
            raise RecipeError(f"adapt_steps must not be negative. Received: {self.adapt_steps}")
        if not 2 <= self.bits <= 16:
            raise RecipeError(f"bits must be 2 to 16. Received: {self.bits}")

    @property
    def federated_steps(self) -> int:
        """Steps a hospital takes in all rounds."""
        return self.rounds * self.local_steps

    @property
    def steps(self) -> int:
        """Steps a hospital takes in all; what a model trained alone takes too."""
        return self.federated_steps + self.adapt_steps

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them."""
        return asdict(self)
