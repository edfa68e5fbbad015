"""Figures whose cells are gone, all or some: kept as they were written, and named.

Cells lie in a cache of one machine; figures lie in the repository. A section that this machine has
no cells of, or of fewer runs than its figures came from, keeps the figures it had: so one part can
be made anew without all the others, and with no more of the headline than it is held against.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evidence_parts import HEADLINE_FOLDER, RECOMMENDED_FOLDER

from peer_client.simulation.recipe import Recipe

#: Parts of the program behind each section of the figures; a comparison is a section of its own.
SECTIONS = {
    "headline": ("headline", "second-seed", "central", "ensemble"),
    "recommended": ("recommended", "recommended-central"),
}
#: Folders of the cells behind each of these sections; a comparison's has its name.
FOLDERS = {
    "headline": (HEADLINE_FOLDER, "ensemble"),
    "recommended": (RECOMMENDED_FOLDER,),
}


class Kept:
    """Sections whose cells are gone and whose figures of before are shown.

    Args:
        earlier: The figures as they were written last; empty where there are none.
    """

    def __init__(self, earlier: Mapping[str, Any]) -> None:
        self.earlier = earlier
        self.sections: list[str] = []

    def take(self, section: str, recipe: Recipe, *, runs: int = 0) -> bool:
        """Return whether figures of before are better than the cache's, and note that they are.

        They are if they are by this recipe and came from more runs.

        Args:
            section: Of the figures.
            recipe: By which the section is trained now.
            runs: Of the section in the cache, over all hospitals; 0 where it has no cells of it.
        """
        of = self.earlier.get("recommended", {}) if section == "recommended" else self.earlier
        there = section in SECTIONS or section in self.earlier.get("comparisons", {})
        if not there or of.get("recipe") != recipe.to_dict():
            return False
        trained = [found["auc"].get("alone", {}) for found in of["hospitals"].values()]
        if runs and runs >= sum(alone.get("runs", 0) for alone in trained):
            return False
        self.sections.append(section)
        return True

    def states(self) -> dict[str, dict[str, int]]:
        """Return what was done of the parts behind these sections."""
        return self._behind("parts", SECTIONS)

    def programs(self) -> dict[str, dict[str, int]]:
        """Return the states of the program that the figures of before came from, by folder."""
        return self._behind("programs", FOLDERS)

    def lines(self) -> list[str]:
        """Return what the page says of them."""
        if not self.sections:
            return []
        return [
            "Kept from an earlier run, of which this cache has fewer cells or none: "
            f"{', '.join(self.sections)}.",
            "",
        ]

    def _behind(self, key: str, names: Mapping[str, tuple[str, ...]]) -> dict[str, dict[str, int]]:
        """Return the earlier entries of what lies behind these sections."""
        entries = self.earlier.get(key, {})
        return {
            name: entries[name]
            for section in self.sections
            for name in names.get(section, (section,))
            if name in entries
        }
