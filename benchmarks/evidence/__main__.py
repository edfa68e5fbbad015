"""`make evidence DATA=...`: the comparisons of docs/evidence.md, going on where it stopped.

Every cell is kept among the results and never made twice, so the command may be stopped at any
time, and several processes may run it at once over one folder. Order: by value for its time; the
short recipe fold by fold. At the end, or without data, figures, tables and pictures are made from
all cells that are there. Results go to benchmarks/results/evidence/<name of the hospitals' file>.

    python -m benchmarks.evidence --list                          parts and what they cost
    python -m benchmarks.evidence --data FOLDER --minutes 120     what is missing, in order
    python -m benchmarks.evidence --data FOLDER --only widths     one part
    python -m benchmarks.evidence --data FOLDER --only ensemble --folds 2,3
    python -m benchmarks.evidence --phantoms --results FOLDER     on phantoms, drawn into the cache
    python -m benchmarks.evidence                                 tables and pictures only
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.evidence.cells import PHANTOMS_KEY, CellError, Cells, kept_key
from benchmarks.evidence.data import Worlds, code_digest
from benchmarks.evidence.plan import PARTS, RECOMMENDED, SHORT, Job, Plan, jobs_of
from benchmarks.evidence.report import costs, write_report
from benchmarks.evidence.work import work
from peer_client.ct.cache import slices_cache
from peer_client.ct.hospitals import HospitalData, read_hospitals
from peer_client.simulation.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "evidence"
#: Parts of a recipe that may be changed, for trying the program; both recipes' alike.
CHANGEABLE = ("rounds", "local_steps", "adapt_steps", "size_px")


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.evidence",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--data", type=Path, help="folder with index.csv; absent: tables only")
    source.add_argument("--phantoms", action="store_true", help="draw phantoms and take these")
    parser.add_argument("--hospitals", type=Path, help="YAML file of hospitals")
    parser.add_argument("--cache", type=Path, default=slices_cache().parent / "evidence",
                        help="weights, slices, locks, the key of patients' names")  # fmt: skip
    parser.add_argument("--results", type=Path, help="folder of cells, figures and tables")
    parser.add_argument("--key", type=Path, help="key of patients' names, to add to another's run")
    parser.add_argument("--only", choices=list(PARTS), action="append", default=[])
    parser.add_argument(
        "--folds",
        type=lambda text: tuple(int(each) for each in text.split(",")),
        help="e.g. 0,1,2; with --only exactly these, otherwise the parts' own among these",
    )
    parser.add_argument("--minutes", type=float, default=180.0, help="begin no job after so long")
    parser.add_argument("--threads", type=int, default=1, help="of TensorFlow")
    parser.add_argument("--list", action="store_true", help="tell parts and costs, do nothing")
    parser.add_argument("--no-tables", action="store_true", help="for all processes but one")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    for name in CHANGEABLE:
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, help="of both recipes; for trying the program")
    options = parser.parse_args(words)
    if options.hospitals is None:
        name = "phantoms.yaml" if options.phantoms else "real_ct.yaml"
        options.hospitals = ROOT / "examples" / name
    options.results = options.results or RESULTS / options.hospitals.stem
    options.cache = options.cache / options.hospitals.stem
    return options


def main(words: list[str] | None = None) -> None:
    """Make what is missing, then the tables."""
    options = parsed(words)
    try:
        print(done(options))
    except CellError as error:
        raise SystemExit(f"error: {error}") from error


def done(options: argparse.Namespace) -> str:
    """Do what the options say; return what is to be printed."""
    hospitals = read_hospitals(options.hospitals)
    cells = Cells(options.results / "cells")
    plan = planned(tuple(each.name for each in hospitals), options, cells)
    jobs = jobs_of(plan, options.only, options.folds)
    if options.list:
        return "\n".join(costs(plan, jobs, cells))
    if options.data is not None or options.phantoms:
        run(jobs, hospitals, cells, options)
    if options.no_tables:
        return ""
    drawn = ", drawn, no patients" if all(each.phantoms for each in hospitals) else ""
    title = f"Evidence: {options.hospitals.stem}{drawn}"
    figures = write_report(cells, plan, options.results, title)
    if options.json:
        return json.dumps(figures)
    text: str = (options.results / "tables.md").read_text()
    return text


def planned(hospitals: tuple[str, ...], options: argparse.Namespace, cells: Cells) -> Plan:
    """Return the plan of the options; a folder holds cells of one pair of recipes only.

    Raises:
        CellError: The folder holds cells of other recipes.
    """
    chosen = {name: value for name in CHANGEABLE if (value := getattr(options, name)) is not None}
    wanted = Plan(hospitals, replace(SHORT, **chosen), replace(RECOMMENDED, **chosen))
    path = cells.folder.parent / "recipes.json"
    recipes = {"short": wanted.short.to_dict(), "recommended": wanted.longer.to_dict()}
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text())
        if not chosen and options.data is None and not options.phantoms:
            return Plan(hospitals, Recipe(**kept["short"]), Recipe(**kept["recommended"]))
        if kept != recipes:
            raise CellError(
                f"{cells.folder} holds cells of other recipes ({path.name}); name another "
                "--results, or remove it"
            )
    elif options.data is not None or options.phantoms:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(recipes, indent=1, sort_keys=True) + "\n")
        temporary.replace(path)
    return wanted


def run(
    jobs: list[Job],
    hospitals: tuple[HospitalData, ...],
    cells: Cells,
    options: argparse.Namespace,
) -> None:
    """Make jobs while there is time."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from model.threads import set_threads

    set_threads(options.threads)
    from benchmarks.evidence.train import Maker
    from peer_client.ct.phantoms import write_phantoms

    data = options.data
    if options.phantoms:
        data = write_phantoms(hospitals, options.cache / "phantoms")
    key = names_key(options)
    worlds = Worlds(hospitals, data, options.cache)
    maker = Maker(worlds, cells, options.cache, key, code_digest(ROOT), told)
    work(jobs, cells, options.cache, maker.make, minutes=options.minutes, told=told)


def names_key(options: argparse.Namespace) -> bytes:
    """Return the key of the patients' names; phantoms have one that everybody knows.

    Raises:
        CellError: The file is not a key.
    """
    if options.phantoms and options.key is None:
        return PHANTOMS_KEY
    return kept_key(options.key or options.cache / "patients.key")


def told(line: str) -> None:
    """Tell what is done, beside what is printed."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
