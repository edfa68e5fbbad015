"""Every scenario's hospitals, over the ledger in memory and over a real network."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from peer_client.ledgers.fabric import FabricLedger
from tests.support.fabric_network import FabricNetwork, running_network
from tests.support.hospitals import Consortium, FabricConsortium, MemoryConsortium, small_study

#: Seconds a phase waits for those who are missing: moved by hand in memory, real on a network.
DEADLINE_S = {"memory": 60, "fabric": 60}
NUMBERS = itertools.count(1)

Make = Callable[..., Consortium]


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FabricNetwork]:
    """Return one consortium with the real contract for all scenarios."""
    root = tmp_path_factory.mktemp("scenarios") / "root"
    with running_network(root, module="chaincode.serve") as running:
        yield running


@pytest.fixture(scope="session")
def ledgers(network: FabricNetwork) -> Iterator[dict[str, FabricLedger]]:
    """Return each hospital's connection."""
    opened = {
        member.msp_id: FabricLedger(network.member(member.name))
        for member in network.topology.hospitals
    }
    yield opened
    for ledger in opened.values():
        ledger.close()


def make_of(kind: str, request: pytest.FixtureRequest) -> Iterator[Make]:
    made: list[Consortium] = []

    def make(**terms: Any) -> Consortium:
        terms = {"deadline_s": DEADLINE_S[kind], "name": f"s{os.getpid()}-{next(NUMBERS)}"} | terms
        folder = request.getfixturevalue("tmp_path")
        if kind == "memory":
            made.append(MemoryConsortium(folder, small_study(**terms)))
        else:
            network = request.getfixturevalue("network")
            directories = {
                member.msp_id: network.member(member.name) for member in network.topology.hospitals
            }
            opened = request.getfixturevalue("ledgers")
            made.append(FabricConsortium(folder, small_study(**terms), directories, opened))
        return made[-1]

    yield make
    for consortium in made:
        consortium.close()


@pytest.fixture(params=["memory", pytest.param("fabric", marks=pytest.mark.fabric)])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Return a function that makes a consortium for a study, on either ledger."""
    yield from make_of(request.param, request)


@pytest.fixture
def consortium(make: Make) -> Consortium:
    """Return four hospitals that agreed on a small study, on either ledger."""
    made = make()
    made.agree()
    return made


@pytest.fixture
def make_in_memory(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Return a function that makes a consortium in memory, for stories with many turns."""
    yield from make_of("memory", request)


@pytest.fixture
def memory(make_in_memory: Make) -> Consortium:
    """Return four hospitals in memory that agreed on a small study."""
    made = make_in_memory()
    made.agree()
    return made
