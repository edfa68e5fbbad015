"""What the difference of two opened sums from one parent shows of one hospital's update.

    python benchmarks/spoiled_rounds.py [--data FOLDER] [--rounds-before 4] [--repetitions 8]

A round that is opened but publishes nothing leaves a sum behind, and the next round starts from the
same parent. If one hospital is missing there, the difference of the two sums is its update, plus
how far the other hospitals' second updates lie from their first. Here the hospitals of a file train
again and again from one parent, as the client does it (same patients, same optimiser moments,
another seed each time), and three things are measured:

* the cosine of two updates of one hospital from one parent, beside that of two hospitals;
* the cosine of the difference of two sums with the victim's first update, and its square, which is
  the share of that update's squared length that the difference explains;
* the same where an attacker may repeat: the mean over r sums with the victim, minus the mean over r
  sums without it. A client stops after two opened sums from one parent, so r is 1 there.

Without `--data` the hospitals are the phantoms of examples/phantoms.yaml. The last line is JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
from machine_speed import loop_seconds
from numpy.typing import NDArray

PROJECT = Path(__file__).resolve().parent.parent
Vector = NDArray[np.float64]


def cosine(a: Vector, b: Vector) -> float:
    """Return the cosine of the angle between two updates, shape `(values,)` each.

    >>> cosine(np.array([1.0, 0.0]), np.array([1.0, 1.0]))  # doctest: +ELLIPSIS
    0.7071...
    """
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def difference(updates: Mapping[str, Sequence[Vector]], victim: str, repetitions: int) -> Vector:
    """Return mean sums with the victim minus mean sums without it.

    Args:
        updates: At least `2 * repetitions` updates of every hospital from one parent.
        victim: The hospital that is missing in the second half of the sums.
        repetitions: Sums of each kind.
    """
    with_it = [sum(each[r] for each in updates.values()) for r in range(repetitions)]
    others = [each for name, each in updates.items() if name != victim]
    without = [sum(each[repetitions + r] for each in others) for r in range(repetitions)]
    found: Vector = np.mean(with_it, axis=0) - np.mean(without, axis=0)
    return found


def readings(updates: Mapping[str, Sequence[Vector]]) -> dict[str, Any]:
    """Return the figures of one parent."""
    names = sorted(updates)
    own = [cosine(a, b) for name in names for a, b in pairwise(updates[name])]
    foreign = [cosine(updates[a][0], updates[b][0]) for a, b in combinations(names, 2)]
    plain = [cosine(sum(updates[n][0] for n in names), updates[v][0]) for v in names]
    most = min(len(each) for each in updates.values()) // 2
    found = {
        r: [cosine(difference(updates, v, r), updates[v][0]) for v in names]
        for r in range(1, most + 1)
    }
    # What the attacker is after is the mean direction of the victim's updates: judge by those that
    # are in none of the sums it saw as the victim's.
    return {
        "own_cosine": statistics.median(own),
        "foreign_cosine": statistics.median(foreign),
        "one_sum_cosine": statistics.median(plain),
        "difference_cosine": {r: statistics.median(values) for r, values in found.items()},
        "difference_explained": {
            r: statistics.median(value**2 for value in values) for r, values in found.items()
        },
    }


def measure(
    hospitals_file: Path, folder: Path | None, rounds_before: Sequence[int], repetitions: int
) -> dict[str, Any]:
    """Train, and return the figures by the number of published rounds before the spoiled one."""
    from network.runtime.folders import cache_folder
    from network.runtime.progress import TerminalProgress
    from peer_client.ct.cohort import load_cohort
    from peer_client.ct.hospitals import read_hospitals
    from peer_client.ct.phantoms import write_phantoms
    from peer_client.rounds.context import TrainingTask
    from peer_client.serving.local_training import LocalTraining, network_once
    from peer_client.simulation.recipe import Recipe
    from peer_client.simulation.study import simulated_study
    from peer_client.storage.study_store import StudyStore
    from peer_client.studies.study_file import initial_shared

    hospitals = read_hospitals(hospitals_file)
    recipe = Recipe(rounds=20, local_steps=24)
    study = simulated_study(hospitals, recipe)
    result: dict[str, Any] = {}
    trainings = len(hospitals) * (max(rounds_before) + 2 * repetitions * len(rounds_before))
    with tempfile.TemporaryDirectory() as scratch, TerminalProgress() as progress:
        data = folder or write_phantoms(hospitals, Path(scratch) / "phantoms")
        network = network_once(study, 1)
        trainers = {
            each.name: LocalTraining(
                study,
                each.msp_id,
                load_cohort(each, data, size_px=recipe.size_px, cache=cache_folder() / "slices"),
                StudyStore(Path(scratch) / each.name),
                network=network,
            )
            for each in hospitals
        }
        parent = initial_shared(study)
        number = done = 0
        for published in range(max(rounds_before) + 1):
            wanted = 2 * repetitions if published in rounds_before else 1
            updates: dict[str, list[Vector]] = {name: [] for name in trainers}
            for _ in range(wanted):
                number += 1
                task = TrainingTask(number, published, parent)
                for name, trainer in trainers.items():
                    moved = trainer.train(task, lambda done, total: None)
                    updates[name].append(moved.astype(np.float64) - parent)
                    done += 1
                    progress(done, trainings, "trainings")
            if published in rounds_before:
                result[str(published)] = readings(updates)
            parent = parent + np.mean([u[-1] for u in updates.values()], axis=0).astype(np.float32)
    return {"hospitals": len(hospitals), "values": study.parameters, "after_rounds": result}


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True), help="A folder of CT.")
@click.option("--rounds-before", multiple=True, type=click.IntRange(0), default=(0, 4, 12))
@click.option("--repetitions", type=click.IntRange(1, 50), default=4, show_default=True)
def main(data: Path | None, rounds_before: tuple[int, ...], repetitions: int) -> None:
    """Measure what two sums from one parent show."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    name = "phantoms.yaml" if data is None else "real_ct.yaml"
    begin = time.monotonic()
    loop_s = loop_seconds()
    found = measure(PROJECT / "examples" / name, data, sorted(rounds_before), repetitions)
    found |= {"data": name, "loop_cpu_s": loop_s, "seconds": time.monotonic() - begin}
    click.echo("| rounds before | two updates of one hospital | of two hospitals | one sum and the")
    click.echo("| victim | difference, 1 sum each | difference, all repetitions |")
    for published, each in found["after_rounds"].items():
        by_r = each["difference_cosine"]
        row = (each["own_cosine"], each["foreign_cosine"], each["one_sum_cosine"], by_r[1])
        cells = " | ".join(f"{value:.2f}" for value in (*row, by_r[max(by_r)]))
        click.echo(f"| {published} | {cells} |")
    click.echo(json.dumps(found))


if __name__ == "__main__":
    main()
