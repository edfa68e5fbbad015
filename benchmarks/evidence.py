"""`make evidence DATA=...`: the comparisons of docs/evidence.md, going on where it stopped.

Every cell (one thing trained and read) is kept in the cache folder and never made twice, so the
command may be stopped at any time, and several processes may run it at once over one cache. Order:
by value for its time; the headline rotation by rotation. At the end, or without `--data`, the
figures go to benchmarks/results/evidence.json and the tables to docs/evidence.md.

    python benchmarks/evidence.py --list                          parts and what they cost
    python benchmarks/evidence.py --data FOLDER --minutes 120     what is missing, in order
    python benchmarks/evidence.py --data FOLDER --only widths     one part
    python benchmarks/evidence.py --data FOLDER --only ensemble --rotations 2,3
    python benchmarks/evidence.py                                 tables and pictures only
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from evidence_page import costs, write_page  # noqa: E402
from evidence_parts import HEADLINE, PARTS, Job, Plan, jobs_of  # noqa: E402
from evidence_work import work  # noqa: E402

from peer_client.ct.cache import slices_cache  # noqa: E402
from peer_client.ct.hospitals import HospitalData, read_hospitals  # noqa: E402
from peer_client.simulation.recipe import Recipe  # noqa: E402


def parsed() -> argparse.Namespace:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with index.csv; absent: tables only")
    parser.add_argument("--cache", type=Path, default=slices_cache().parent / "evidence")
    parser.add_argument("--hospitals", type=Path, default=ROOT / "examples" / "real_ct.yaml")
    parser.add_argument("--only", choices=list(PARTS), action="append", default=[])
    parser.add_argument(
        "--rotations",
        type=lambda text: tuple(int(each) for each in text.split(",")),
        help="e.g. 0,1,2; with --only exactly these, otherwise the parts' own among these",
    )
    parser.add_argument("--minutes", type=float, default=180.0, help="begin no job after so long")
    parser.add_argument("--threads", type=int, default=1, help="of TensorFlow")
    parser.add_argument("--list", action="store_true", help="tell parts and costs, do nothing")
    parser.add_argument("--no-tables", action="store_true", help="for all processes but one")
    parser.add_argument("--output", type=Path, default=ROOT, help="folder with docs/evidence.md")
    for name in ("rounds", "local-steps", "adapt-steps", "size-px"):
        parser.add_argument(f"--{name}", type=int, help="of the headline; for trying the program")
    return parser.parse_args()


def main() -> None:
    """Make what is missing, then the tables."""
    options = parsed()
    hospitals = read_hospitals(options.hospitals)
    chosen = {
        name: value
        for name in ("rounds", "local_steps", "adapt_steps", "size_px")
        if (value := getattr(options, name)) is not None
    }
    recipe = settled(options.cache, replace(HEADLINE, **chosen), options.data is not None)
    plan = Plan(tuple(each.name for each in hospitals), recipe)
    jobs = jobs_of(plan, options.only, options.rotations)
    if options.list:
        print("\n".join(costs(plan, jobs, options.cache)))
        return
    if options.data is not None:
        run(jobs, hospitals, options)
    if not options.no_tables:
        print("\n".join(write_page(options.cache, plan, options.output)))


def run(jobs: list[Job], hospitals: tuple[HospitalData, ...], options: argparse.Namespace) -> None:
    """Make jobs while there is time."""
    from model.threads import set_threads

    set_threads(options.threads)
    from evidence_cells import Maker
    from evidence_worlds import Worlds, code_digest

    worlds = Worlds(hospitals, options.data, options.cache)
    maker = Maker(worlds, options.cache, code_digest(ROOT))
    work(jobs, options.cache, maker.make, minutes=options.minutes)


def settled(cache: Path, recipe: Recipe, writing: bool) -> Recipe:
    """Return the headline's recipe; a cache holds cells of one recipe only.

    Args:
        cache: Where cells lie.
        recipe: The recipe wanted.
        writing: Whether cells are to be made; otherwise the cache's own recipe is taken.
    """
    path = cache / "recipe.json"
    if not path.exists():
        if writing:
            cache.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(json.dumps(recipe.to_dict(), indent=1, sort_keys=True))
            temporary.replace(path)
        return recipe
    kept = json.loads(path.read_text())
    if not writing:
        return Recipe(**{**kept, "personal": tuple(kept["personal"])})
    if kept != recipe.to_dict():
        differs = {name for name in {**kept, **recipe.to_dict()}
                   if kept.get(name) != recipe.to_dict().get(name)}  # fmt: skip
        raise SystemExit(
            f"{cache} holds cells of another recipe ({', '.join(sorted(differs))} differ); "
            "name another --cache, or remove it"
        )
    return recipe


if __name__ == "__main__":
    main()
