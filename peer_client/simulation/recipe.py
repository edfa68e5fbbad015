"""How hospitals train in a simulation: plain values with the defaults of the recommended recipe.

Where the numbers come from: docs/evidence.md. A recipe that cannot be run is refused.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from peer_client.serving.own_models import ADAPT_RATE
from peer_client.simulation.errors import RecipeError

Network = Literal["capsnet", "unet", "textbook"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained, for how long.

    Attributes:
        rounds: Federated rounds.
        local_steps: Steps a hospital takes in each round.
        adapt_steps: Steps each hospital takes from the last shared model, on its own.
        learning_rate: Top of the schedule over all rounds, and of training alone.
        adapt_rate: Top of the adaptation's schedule.
        seed: Of initial weights and draws.
        bits: Width of a quantised update; None sends floats (for comparisons only).
        network: Architecture.
        size_px: Side of the network's input, pixels.
        personal: Layers that stay at their hospital.
        spatial: Whether the lung field is cropped.
        signal: Whether grey levels are mapped to anchors.
    """

    rounds: int = 20
    local_steps: int = 40
    adapt_steps: int = 600
    learning_rate: float = 1.5e-3
    adapt_rate: float = ADAPT_RATE
    seed: int = 0
    bits: int | None = 8
    network: Network = "capsnet"
    size_px: int = 96
    personal: tuple[str, ...] = ()
    spatial: bool = True
    signal: bool = True

    def __post_init__(self) -> None:
        for name in ("rounds", "local_steps"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} must be at least 1. Received: {getattr(self, name)}")
        if self.adapt_steps < 0:
            raise RecipeError(f"adapt_steps must not be negative. Received: {self.adapt_steps}")
        if self.bits is not None and not 2 <= self.bits <= 16:
            raise RecipeError(f"bits must be 2 to 16, or none. Received: {self.bits}")

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
        return {**asdict(self), "personal": list(self.personal)}
