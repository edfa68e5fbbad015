"""How fast the capsule network trains and predicts, beside the textbook layer and its twin.

The capsule network, the same network with the textbook capsule layer, and the plain U-Net twin; one
and two threads; the same slices and batches. Each system has a process of its own, so that threads
and peak memory are its own, and they take turns of five steps: what else the machine does slows all
of them alike. Two processes of the same code may differ by a tenth for as long as they live (where
their memory lies, which neighbour they have), so each system is started several times. Figures are
medians over all steps but the first of each turn. Prints a table to stderr and, last, one JSON
line to stdout: a list of objects with `system`, `threads`, `images_per_second_train`,
`images_per_second_predict` and `peak_megabytes`, and beside these `parameters`,
`cpu_seconds_per_step`, `waiting_share` (of the time, for the next batch) and `capsnet_time_ratio`:
how often the system's step fits into one of the capsule network's in the same turn, median over the
turns of all starts. It is steadier than a quotient of two medians where the machine is now fast,
now slow.

    python -m benchmarks.training [--size 96] [--starts 4] [--turns 5] [--threads 1,2]
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
from pathlib import Path
from typing import Any

from benchmarks.networks import NetworkName, build_network

ROOT = Path(__file__).resolve().parents[1]
SYSTEMS: tuple[NetworkName, ...] = ("capsnet", "textbook", "unet")
#: The textbook layer is so slow that it takes one turn in so many.
TEXTBOOK_INTERVAL = 5
CLASS_ITEMS, MASK_ITEMS = 12, 4
PREDICTED = 64
#: Steps of one turn; the first one's batch is made before it, every other's beside the step before.
STEPS = 5


def serve(system: NetworkName, threads: int, size_px: int) -> None:
    """Be one system: answer each line "train" or "predict" of stdin with a JSON line of seconds.

    Args:
        system: One of `SYSTEMS`.
        threads: TensorFlow's threads.
        size_px: Side of the slices in pixels.
    """
    import numpy as np

    from model.threads import set_threads

    set_threads(threads)
    from model.config import CapsNetConfig
    from model.prediction import predict
    from model.sampling import TrainingSlices
    from model.training import TrainProgress, TrainSettings, train

    net = build_network(system, CapsNetConfig(size_px=size_px))
    rng = np.random.default_rng(0)
    slices = TrainingSlices(
        rng.random((PREDICTED, size_px, size_px, 1), dtype=np.float32),
        np.arange(PREDICTED) % 2,
        [str(number) for number in range(PREDICTED)],
        rng.integers(0, 3, (8, size_px, size_px)).astype(np.uint8),
        np.arange(8),
    )
    settings = TrainSettings(steps=STEPS, class_items=CLASS_ITEMS, mask_items=MASK_ITEMS)

    def turn() -> dict[str, Any]:
        ends: list[float] = []

        def note(report: TrainProgress) -> None:
            ends.append(report.seconds)

        cpu = time.process_time()
        result = train(net, slices, settings, progress=note)
        return {
            "seconds": [end - begin for begin, end in itertools.pairwise(ends)],
            "cpu_seconds": (time.process_time() - cpu) / STEPS,
            "waiting": result.metrics["seconds_waiting"],
            "all_seconds": result.metrics["seconds"],
        }

    def answer() -> dict[str, float]:
        begin = time.perf_counter()
        predict(net, slices.images, flips=False)
        return {"seconds": time.perf_counter() - begin}

    asked = {"train": turn, "predict": answer}
    turn(), answer()  # compiled by now
    parameters = sum(spec.size for spec in net.manifest)
    print(json.dumps({"parameters": parameters}), flush=True)
    for line in sys.stdin:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**asked[line.strip()](), "peak_megabytes": peak}), flush=True)


class System:
    """One system in a process of its own, idle except when it is asked.

    What it answers is kept when it is stopped and started again.
    """

    def __init__(self, name: NetworkName, threads: int, size_px: int) -> None:
        self.name, self._threads, self._size_px = name, threads, size_px
        self.parameters = 0
        self.turns: dict[int, dict[str, Any]] = {}
        self.predictions: list[dict[str, Any]] = []

    def start(self) -> None:
        """Start its process, and wait until it is compiled."""
        command = [sys.executable, "-m", "benchmarks.training", "--only", self.name]
        self._process = subprocess.Popen(
            [*command, "--threads", str(self._threads), "--size", str(self._size_px)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.parameters = int(self._read()["parameters"])

    def take_turn(self, number: int) -> None:
        """Have it train `STEPS` steps and predict, and keep both answers."""
        self.turns[number] = self._ask("train")
        self.predictions.append(self._ask("predict"))

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def row(self, threads: int, capsnet: System) -> dict[str, Any]:
        """Return this system's row of the result, beside the capsule network's turns."""
        turns = list(self.turns.values())
        seconds = statistics.median(each for turn in turns for each in turn["seconds"])
        predicting = statistics.median(answer["seconds"] for answer in self.predictions)
        waiting = sum(turn["waiting"] for turn in turns)
        ratio = statistics.median(
            statistics.median(capsnet.turns[number]["seconds"]) / statistics.median(turn["seconds"])
            for number, turn in self.turns.items()
        )
        return {
            "system": self.name,
            "threads": threads,
            "images_per_second_train": round((CLASS_ITEMS + MASK_ITEMS) / seconds, 2),
            "images_per_second_predict": round(PREDICTED / predicting, 2),
            "peak_megabytes": round(max(turn["peak_megabytes"] for turn in turns)),
            "parameters": self.parameters,
            "cpu_seconds_per_step": round(
                statistics.median(turn["cpu_seconds"] for turn in turns), 4
            ),
            "waiting_share": round(waiting / sum(turn["all_seconds"] for turn in turns), 4),
            "capsnet_time_ratio": round(ratio, 4),
        }

    def _ask(self, what: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise SystemExit(f"{self.name} ended before it answered")


def compare(threads: int, size_px: int, starts: int, turns: int) -> list[dict[str, Any]]:
    """Time all systems in turns: a machine that is busy with other things slows them alike."""
    systems = [System(name, threads, size_px) for name in SYSTEMS]
    for start in range(starts):
        for system in systems:
            system.start()
        for number in range(start * turns, (start + 1) * turns):
            for system in systems:
                if system.name != "textbook" or number % TEXTBOOK_INTERVAL == 0:
                    system.take_turn(number)
            told = f"{threads} thread(s): turn {number + 1} of {starts * turns}"
            print(f"\r{told}", end="", file=sys.stderr)
        for system in systems:
            system.stop()
    print(file=sys.stderr)
    capsnet = systems[SYSTEMS.index("capsnet")]
    return [system.row(threads, capsnet) for system in systems]


def main() -> None:
    """Run every system with every number of threads."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=96, help="side of the slices in pixels")
    parser.add_argument("--starts", type=int, default=4, help="processes of each system")
    parser.add_argument("--turns", type=int, default=5, help="turns of each process")
    parser.add_argument("--threads", default="1,2", help="numbers of threads, with commas")
    parser.add_argument("--only", choices=SYSTEMS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    threads = [int(number) for number in chosen.threads.split(",")]
    if chosen.only:
        serve(chosen.only, threads[0], chosen.size)
        return
    rows = [
        row
        for number in threads
        for row in compare(number, chosen.size, chosen.starts, chosen.turns)
    ]
    print(
        f"{'system':10}{'threads':>8}{'train/s':>10}{'predict/s':>11}{'MB':>7}{'parameters':>12}",
        file=sys.stderr,
    )
    for row in rows:
        print(
            f"{row['system']:10}{row['threads']:8}{row['images_per_second_train']:10.1f}"
            f"{row['images_per_second_predict']:11.1f}{row['peak_megabytes']:7}"
            f"{row['parameters']:12,}",
            file=sys.stderr,
        )
    for number in threads:
        ratio = {
            row["system"]: row["capsnet_time_ratio"] for row in rows if row["threads"] == number
        }
        print(
            f"{number} thread(s), median of the turns: the capsule network is "
            f"{1 / ratio['textbook']:.1f} times as fast as the textbook layer and "
            f"takes {ratio['unet']:.2f} times as long as the twin",
            file=sys.stderr,
        )
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
