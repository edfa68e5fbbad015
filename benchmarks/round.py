"""A whole encrypted round on real Fabric, without training: seconds by phase, medians.

    python benchmarks/round.py [--parameters 1000000] [--rounds 5] [--bits 8]

Four hospitals, each its own process with the client's own round code, over a consortium of four BFT
ordering nodes and five peers in a temporary folder. The trainer returns random weights at once, so
what is timed is everything else: joining, encrypting, dealing, sealing, submitting, the chaincode's
checks and sums, answers, the key. Times are read at one gateway as the events of the chaincode
arrive there. `round_seconds` is from the last join to the recorded key; `cpu_seconds` are those of
a whole round, by kind of process, the authority's peer among them. With `--against FOLDER`, another
checkout of this project, both are measured in turns in the same run, and the ratio of the medians
is told beside the machine's speed. The last line is JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
from machine_speed import loop_seconds
from numpy.typing import NDArray

PROJECT = Path(__file__).resolve().parent.parent
STUDY = "benchmark"
HOSPITALS = ("moscow1", "moscow2", "saopaulo", "ucsd")
AUTHORITY = "authority"
#: (phase, event that ends it, how many of them)
PHASES = (
    ("join", "round.joined", len(HOSPITALS)),
    ("close_joins", "round.joins_closed", 1),
    ("seal_and_put", "round.chunk", 0),
    ("submit", "round.update", len(HOSPITALS)),
    ("aggregate", "round.summed", 1),
    ("answer", "round.share_sum", 3),
    ("record_key", "round.key", 1),
    ("open_and_confirm", "round.confirmed", 3),
    ("publish", "round.published", 1),
)


class RandomTrainer:
    """Returns weights moved at random, at once: the movement is drawn before anything is timed."""

    def __init__(self, parameters: int) -> None:
        self._noise = np.random.default_rng().normal(0, 1e-3, parameters).astype(np.float32)

    def train(self, task: Any, progress: Any) -> NDArray[np.float32]:
        """Return new weights, float32, shape `(parameters,)`, moved otherwise in each round."""
        moved: NDArray[np.float32] = task.start + np.roll(self._noise, task.round_number)
        return moved

    def metrics_ppm(self, task: Any, after: NDArray[np.float32]) -> Mapping[str, int]:
        """Return metrics that pass the gate."""
        return {"auc_before": 500_000, "auc_after": 500_000}


def initial(parameters: int) -> NDArray[np.float32]:
    """Return the weights the benchmark's study starts from."""
    weights: NDArray[np.float32] = np.linspace(-1, 1, parameters, dtype=np.float32)
    return weights


def terms_of(parameters: int, bits: int, rounds: int, genesis_sha256: str) -> Any:
    """Return the terms of a study with one tensor of so many values, on a channel."""
    from chaincode.records.study import (
        Architecture,
        Deadlines,
        Ordering,
        Study,
        StudyHospital,
        Weight,
        weights_digest,
    )
    from peer_client.update import model_digest

    weights = (Weight("weights", (parameters,), "all", 10_000_000),)
    members = tuple(
        StudyHospital(f"{name}MSP", point, 1, "none")
        for point, name in enumerate(HOSPITALS, start=1)
    )
    return Study(
        study=STUDY,
        genesis_sha256=genesis_sha256,
        title="Benchmark of a round",
        architecture=Architecture("none", {}),
        label_scheme={"positive": "none"},
        hospitals=members,
        ordering=Ordering("BFT", 4),
        bits=bits,
        threshold=3,
        contributors_min=3,
        rounds=rounds,
        local_steps=4,
        seed=1,
        weights=weights,
        weights_sha256=weights_digest(weights),
        initial_model_sha256=model_digest(initial(parameters)),
        deadlines_s=Deadlines(600, 600, 600),
        gate_margin_ppm=1_000_000,
    )


def take_part(member: str, parameters: int, rounds: int, ready: Any) -> None:
    """Run one hospital's side of all rounds (a process of its own)."""
    from network.freed_memory import keep_freed_memory
    from peer_client.client import follow, member_client, open_context
    from peer_client.rounds.context import unwatched
    from peer_client.studies.study import read_study

    keep_freed_memory()
    with member_client(Path(member)) as client:
        terms = read_study(client.ledger, STUDY).terms
        context = open_context(
            client,
            terms,
            RandomTrainer(parameters),
            watch=unwatched,
            environment=os.environ,
            initial=lambda: initial(parameters),
        )
        with context as opened:
            ready.wait()
            for _ in follow(opened, rounds):
                pass


def seconds_by_phase(events: list[tuple[float, str]]) -> dict[str, float]:
    """Return how long each phase of one round took, from the times of its events.

    >>> times = [(0.0, "round.joined")] * 4 + [(0.5, "round.joins_closed")]
    >>> seconds_by_phase(times)["close_joins"]
    0.5
    """
    before = events[0][0]
    seconds = {}
    for phase, event, count in PHASES:
        times = [at for at, name in events if name == event]
        if not times:
            continue
        ended = times[min(count, len(times)) - 1] if count else times[-1]
        seconds[phase] = round(max(ended - before, 0.0), 3)
        before = max(before, ended)
    return seconds


def round_seconds(events: list[tuple[float, str]]) -> float:
    """Return the seconds from the last join to the recorded key."""
    joined = [at for at, name in events if name == "round.joined"]
    key = next(at for at, name in events if name == "round.key")
    return round(key - joined[len(HOSPITALS) - 1], 3)


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time that processes have used (proc(5), utime and stime); Linux only."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def cpu_by_kind(directories: Mapping[str, Any], clients: Iterable[int]) -> dict[str, float]:
    """Return the CPU seconds of all members' processes so far, by kind of process."""
    from network.consortium.nodes import nodes_of

    pids: dict[str, list[int]] = {"client": list(clients)}
    for directory in directories.values():
        for node in nodes_of(directory, directory.topology()):
            process = node.process()
            if process is not None:
                pids.setdefault(node.kind, []).append(process.pid)
    return {kind: cpu_seconds(found) for kind, found in pids.items()}


def watch_rounds(
    directory: Any, rounds: int, start_block: int, published_round: Callable[[], None]
) -> dict[int, list[tuple[float, str]]]:
    """Follow the chaincode's events until so many rounds were published; stamp each.

    Args:
        directory: The member at whose peer the events are followed.
        rounds: How many rounds.
        start_block: First block.
        published_round: Called after each round.
    """
    seen: dict[int, list[tuple[float, str]]] = {}
    published = 0
    with directory.connect() as gateway:
        contract = gateway.contract(directory.description()["chaincode"])
        with contract.events(start_block) as stream:
            for event in stream:
                now = time.monotonic()
                payload = json.loads(event.payload)
                if payload["study"] != STUDY or not payload["round"]:
                    continue
                seen.setdefault(payload["round"], []).append((now, event.name))
                print(f"  round {payload['round']}: {event.name}", file=sys.stderr)
                if event.name == "round.published":
                    published += 1
                    published_round()
                    if published == rounds:
                        return seen
    raise SystemExit("the event stream ended before the rounds did")


def measure(root: Path, parameters: int, bits: int, rounds: int) -> dict[str, Any]:
    """Agree on a study, run a warm-up round and `rounds` more, and return the medians."""
    from network.consortium.member import MemberDirectory
    from peer_client.audit.block_walk import check_chain
    from peer_client.client import member_client
    from peer_client.studies.study import approve, propose, read_study

    directories = {name: MemberDirectory(root / name) for name in HOSPITALS}
    for number, name in enumerate(HOSPITALS):
        with member_client(root / name) as client:
            if number == 0:
                terms = terms_of(parameters, bits, rounds + 1, client.ledger.genesis_sha256)
                committed = propose(client.ledger, terms, client.agreement(), now_s=time.time())
                client.ledger.wait_everywhere(committed.transaction_id, 10.0)
            else:
                state = read_study(client.ledger, STUDY)
                approve(client.ledger, state, client.agreement(), now_s=time.time())
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Barrier(len(HOSPITALS))
    workers = [
        spawn.Process(
            target=take_part, args=(str(root / name), parameters, rounds + 1, ready), daemon=True
        )
        for name in HOSPITALS
    ]
    for worker in workers:
        worker.start()
    with directories["ucsd"].connect() as gateway:
        height = gateway.height()
    everybody = {name: MemberDirectory(root / name) for name in (*HOSPITALS, AUTHORITY)}
    used: list[dict[str, float]] = []
    seen = watch_rounds(
        directories["ucsd"],
        rounds + 1,
        height,
        lambda: used.append(cpu_by_kind(everybody, [w.pid for w in workers if w.pid])),
    )
    for worker in workers:
        worker.join(60)
    measured = [seen[number] for number in sorted(seen) if number > 1]
    phases = [seconds_by_phase(events) for events in measured]
    with member_client(root / "ucsd") as client:
        chain = check_chain(client.ledger, study=STUDY)
    on_chain = [chain.bytes_by_round[number] for number in sorted(seen) if number > 1]
    from chaincode.records.terms import round_parameters

    derived = round_parameters(terms)
    return {
        "system": "capsule-consortium",
        "hospitals": len(HOSPITALS),
        "parameters": parameters,
        "bits": bits,
        "rounds": rounds,
        "round_seconds": statistics.median(map(round_seconds, measured)),
        "round_seconds_all": [round_seconds(events) for events in measured],
        "phases": {
            name: statistics.median(each[name] for each in phases if name in each)
            for name, _, _ in PHASES
            if any(name in each for each in phases)
        },
        "cpu_seconds": {
            kind: round((used[-1][kind] - used[0][kind]) / rounds, 2) for kind in sorted(used[0])
        },
        "bytes_on_chain": statistics.median(on_chain),
        "bytes_beside_chain_per_hospital": derived.upload_bytes,
    }


def run_in(checkout: Path, parameters: int, bits: int, rounds: int) -> dict[str, Any]:
    """Run this benchmark of another checkout, with this interpreter, and return its result."""
    command = [sys.executable, str(checkout / "benchmarks" / "round.py")]
    command += ["--parameters", str(parameters), "--bits", str(bits), "--rounds", str(rounds)]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    done = subprocess.run(
        command, env=environment, cwd=checkout, stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def in_turns(
    other: Path, parameters: int, bits: int, rounds: int, turns: int
) -> dict[str, list[dict[str, Any]]]:
    """Measure the other checkout and this one, one after the other, so many times."""
    results: dict[str, list[dict[str, Any]]] = {"before": [], "after": []}
    for turn in range(turns):
        for name, checkout in (("before", other), ("after", PROJECT)):
            loop_s = loop_seconds()
            found = run_in(checkout, parameters, bits, rounds)
            results[name].append({**found, "loop_cpu_s": round(loop_s, 3)})
            print(
                f"turn {turn + 1} of {turns}, {name}: {found['round_seconds']:.2f} s a round, "
                f"{sum(found['cpu_seconds'].values()):.2f} CPU s, loop {loop_s:.2f} CPU s",
                file=sys.stderr,
            )
    return results


def comparison(results: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the medians of both and their ratios.

    >>> one = {"round_seconds_all": [2.0, 4.0], "cpu_seconds": {"peer": 1.0}, "loop_cpu_s": 0.3}
    >>> two = {"round_seconds_all": [3.0, 3.0], "cpu_seconds": {"peer": 1.5}, "loop_cpu_s": 0.3}
    >>> comparison({"before": [one], "after": [two]})["ratio_cpu_seconds"]
    1.5
    """
    seconds = {
        name: statistics.median(s for each in runs for s in each["round_seconds_all"])
        for name, runs in results.items()
    }
    cpu = {
        name: statistics.median(sum(each["cpu_seconds"].values()) for each in runs)
        for name, runs in results.items()
    }
    return {
        "round_seconds": seconds,
        "cpu_seconds": cpu,
        "ratio_round_seconds": round(seconds["after"] / seconds["before"], 3),
        "ratio_cpu_seconds": round(cpu["after"] / cpu["before"], 3),
        "loop_cpu_s": [each["loop_cpu_s"] for runs in results.values() for each in runs],
        "runs": dict(results),
    }


@click.command()
@click.option("--parameters", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option("--bits", type=click.IntRange(2, 16), default=8, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option(
    "--against",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Another checkout of this project, measured in turns with this one.",
)
@click.option("--turns", type=click.IntRange(1), default=3, show_default=True)
def main(parameters: int, bits: int, rounds: int, against: Path | None, turns: int) -> None:
    """Time whole rounds on a real consortium in a temporary folder."""
    if against is not None:
        results = in_turns(against.resolve(), parameters, bits, rounds, turns)
        print(json.dumps(comparison(results)))
        return
    program = str(Path(sys.executable).parent / "consortium")
    with tempfile.TemporaryDirectory(prefix="benchmark-round-") as folder:
        root = Path(folder) / "consortium"
        place = ["--root", str(root)]
        config = ["--config", str(PROJECT / "crypto-config.yaml"), "--port-base", "21000"]
        subprocess.run([program, "init", *place, *config], check=True, stdout=sys.stderr)
        try:
            subprocess.run([program, "up", *place], check=True, stdout=sys.stderr)
            result = measure(root, parameters, bits, rounds)
        finally:
            subprocess.run([program, "stop", *place], check=False, stdout=sys.stderr)
    result["loop_cpu_s"] = round(loop_seconds(), 3)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
