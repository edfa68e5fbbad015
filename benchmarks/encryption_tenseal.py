"""TenSEAL with NVIDIA FLARE's defaults, for benchmarks/encryption.py; runs in a venv of its own.

FLARE provisions CKKS with poly_modulus_degree 8192, coeff_mod_bit_sizes [60, 40, 40] and
scale_bits 40, encrypts under one symmetric key that every hospital holds, and serialises each
encrypted vector.
Prints one JSON line for each case; argv: pairs of parameters and repetitions.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import numpy as np
import tenseal

RING_DEGREE, BIT_SIZES, SCALE_BITS = 8192, [60, 40, 40], 40


def context() -> tenseal.Context:
    """Return a context as FLARE's provisioning makes it, one thread."""
    made = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS,
        poly_modulus_degree=RING_DEGREE,
        coeff_mod_bit_sizes=BIT_SIZES,
        encryption_type=tenseal.ENCRYPTION_TYPE.SYMMETRIC,
        n_threads=1,
    )
    made.global_scale = 2**SCALE_BITS
    return made


def measure(he: tenseal.Context, parameters: int, repetitions: int) -> dict[str, float]:
    """Time what one hospital computes, and the aggregator's load and addition of one update."""
    update = np.random.default_rng(0).normal(0, 0.02, parameters)
    seconds, processor, added, size = [], [], [], 0
    for _ in range(repetitions):
        start, cpu = time.perf_counter(), time.process_time()
        sent = tenseal.ckks_vector(he, update).serialize()
        sealed_s, sealed_cpu_s = time.perf_counter() - start, time.process_time() - cpu
        size = len(sent)
        start = time.perf_counter()
        total = tenseal.ckks_vector_from(he, sent)
        total += tenseal.ckks_vector_from(he, sent)
        added.append(2 * size / (time.perf_counter() - start) / 1e9)
        summed = total.serialize()
        del total
        start, cpu = time.perf_counter(), time.process_time()
        opened = np.array(tenseal.ckks_vector_from(he, summed).decrypt())
        seconds.append(sealed_s + time.perf_counter() - start)
        processor.append(sealed_cpu_s + time.process_time() - cpu)
        assert np.abs(opened - 2 * update).max() < 1e-5
    return {
        "parameters": parameters,
        "bytes_per_parameter": size / parameters,
        "seconds_per_hospital": statistics.median(seconds),
        "cpu_seconds_per_hospital": statistics.median(processor),
        "add_gb_per_second": statistics.median(added),
    }


def main() -> None:
    """Measure the cases named on the command line."""
    he = context()
    numbers = [int(argument) for argument in sys.argv[1:]]
    for parameters, repetitions in zip(numbers[::2], numbers[1::2], strict=True):
        print(json.dumps(measure(he, parameters, repetitions)), flush=True)


if __name__ == "__main__":
    main()
