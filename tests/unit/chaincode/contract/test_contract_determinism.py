"""Every transaction writes the same bytes in any process, as endorsers on several machines must."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

from chaincode.contract.dispatch import QUERIES, TRANSACTIONS
from tests.unit.chaincode.contract.played import CHANNEL, MSPS, STUDY, Played, make_study

REPLAY = Path(__file__).with_name("replay.py")
ROOT = REPLAY.parents[4]


def all_transactions() -> Played:
    """Play every transaction and query at least once, refusals among them."""
    played = Played().agree()
    played.submit(MSPS[0], "propose_study", make_study(study="taken-back").to_bytes())
    played.submit(MSPS[0], "withdraw_study", "taken-back")
    played.submit(MSPS[0], "suspend_hospital", STUDY, MSPS[3], "a vote that stays alone")
    played.open().join(*MSPS[:2]).wait(60)
    played.submit(MSPS[0], "abandon", STUDY, 1, "two are away")
    played.open(2).join(number=2).close(2).update(*MSPS[:3], number=2)
    upload = played.make_upload(MSPS[3], 2)
    upload.payload = b"\xff" * 8 + upload.payload[8:]
    played.put(MSPS[3], upload, 2)
    manifest = upload.manifest(played.round(2), MSPS[3]).to_bytes()
    played.submit(MSPS[3], "submit_update", STUDY, 2, manifest)
    played.aggregate(2)
    for msp in MSPS[:3]:
        played.submit(msp, "give_up", STUDY, 2, "to see it")
    played.open(3).join(MSPS[0], number=3).report_join(MSPS[0], 3)
    played.submit(MSPS[0], "abandon", STUDY, 3, "a join is disowned")
    played.open(4).join(number=4).close(4).update(number=4).aggregate(4)
    played.answer(number=4).record_key(number=4).confirm(number=4).publish(4)
    for name, args in {
        "studies": [],
        "study": [STUDY],
        "rounds": [STUDY],
        "round": [STUDY, 4],
        "hospital": [MSPS[0]],
        "model": [STUDY],
        "lineage": [STUDY],
        "history": [STUDY, 4],
        "joins": [STUDY, 4],
        "share_sums": [STUDY, 4],
        "round_key": [STUDY, 4],
        "chunk": [STUDY, 4, MSPS[0], 0],
    }.items():
        played.simulate(MSPS[0], name, *args)
    return played


def test_every_function_writes_the_same_under_any_hash_seed(tmp_path: Path) -> None:
    played = all_transactions()
    recorded = {"hospitals": MSPS, "channel": CHANNEL, "proposals": played.proposals}
    path = tmp_path / "proposals"
    path.write_bytes(pickle.dumps(recorded))

    outputs = [
        subprocess.run(
            [sys.executable, str(REPLAY), str(path)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "4242")
    ]

    assert outputs[0] == outputs[1]
    rows = [json.loads(line) for line in outputs[0].splitlines()]
    assert {row[0] for row in rows} == {*TRANSACTIONS, *QUERIES}
    assert not [row for row in rows if "chaincode response" in str(row[1])]
