"""`make evidence DATA=...`: the comparisons of docs/evidence.md, going on where it stopped.

Every cell (one thing trained and read) is kept in the cache folder and never made twice, so the
command may be stopped at any time. Order: by value. At the end the figures go to
benchmarks/results/evidence.json and the tables to docs/evidence.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from evidence_cells import (  # noqa: E402
    World,
    adapted,
    alone,
    central,
    code_digest,
    federated,
    floor,
    network,
    open_world,
    with_wrong_labels,
)
from evidence_pictures import gain_picture, roc_picture  # noqa: E402
from evidence_tables import measure, runs_of, tables  # noqa: E402

from peer_client.cli.training import slices_cache  # noqa: E402
from peer_client.ct.hospitals import read_hospitals  # noqa: E402
from peer_client.simulation.recipe import Recipe  # noqa: E402

#: The headline: 160 federated and 80 adapting steps a hospital, and 240 alone. The recommended
#: recipe (10 x 24 + 120) is half as long again; this one fits five rotations into the time.
HEADLINE = Recipe(rounds=10, local_steps=16, adapt_steps=80, bits=8)
ROTATIONS = range(5)
#: Where everything but the headline is measured, for time.
ONE = 0
MARK = "<!-- tables from benchmarks/evidence.py -->"


@dataclass
class Bench:
    """Opens worlds and networks for cells, one at a time.

    Attributes:
        data: The data folder.
        cache: Where cells are kept.
        hospitals: Of the YAML file.
        code: Digest of the programs.
    """

    data: Path
    cache: Path
    hospitals: Any
    code: str

    def world(self, recipe: Recipe, rotation: int, name: str = "main") -> World:
        """Load one rotation's cohorts."""
        return open_world(
            self.hospitals,
            self.data,
            self.cache,
            rotation=rotation,
            recipe=recipe,
            name=name,
            code=self.code,
        )


def headline(bench: Bench, seed: int) -> Iterator[Callable[[], None]]:
    """Alone, federated, adapted at every hospital, all rotations."""
    recipe = replace(HEADLINE, seed=seed)
    net = network(recipe)
    for rotation in ROTATIONS:
        world = bench.world(recipe, rotation)
        if seed == 0:
            yield lambda w=world: floor(w)
        yield lambda w=world: federated(w, recipe, net)
        for name in world.hospitals:
            yield lambda w=world, n=name: alone(w, recipe, net, n)
            yield lambda w=world, n=name: adapted(w, recipe, net, n)


def pooled(bench: Bench) -> Iterator[Callable[[], None]]:
    """Everything in one place, at equal steps."""
    net = network(HEADLINE)
    for rotation in ROTATIONS:
        world = bench.world(HEADLINE, rotation)
        yield lambda w=world: central(w, HEADLINE, net)


def widths(bench: Bench) -> Iterator[Callable[[], None]]:
    """4, 6 and 12 bits and float, federated only."""
    net = network(HEADLINE)
    world = bench.world(HEADLINE, ONE, "widths")
    for bits in (4, 6, 8, 12, None):
        tag = f"bits{bits or 'float'}"
        yield lambda t=tag, b=bits: federated(world, replace(HEADLINE, bits=b), net, t)


def normalisation(bench: Bench) -> Iterator[Callable[[], None]]:
    """Neither step, the spatial one, the signal one, both; federated only."""
    net = network(HEADLINE)
    for spatial, signal in ((False, False), (True, False), (False, True), (True, True)):
        recipe = replace(HEADLINE, spatial=spatial, signal=signal)
        tag = f"spatial{int(spatial)}signal{int(signal)}"
        world = bench.world(recipe, ONE, tag)
        yield lambda w=world, r=recipe: federated(w, r, net)


def wrong_labels(bench: Bench) -> Iterator[Callable[[], None]]:
    """20 % of one hospital's training patients labelled wrongly; federated only."""
    net = network(HEADLINE)
    world = with_wrong_labels(bench.world(HEADLINE, ONE, "wrong-labels"), "saopaulo", share=0.2)
    yield lambda: federated(world, HEADLINE, net)


def twins(bench: Bench) -> Iterator[Callable[[], None]]:
    """The twin without capsules, and the textbook capsules, alone at each hospital."""
    for kind in ("unet", "textbook"):
        recipe = replace(HEADLINE, network=kind)
        net = network(recipe)
        world = bench.world(recipe, ONE, kind)
        for name in world.hospitals:
            yield lambda w=world, r=recipe, n=name, k=net: alone(w, r, k, n)


PARTS: dict[str, Callable[[Bench], Iterator[Callable[[], None]]]] = {
    "headline": lambda bench: headline(bench, 0),
    "second-seed": lambda bench: headline(bench, 1),
    "central": pooled,
    "twins": twins,
    "widths": widths,
    "normalisation": normalisation,
    "wrong-labels": wrong_labels,
}


def main() -> None:
    """Make what is missing, then the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with index.csv; absent: tables only")
    parser.add_argument("--cache", type=Path, default=slices_cache().parent / "evidence")
    parser.add_argument("--hospitals", type=Path, default=ROOT / "examples" / "real_ct.yaml")
    parser.add_argument("--only", choices=sorted(PARTS), action="append")
    parser.add_argument("--minutes", type=float, default=180.0, help="begin no cell after so long")
    options = parser.parse_args()
    hospitals = read_hospitals(options.hospitals)
    if options.data is not None:
        from model.threads import set_threads

        set_threads(1)
        bench = Bench(options.data, options.cache, hospitals, code_digest(ROOT))
        make(bench, options.only or list(PARTS), options.minutes)
    write_tables(options.cache, [each.name for each in hospitals])


def make(bench: Bench, parts: list[str], minutes: float) -> None:
    """Make the cells of some parts while there is time."""
    begun = time.monotonic()
    for part in parts:
        for cell in PARTS[part](bench):
            if time.monotonic() - begun > 60 * minutes:
                print(f"time is up in part {part}; start again to go on", flush=True)
                return
            cell()


def write_tables(cache: Path, hospitals: list[str]) -> None:
    """Write the figures and put the tables into the page."""
    runs = runs_of(cache, hospitals)
    result = measure(runs)
    target = ROOT / "benchmarks" / "results" / "evidence.json"
    target.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    roc_picture(runs, ROOT / "docs" / "pictures" / "evidence_roc.png")
    gain_picture(result, ROOT / "docs" / "pictures" / "evidence_gain.png")
    page = ROOT / "docs" / "evidence.md"
    if page.exists():
        parts = page.read_text().split(MARK)
        if len(parts) == 3:
            parts[1] = "\n" + "\n".join(tables(result)) + "\n"
            page.write_text(MARK.join(parts))
    print("\n".join(tables(result)))


if __name__ == "__main__":
    main()
