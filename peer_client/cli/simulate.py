"""`hospital-client simulate`: all hospitals of a file in one process."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from network.runtime.program import json_option, print_json
from network.runtime.shipped import shipped
from network.runtime.table import print_table

if TYPE_CHECKING:
    from peer_client.simulation.recipe import Recipe

#: Seconds between two lines of progress.
LINE_EVERY_S = 5.0
#: What hospitals say while they take training steps begins with one of these.
TRAINING = ("round ", "alone", "adapt")


@click.command()
@click.option(
    "--data", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with index.csv (default: phantoms, drawn into the output folder).",
)  # fmt: skip
@click.option(
    "--hospitals", "hospitals_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML file of hospitals (default: examples/real_ct.yaml; without --data phantoms.yaml).",
)  # fmt: skip
@click.option("--rounds", type=click.IntRange(1), default=20, show_default=True)
@click.option("--local-steps", type=click.IntRange(1), default=40, show_default=True,
              help="Steps of each hospital in each round.")  # fmt: skip
@click.option("--adapt-steps", type=click.IntRange(0), default=600, show_default=True,
              help="Steps each hospital takes from the last shared model.")  # fmt: skip
@click.option("--bits", type=click.IntRange(2, 16), default=8, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--rotation", type=click.IntRange(0), default=0, show_default=True,
              help="Move every fold on by so many (cross-validation).")  # fmt: skip
@click.option("--encryption/--no-encryption", default=False, show_default=True,
              help="Run complete clients over a ledger in memory, or sum integers.")  # fmt: skip
@click.option("--output", type=click.Path(file_okay=False, path_type=Path),
              default=Path("simulate-output"), show_default=True,
              help="Where models, table and pictures go.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1, 15), default=2, show_default=True,
              help="Hospitals that train at the same time, each on one thread; the models are the "
                   "same for any number.")  # fmt: skip
@json_option
def simulate(
    folder: Path | None,
    hospitals_file: Path | None,
    rounds: int,
    local_steps: int,
    adapt_steps: int,
    bits: int,
    seed: int,
    rotation: int,
    encryption: bool,
    output: Path,
    threads: int,
    as_json: bool,
) -> None:
    """Train all hospitals of a file in one process and choose what each serves.

    For trying methods: one model file a hospital in OUTPUT/models, a table and pictures at the end.
    May be stopped and started again. With --no-encryption no update is hidden from anybody.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from peer_client.api import Recipe, read_hospitals
    from peer_client.api import simulate as run
    from peer_client.simulation.pages import COLUMNS, result_json, table_rows

    default = shipped(f"examples/{'phantoms' if folder is None else 'real_ct'}.yaml")
    hospitals = [each.rotated(rotation) for each in read_hospitals(hospitals_file or default)]
    recipe = Recipe(
        rounds=rounds, local_steps=local_steps, adapt_steps=adapt_steps, bits=bits, seed=seed
    )
    results = run(
        hospitals,
        output,
        folder=folder,
        recipe=recipe,
        encryption=encryption,
        threads=threads,
        told=Lines(training_steps(recipe, len(hospitals))),
    )
    if as_json:
        result = result_json(recipe, results, encryption=encryption)
        print_json({**result, "output": str(output)})
        return
    print_table("on test patients", COLUMNS, table_rows(results))
    click.echo(f"encryption {'on' if encryption else 'off'}; models, table and pictures: {output}")
    click.echo("Research use, not a diagnosis.")


def training_steps(recipe: Recipe, hospitals: int) -> int:
    """Return the training steps of a whole simulation: in rounds, alone, adapting."""
    return hospitals * (recipe.federated_steps + recipe.steps + recipe.adapt_steps)


class Lines:
    """Prints what a simulation is at, to stderr, not more often than every few seconds.

    Args:
        steps: Training steps of the whole simulation; what an earlier run did is not known here.
        clock: Seconds.
    """

    def __init__(self, steps: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._steps = steps
        self._clock = clock
        self._taken = 0
        self._first_s: float | None = None
        self._line_s = float("-inf")

    def __call__(self, hospital: str, what: str, done: int, total: int) -> None:
        """Show how far a hospital is."""
        now = self._clock()
        left = ""
        if what.startswith(TRAINING):
            self._first_s = now if self._first_s is None else self._first_s
            self._taken += 1
            if self._taken > 1:
                rate = (now - self._first_s) / (self._taken - 1)
                left = f", training ends in {_minutes(rate * (self._steps - self._taken))}"
        if now - self._line_s < LINE_EVERY_S:
            return
        self._line_s = now
        count = f" {done} of {total}" if total > 1 else ""
        click.echo(f"{hospital}: {what}{count}{left}", err=True)
        sys.stderr.flush()


def _minutes(seconds: float) -> str:
    """Return a time to wait, in words; at most so long where something had been done before."""
    return f"at most {max(seconds, 0) / 60:.0f} min" if seconds > 90 else "a minute or so"
