"""What is simulated: plain values, and what two runs of it must have in common."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from peer_client.ct.hospitals import HospitalData
from peer_client.simulation.recipe import Recipe

#: Of `settings.json` in the output folder.
FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Setting:
    """What a simulation is of.

    Attributes:
        hospitals: Of the file.
        folder: The data folder.
        recipe: How they train.
        encryption: Whether rounds run encrypted over a ledger in memory.
        output: Where everything goes.
        cache: Folder for normalised slices.
        threads: Hospitals that work at the same time, each on one thread; the models are the same
            for any number.
    """

    hospitals: tuple[HospitalData, ...]
    folder: Path
    recipe: Recipe
    encryption: bool
    output: Path
    cache: Path
    threads: int = 1

    def to_json(self) -> dict[str, Any]:
        """Return what another run must have in common to go on."""
        index = (self.folder / "index.csv").read_bytes()
        text = repr([(each.name, each.classes, each.masks, each.split) for each in self.hospitals])
        return {
            "format": FORMAT,
            "recipe": self.recipe.to_dict(),
            "encryption": self.encryption,
            "hospitals": [each.name for each in self.hospitals],
            "hospitals_sha256": sha256(text.encode()).hexdigest(),
            "index_sha256": sha256(index).hexdigest(),
        }
