"""After an update is sealed no copy of a secret is in the process's memory, in whatever encoding.

A process seals with the project's own code; its parent, this test, reads all of its memory.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from chaincode.roundkey import ntt, ring
from chaincode.roundkey.expansion import expand
from chaincode.roundkey.frame import digest
from chaincode.roundkey.parameters import (
    MODULUS,
    POLYNOMIAL_BYTES,
    RING_DEGREE,
    SHARE_BYTES,
    SHARE_PRIME,
)
from peer_client.sealing.encoder import wide_modulus
from tests.support.sealing_process import PARAMETERS, ROUND, STUDY

PROGRAM = Path(__file__).parents[3] / "support" / "sealing_process.py"
#: Where in a polynomial is looked, 36 to 48 places each: a copy may be cut at its ends.
PLACES = (slice(0, 36), slice(64, 112), slice(2000, 2048), slice(4060, 4096))
SEED_BYTES = 32


def searched(*how: str) -> Mapping[str, int]:
    """Seal in a process of its own; return how often each secret is in its memory then."""
    mask = os.urandom(SHARE_BYTES)
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), mask.hex(), *how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        wanted = SEED_BYTES + RING_DEGREE + SHARE_BYTES + POLYNOMIAL_BYTES
        handed = b""
        while len(handed) < wanted:
            more = process.stdout.read(wanted - len(handed))
            assert more, "the process that seals ended early"
            handed += more
        memory = list(_writable(process.pid))
        process.stdin.write(b"\n")
    parts = np.split(np.frombuffer(handed, np.uint8), np.cumsum([SEED_BYTES, RING_DEGREE, 8192]))
    seed, secret, share = (each ^ np.frombuffer(mask, np.uint8)[: each.size] for each in parts[:3])
    patterns = _patterns(
        seed.tobytes(), secret.view(np.int8), share.view(np.uint16), parts[3].view("<u8")
    )
    return {
        name: sum(area.count(pattern) for area in memory for pattern in its)
        for name, its in patterns.items()
    }


def _writable(pid: int) -> Iterator[bytes]:
    with Path(f"/proc/{pid}/maps").open() as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            area = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw(?!.*\[vv)", line)
            if area is None:
                continue
            begin, end = (int(part, 16) for part in area.groups())
            memory.seek(begin)
            yield memory.read(end - begin)


def _patterns(
    seed: bytes, secret: NDArray[np.int8], share: NDArray[np.uint16], check: NDArray[np.uint64]
) -> Mapping[str, list[bytes]]:
    """Return every secret in every encoding that the program uses, as bytes to look for."""
    wide = secret.astype(np.int64)
    values = ntt.forward(ring.lift(secret))
    public = expand(STUDY, ROUND, 1, first=PARAMETERS.polynomials)[0]
    scaled = ring.centre(ntt.inverse(ring.add(check, ring.multiply(public, values))))
    error = scaled // PARAMETERS.plaintext_modulus
    assert np.abs(error).max() <= 42  # what was handed over is this upload's secret
    arrays: Mapping[str, NDArray[np.generic]] = {
        "secret, int8": secret,
        "secret, int16": secret.astype(np.int16),
        "secret, int64": wide,
        "secret modulo p, int64": wide % SHARE_PRIME,
        "secret modulo p, uint16": (wide % SHARE_PRIME).astype(np.uint16),
        "secret modulo q": ring.lift(secret),
        "signs of the secret": (wide >> np.int64(63)) & np.int64(MODULUS),
        "secret in NTT form": values,
        "secret in NTT form, transposed": values.reshape(64, 64).T.reshape(-1),
        "negated secret in NTT form": ring.negate(values),
        "masked zero of the key check": ring.multiply(public, ring.negate(values)),
        "error of the key check, int8": error.astype(np.int8),
        "error of the key check, int64": error,
        "error times t": scaled,
        "error times t, modulo SEAL's modulus": scaled + ((scaled >> 63) & wide_modulus()),
        "a share, uint16": share,
        "a share, int64": share.astype(np.int64),
    }
    patterns = {
        name: [array[place].tobytes() for place in PLACES] for name, array in arrays.items()
    }
    patterns["seed"] = [seed]
    for name in ("secret", "errors", "shares"):
        patterns[f"key of the {name}"] = [digest(f"roundkey/draw/{name}/v1", seed)]
    return patterns


@pytest.mark.parametrize("how", [(), ("kept",)], ids=["as it is", "freed memory kept"])
def test_nothing_of_a_round_secret_is_left_in_memory_after_sealing(how: tuple[str, ...]) -> None:
    found = searched(*how)

    assert {name: copies for name, copies in found.items() if copies} == {}


def test_without_wiping_the_search_finds_seed_secret_error_and_share() -> None:
    found = searched("unwiped", "kept")

    assert found["seed"] > 0
    assert sum(copies for name, copies in found.items() if "secret" in name) > 0
    assert sum(copies for name, copies in found.items() if "error" in name) > 0
    assert sum(copies for name, copies in found.items() if "share" in name) > 0
