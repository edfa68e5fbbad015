"""More hospitals than four: a majority of them is then fewer than T, and a round rests on T.

Five hospitals with T = 4 and seven with T = 5, each one round, on the in-memory ledger and on a
real network of that many organisations, of which four run ordering nodes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from network.consortium.topology import Topology
from network.quorum import hospital_quorum
from peer_client.ledgers.fabric import FabricLedger
from tests.support.fabric_network import free_port_base, running_topology, topology_text
from tests.support.hospitals import (
    Consortium,
    FabricConsortium,
    MemoryConsortium,
    digests,
    play,
    played_round,
    small_study,
)

NAMES = ("astana", "bergen", "cusco", "dakar", "essen", "fukuoka", "gdansk")
ORDERING = 4
SIZES = [pytest.param(5, 4, id="five"), pytest.param(7, 5, id="seven")]


def topology_of(hospitals: int) -> str:
    """Return a crypto-config.yaml of so many hospitals, the first four of which order."""
    base = free_port_base(10 * (hospitals + 1))
    document = yaml.safe_load(topology_text(module="chaincode.serve", port_base=base))
    for kind, count in (("PeerOrgs", hospitals), ("OrdererOrgs", ORDERING)):
        pattern = document[kind][0]
        document[kind] = [
            {**pattern, "Name": name, "Domain": f"{name}.example"} for name in NAMES[:count]
        ]
    return json.dumps(document)  # JSON is YAML, and has no aliases


def msps_of(hospitals: int) -> tuple[str, ...]:
    return tuple(f"{name}MSP" for name in NAMES[:hospitals])


@pytest.fixture(params=["memory", pytest.param("fabric", marks=pytest.mark.fabric)])
def consortium(
    request: pytest.FixtureRequest, tmp_path: Path, hospitals: int
) -> Iterator[Consortium]:
    """Return so many hospitals that agreed on a small study, on either ledger."""
    name = f"n{hospitals}-{os.getpid()}"
    with ExitStack() as stack:
        made: Consortium
        if request.param == "memory":
            made = MemoryConsortium(tmp_path, small_study(msps_of(hospitals), name=name))
        else:
            network = stack.enter_context(
                running_topology(tmp_path / "root", topology_of(hospitals))
            )
            directories = {f"{each}MSP": network.member(each) for each in NAMES[:hospitals]}
            ledgers = {
                msp: stack.enter_context(FabricLedger(directory))
                for msp, directory in directories.items()
            }
            study = small_study(msps_of(hospitals), name=name, deadline_s=120)
            made = FabricConsortium(tmp_path / "hospitals", study, directories, ledgers)
        stack.callback(made.close)
        made.agree()
        yield made


@pytest.mark.parametrize(("hospitals", "threshold"), SIZES)
def test_a_round_of_many_hospitals_publishes_one_model(
    consortium: Consortium, hospitals: int, threshold: int
) -> None:
    assert consortium.study.threshold == threshold == hospital_quorum(hospitals)

    records = played_round(consortium, 1)

    assert records.record.state == "PUBLISHED"
    assert records.contributors == msps_of(hospitals)
    assert records.round_key is not None
    assert len(records.round_key.senders) == threshold
    assert digests(consortium, 1) == {records.record.model_sha256}


@pytest.mark.parametrize(("hospitals", "threshold"), SIZES)
def test_as_many_as_may_be_away_are_away(tmp_path: Path, hospitals: int, threshold: int) -> None:
    made = MemoryConsortium(tmp_path, small_study(msps_of(hospitals)))
    made.agree()
    away = msps_of(hospitals)[threshold:]

    play(made, made.parts(1, without=away))

    records = made.records(1)
    assert records.record.state == "PUBLISHED"
    assert records.contributors == msps_of(hospitals)[:threshold]
    made.close()


@pytest.mark.parametrize(("hospitals", "threshold"), SIZES)
def test_the_topology_of_many_hospitals_is_one(
    tmp_path: Path, hospitals: int, threshold: int
) -> None:
    path = tmp_path / "crypto-config.yaml"
    path.write_text(topology_of(hospitals))

    found = Topology.load(path)

    assert len(found.hospitals) == hospitals > threshold
