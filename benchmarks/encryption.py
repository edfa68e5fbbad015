"""What encryption costs: ours, TenSEAL with FLARE's defaults, Pyfhel's tutorial, plain float32.

    make benchmark-encryption                       all cases, medians, about six minutes
    python -m benchmarks.encryption --quick         without 1e7 parameters

All in one run, one thread, each system in a process of its own. `seconds_per_hospital` is wall
time of all that one hospital computes in a round, `cpu_seconds_per_hospital` the processor time of
the same, which says more on a machine that does other things too. For ours: expand, pack, encrypt,
deal, seal to everybody, open its boxes, add the sum again and check it, find and check the round
key, decrypt, decode, check ranges, with every hospital contributing; for the others: encode,
encrypt, serialise, load, decrypt, decode. The last line is JSON, a list, one object for each case.

TenSEAL is installed into a venv under the XDG cache (it wants its own protobuf).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
TENSEAL = "tenseal==0.3.18"
SIZES = (10**5, 10**6, 10**7)
REPETITIONS = {10**5: 9, 10**6: 7, 10**7: 3}
FLARE_REPETITIONS = {10**5: 5, 10**6: 3, 10**7: 1}
HOSPITALS = (4, 20)
BITS = (8, 4)

Row = dict[str, Any]


def main() -> None:
    """Run every system, print a table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="leave out 1e7 parameters")
    parser.add_argument("--case", nargs=4, metavar="X", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        system, *numbers = options.case
        print(json.dumps(CASES[system](*(int(number) for number in numbers))))
        return
    sizes = SIZES[:2] if options.quick else SIZES
    rows = list(_ours(sizes)) + _flare(sizes)
    for size in sizes:
        rows.append(_child("pyfhel tutorial", size, 0, 0))
        rows.append(_child("plain float32", size, 0, 0))
    _print_table(rows)
    print(json.dumps(rows))


def _ours(sizes: Sequence[int]) -> Sequence[Row]:
    rows = []
    for size in sizes:
        for hospitals in HOSPITALS:
            for bits in BITS:
                rows.append(_child("ours", size, hospitals, bits))
    return rows


def _child(system: str, *numbers: int) -> Row:
    """Measure one case in a fresh process, so that memory and caches are its own."""
    print(f"{system} {numbers}", file=sys.stderr, flush=True)
    words = ["--case", system, *(str(number) for number in numbers)]
    command = [sys.executable, "-m", "benchmarks.encryption", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


# --- ours ------------------------------------------------------------------------------------


def measure_ours(parameters: int, hospitals: int, bits: int) -> Row:
    """Time one hospital's whole round, and the chaincode's part."""
    from chaincode.records.sums import validate_and_add
    from chaincode.roundkey.shares import check_round_key, find_round_key, interpolate
    from peer_client.sealing import open_sum
    from tests.support.sealed_round import SealedRound

    repetitions = REPETITIONS[parameters]
    played = SealedRound(hospitals, bits, parameters).play()
    own, rows = played.msps[0], played.parameters.polynomials + 1
    words = played.layout.ciphertext_bytes
    uploads = [memoryview(upload.payload)[:words] for upload in played.uploads.values()]
    place = {"study": played.study, "round_number": played.number}
    numbers = {"parameters": played.parameters, "contributors": hospitals}
    answers = played.share_sums(played.msps[: played.parameters.threshold], played.msps)
    received = played.boxes(own, played.msps)
    values = played.values[own]
    expected = sum(played.values.values())
    played.values.clear()
    _reset_peak()
    base_mb = _status_mb("VmRSS")
    phases = Stopwatch()
    for _ in range(repetitions):
        phases.time("seal", played.contribute, own, values)
        phases.time("answer", _answer, played, own, received)
        total = phases.time("add", _add, uploads, rows)
        found = phases.time("key", find_round_key, answers, total[-1], **place, **numbers)
        opened = phases.time("open", open_sum, total, found.round_key, **place, **numbers)
        assert (opened == expected).all()
        del opened
    memory_mb = _status_mb("VmHWM") - base_mb
    chaincode = Stopwatch()
    for _ in range(repetitions):
        chaincode.time("add", validate_and_add, uploads, rows)
        key = chaincode.time("interpolate", interpolate, answers)
        chaincode.time("key check", check_round_key, key, total[-1], **place, **numbers)
    return {
        "system": "ours",
        "parameters": parameters,
        "hospitals": hospitals,
        "bits": bits,
        "bytes_per_parameter": played.parameters.bytes_per_parameter,
        "seconds_per_hospital": phases.median_of_sums(phases.wall),
        "cpu_seconds_per_hospital": phases.median_of_sums(phases.cpu),
        "add_gb_per_second": len(uploads) * words / chaincode.median("add") / 1e9,
        "key_check_seconds": chaincode.median("interpolate") + chaincode.median("key check"),
        "memory_mb": memory_mb,
        "phases_seconds": {phase: phases.median(phase) for phase in phases.wall},
        "levels": played.parameters.levels,
    }


class Stopwatch:
    """Wall and processor time of calls, by phase."""

    def __init__(self) -> None:
        self.wall: dict[str, list[float]] = {}
        self.cpu: dict[str, list[float]] = {}

    def time(self, phase: str, act: Callable[..., Any], *args: Any, **names: Any) -> Any:
        """Call and time."""
        wall, cpu = time.perf_counter(), time.process_time()
        result = act(*args, **names)
        self.wall.setdefault(phase, []).append(time.perf_counter() - wall)
        self.cpu.setdefault(phase, []).append(time.process_time() - cpu)
        return result

    def median(self, phase: str) -> float:
        """Median wall time of a phase, seconds."""
        return statistics.median(self.wall[phase])

    @staticmethod
    def median_of_sums(times: dict[str, list[float]]) -> float:
        """Median over repetitions of the sum over phases, seconds."""
        return statistics.median([sum(each) for each in zip(*times.values(), strict=True)])


def _answer(played: Any, own: str, received: Any) -> Any:
    from peer_client.sealing import open_boxes

    return open_boxes(
        received,
        parameters=played.parameters,
        round=played.transcript(own),
        sealing_key=played.keys[own],
    )


def _add(uploads: Sequence[memoryview], rows: int) -> Any:
    """What a client does again before it answers: validate, add, hash."""
    from chaincode.records.sums import validate_and_add

    total, invalid = validate_and_add(uploads, rows)
    assert not invalid
    for start in range(0, rows, 128):
        hashlib.sha256(total[start : start + 128]).digest()
    return total


def _reset_peak() -> None:
    """Start the kernel's peak of resident memory again (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def _status_mb(name: str) -> float:
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)
    )
    return int(line.split()[1]) / 1024


# --- the others ------------------------------------------------------------------------------


def _flare(sizes: Sequence[int]) -> list[Row]:
    cases = [str(number) for size in sizes for number in (size, FLARE_REPETITIONS[size])]
    python = _tenseal_python()
    print("TenSEAL with FLARE's defaults", file=sys.stderr, flush=True)
    script = ROOT / "benchmarks" / "encryption_tenseal.py"
    done = subprocess.run([python, script, *cases], capture_output=True, text=True, check=True)
    return [
        {"system": "tenseal flare", **json.loads(line), "hospitals": None, "bits": None}
        for line in done.stdout.splitlines()
        if line.startswith("{")  # TenSEAL prints notices of its own
    ]


def _tenseal_python() -> Path:
    """Return the interpreter of TenSEAL's own venv, made where it is missing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "capsule-consortium" / "benchmark-tenseal"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        print(f"installing {TENSEAL} into its own environment", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [python, "-m", "pip", "install", "--quiet", TENSEAL, "numpy"]
        subprocess.run(install, check=True, stdout=sys.stderr)
        ready.write_text(TENSEAL + "\n")
    return python


def measure_tutorial(parameters: int, _hospitals: int, _bits: int) -> Row:
    """Time Pyfhel's CKKS tutorial parameters: n = 2**14, scale 2**30, qi_sizes 60 30 30 30 60."""
    warnings.simplefilter("ignore")
    from Pyfhel import PyCtxt, Pyfhel

    he = Pyfhel()
    he.contextGen(scheme="CKKS", n=2**14, scale=2**30, qi_sizes=[60, 30, 30, 30, 60])
    he.keyGen()
    slots = 2**13
    update = np.random.default_rng(0).normal(0, 0.02, parameters)
    # One piece after another: kept whole, 1e7 parameters would take over a gigabyte.
    seconds, added, size = 0.0, 0.0, 0
    cpu = time.process_time()
    for start in range(0, parameters, slots):
        piece = update[start : start + slots]
        began = time.perf_counter()
        sent = he.encryptFrac(piece).to_bytes()
        seconds += time.perf_counter() - began
        began = time.perf_counter()
        total = PyCtxt(pyfhel=he, bytestring=sent)
        total += PyCtxt(pyfhel=he, bytestring=sent)
        added += time.perf_counter() - began
        summed = total.to_bytes()
        began = time.perf_counter()
        opened = he.decryptFrac(PyCtxt(pyfhel=he, bytestring=summed))
        seconds += time.perf_counter() - began
        size += len(sent)
        assert np.abs(np.array(opened[: piece.size]) - 2 * piece).max() < 1e-2
    cpu = time.process_time() - cpu - added
    return _other("pyfhel tutorial", parameters, size, (seconds, cpu), 2 * size / added / 1e9)


def measure_plain(parameters: int, _hospitals: int, _bits: int) -> Row:
    """Time float32 sent in clear: to bytes, from bytes, one addition."""
    update = np.random.default_rng(0).normal(0, 0.02, parameters).astype(np.float32)
    seconds, added = [], []
    for _ in range(REPETITIONS[parameters]):
        start = time.perf_counter()
        sent = update.tobytes()
        received = np.frombuffer(sent, np.float32)
        seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
        total = received + update
        added.append(time.perf_counter() - start)
        assert total.size == parameters
    size = 4 * parameters
    rate = 2 * size / statistics.median(added) / 1e9
    median = statistics.median(seconds)
    return _other("plain float32", parameters, size, (median, median), rate)


def _other(
    system: str, parameters: int, size: int, seconds: tuple[float, float], rate: float
) -> Row:
    return {
        "system": system,
        "parameters": parameters,
        "hospitals": None,
        "bits": None,
        "bytes_per_parameter": size / parameters,
        "seconds_per_hospital": seconds[0],
        "cpu_seconds_per_hospital": seconds[1],
        "add_gb_per_second": rate,
    }


CASES: dict[str, Callable[[int, int, int], Row]] = {
    "ours": measure_ours,
    "pyfhel tutorial": measure_tutorial,
    "plain float32": measure_plain,
}


def _print_table(rows: Sequence[Row]) -> None:
    head = f"{'system':16} {'parameters':>10} {'hospitals':>9} {'bits':>4} {'B/param':>8}"
    print(f"{head} {'s/hospital':>11} {'(CPU)':>8} {'add GB/s':>9} {'MB above base':>13}")
    for row in sorted(rows, key=lambda row: (row["parameters"], row["system"])):
        memory = f"{row['memory_mb']:.0f}" if "memory_mb" in row else "-"
        print(
            f"{row['system']:16} {row['parameters']:>10} {row['hospitals'] or '-':>9} "
            f"{row['bits'] or '-':>4} {row['bytes_per_parameter']:>8.2f} "
            f"{row['seconds_per_hospital']:>11.4f} {row['cpu_seconds_per_hospital']:>8.4f} "
            f"{row['add_gb_per_second']:>9.2f} {memory:>13}"
        )


if __name__ == "__main__":
    main()
