"""Replays proposals from a file and prints what each would write: ``python replay.py FILE``."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
from pathlib import Path

from chaincode.contract import dispatch
from chaincode.memory_ledger import MemoryEndorseError, MemoryLedger


def digest(value: bytes | None) -> str:
    """Return a short digest of a written value, ``-`` for a deletion."""
    return "-" if value is None else hashlib.sha256(value).hexdigest()


def main(path: Path) -> None:
    """Simulate and commit each proposal; print its write set, in the order it was written."""
    recorded = pickle.loads(path.read_bytes())
    ledger = MemoryLedger(
        dispatch.invoke, hospitals=recorded["hospitals"], channel=recorded["channel"]
    )
    for creator, function, args, transient, now_s in recorded["proposals"]:
        try:
            simulation = ledger.simulate(
                creator, function, *args, transient=transient, timestamp_s=now_s
            )
        except MemoryEndorseError as error:
            print(json.dumps([function, str(error)]))
            continue
        written = [(key, digest(value)) for key, value in simulation.writes.items()]
        private = [(*key, digest(value)) for key, value in simulation.private_writes.items()]
        event = [simulation.event[0], digest(simulation.event[1])] if simulation.event else []
        answer = digest(simulation.payload)
        print(json.dumps([function, written, private, event, answer]))
        ledger.commit(simulation)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
