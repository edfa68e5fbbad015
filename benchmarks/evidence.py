"""`make evidence DATA=...`: the comparisons of docs/evidence.md, going on where it stopped.

python benchmarks/evidence.py --data DIR --cache DIR [--only headline] [--rotations 0,1,2,3,4]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from evidence_cells import (  # noqa: E402
    adapted,
    alone,
    central,
    code_digest,
    federated,
    network,
    open_world,
)

from peer_client.ct.hospitals import read_hospitals  # noqa: E402
from peer_client.simulation.recipe import Recipe  # noqa: E402

#: The headline's recipe: 160 federated and 80 adapting steps, and 240 alone.
HEADLINE = {"rounds": 10, "local_steps": 16, "adapt_steps": 80}


def main() -> None:
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--hospitals", type=Path, default=ROOT / "examples" / "real_ct.yaml")
    parser.add_argument("--only", default="headline")
    parser.add_argument("--rotations", default="0,1,2,3,4")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    from model.threads import set_threads

    set_threads(1)
    hospitals = read_hospitals(options.hospitals)
    recipe = Recipe(seed=options.seed, bits=8, **HEADLINE)
    net = network(recipe)
    code = code_digest(ROOT)
    for rotation in map(int, options.rotations.split(",")):
        begun = time.time()
        world = open_world(
            hospitals, options.data, options.cache, rotation=rotation, recipe=recipe, code=code
        )
        if options.only in ("headline", "all"):
            federated(world, recipe, net)
            for name in world.hospitals:
                alone(world, recipe, net, name)
                adapted(world, recipe, net, name)
        if options.only == "alone":
            for name in world.hospitals:
                alone(world, recipe, net, name)
        if options.only == "central":
            central(world, recipe, net)
        print(f"rotation {rotation}: {time.time() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
