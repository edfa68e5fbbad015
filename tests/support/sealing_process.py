"""A process that seals one update and then waits, so that a test can search its memory.

What it hands to the test (keys, secret, a share) is masked with bytes that only the two know: the
process keeps no copy of its own that the search would find. Run with the mask in hexadecimal, and
"kept" (freed memory is kept, as the command line does) or "unwiped" (the rules switched off).
"""

from __future__ import annotations

import os
import sys

import numpy as np
from numpy.typing import NDArray

from chaincode.roundkey.parameters import POLYNOMIAL_BYTES, derive
from network.freed_memory import keep_freed_memory
from peer_client.sealing import (
    Joined,
    RoundTranscript,
    SealingKey,
    boxes,
    dealing,
    encoder,
    round_secret,
    sampling,
    seal_update,
    upload,
)

STUDY, ROUND = "lungs", 1
PARAMETERS = derive(4, 8, 200_000)


def main() -> None:
    mask = np.frombuffer(bytes.fromhex(sys.argv[1]), np.uint8)
    handed: list[bytes] = []

    def hand(secret: NDArray[np.generic] | bytes) -> None:
        content = np.frombuffer(secret, np.uint8)
        handed.append((content ^ mask[: content.size]).tobytes())

    seed_really, draw_really, deal_really = (
        upload._seed,
        round_secret.RoundSecret.draw,
        upload.deal,
    )

    def seed(*facts):
        made = seed_really(*facts)
        hand(made)
        return made

    def draw(key):
        secret = draw_really(key)
        hand(secret.coefficients)
        return secret

    def deal(*facts):
        shares = deal_really(*facts)
        hand(shares[1])
        return shares

    upload._seed, round_secret.RoundSecret.draw, upload.deal = seed, draw, deal
    if "kept" in sys.argv:
        keep_freed_memory()
    if "unwiped" in sys.argv:
        for module in (boxes, dealing, encoder, round_secret, sampling, upload):
            module.wipe = lambda buffer: None
        upload.release_freed_memory = lambda: None
        encoder.UpdateEncoder.overwrite_freed = lambda self: None
    keys = [SealingKey(bytearray(os.urandom(boxes.PRIVATE_BYTES))) for _ in range(4)]
    joined = tuple(Joined(f"H{i}MSP", i + 1, key.public) for i, key in enumerate(keys))
    sealed = seal_update(
        np.random.default_rng(0).integers(0, PARAMETERS.levels, PARAMETERS.parameters),
        parameters=PARAMETERS,
        round=RoundTranscript("ab" * 32, "consortium", STUDY, ROUND, joined, "H0MSP"),
        entropy=os.urandom,
    )
    check = PARAMETERS.polynomials * POLYNOMIAL_BYTES
    handed.append(sealed.payload[check : check + POLYNOMIAL_BYTES])
    sys.stdout.buffer.write(b"".join(handed))
    sys.stdout.flush()
    sys.stdin.buffer.read(1)


if __name__ == "__main__":
    main()
