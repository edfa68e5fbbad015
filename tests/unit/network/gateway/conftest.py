"""Scripted gateways for the tests of the client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.network.gateway.scripted import Network


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network()
    yield network
    for opened in network.opened:
        opened.close()
    for gateway in network.gateways:
        gateway.close()
