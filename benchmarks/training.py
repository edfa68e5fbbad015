"""How fast the capsule network trains and predicts, beside the textbook layer and its twin.

Each system runs in a process of its own, so that threads and peak memory are its own: the
capsule network, the same network with the textbook capsule layer, and the plain U-Net twin; one and
two threads; the same slices, batch and step. Prints a table to stderr and, last, one JSON line to
stdout: a list of objects with `system`, `threads`, `images_per_second_train`,
`images_per_second_predict` and `peak_megabytes`, and beside these `parameters`,
`cpu_seconds_per_step` and `waiting_share` (of a step, for the next batch).

    python benchmarks/training.py [--size 96] [--steps 10] [--threads 1,2]
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

SYSTEMS = ("capsnet", "textbook", "unet")
#: The textbook layer is so slow that fewer steps tell as much.
SHARE_OF_STEPS = {"textbook": 0.5}
CLASS_ITEMS, MASK_ITEMS = 12, 4
PREDICTED = 64


def measure(system: str, threads: int, size_px: int, steps: int) -> dict[str, Any]:
    """Time one system in this process.

    Args:
        system: One of `SYSTEMS`.
        threads: TensorFlow's threads.
        size_px: Side of the slices in pixels.
        steps: Steps to time; two more go before them.

    Returns:
        One row of the result.
    """
    import numpy as np

    from model.threads import set_threads

    set_threads(threads)
    from model.capsnet import CapsNetConfig, build
    from model.network import SliceNetwork
    from model.prediction import predict
    from model.sampling import TrainingSlices
    from model.training import TrainProgress, TrainSettings, train
    from model.twin import build_twin

    config = CapsNetConfig(size_px=size_px, votes="textbook" if system == "textbook" else "shared")
    net: SliceNetwork = build_twin(config) if system == "unet" else build(config)
    rng = np.random.default_rng(0)
    count = PREDICTED
    slices = TrainingSlices(
        rng.random((count, size_px, size_px, 1), dtype=np.float32),
        np.arange(count) % 2,
        [str(number) for number in range(count)],
        rng.integers(0, 3, (8, size_px, size_px)).astype(np.uint8),
        np.arange(8),
    )
    settings = TrainSettings(steps=2, class_items=CLASS_ITEMS, mask_items=MASK_ITEMS)
    train(net, slices, settings)
    ends = [0.0]

    def note(report: TrainProgress) -> None:
        ends.append(report.seconds)

    steps = max(3, round(steps * SHARE_OF_STEPS.get(system, 1.0)))
    cpu = time.process_time()
    result = train(
        net,
        slices,
        TrainSettings(steps=steps, class_items=CLASS_ITEMS, mask_items=MASK_ITEMS),
        progress=note,
    )
    cpu = time.process_time() - cpu
    each = [after - before for before, after in itertools.pairwise(ends)]
    predict(net, slices.images[:32], flips=False)
    begin = time.perf_counter()
    predict(net, slices.images, flips=False)
    predicting = time.perf_counter() - begin
    return {
        "system": system,
        "threads": threads,
        "images_per_second_train": round((CLASS_ITEMS + MASK_ITEMS) / statistics.median(each), 2),
        "images_per_second_predict": round(count / predicting, 2),
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "parameters": sum(spec.size for spec in net.manifest),
        "cpu_seconds_per_step": round(cpu / steps, 4),
        "waiting_share": round(result.metrics["seconds_waiting"] / result.metrics["seconds"], 4),
    }


def run(system: str, threads: int, size_px: int, steps: int) -> dict[str, Any]:
    """Time one system in a process of its own."""
    command = [sys.executable, __file__, "--only", system, "--threads", str(threads)]
    command += ["--size", str(size_px), "--steps", str(steps)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return row


def main() -> None:
    """Run every system with every number of threads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=96, help="side of the slices in pixels")
    parser.add_argument("--steps", type=int, default=10, help="steps timed for each system")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, with commas")
    parser.add_argument("--only", choices=SYSTEMS, help="one system, in this process")
    chosen = parser.parse_args()
    threads = [int(number) for number in chosen.threads.split(",")]
    if chosen.only:
        print(json.dumps(measure(chosen.only, threads[0], chosen.size, chosen.steps)))
        return
    rows = []
    print(
        f"{'system':10}{'threads':>8}{'train/s':>10}{'predict/s':>11}{'MB':>7}{'parameters':>12}",
        file=sys.stderr,
    )
    for number in threads:
        for system in SYSTEMS:
            row = run(system, number, chosen.size, chosen.steps)
            rows.append(row)
            print(
                f"{system:10}{number:8}{row['images_per_second_train']:10.1f}"
                f"{row['images_per_second_predict']:11.1f}{row['peak_megabytes']:7}"
                f"{row['parameters']:12,}",
                file=sys.stderr,
            )
    for number in threads:
        speed = {
            row["system"]: row["images_per_second_train"]
            for row in rows
            if row["threads"] == number
        }
        print(
            f"{number} thread(s): the capsule network is "
            f"{speed['capsnet'] / speed['textbook']:.1f} times as fast as the textbook layer and "
            f"takes {speed['unet'] / speed['capsnet']:.2f} times as long as the twin",
            file=sys.stderr,
        )
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
