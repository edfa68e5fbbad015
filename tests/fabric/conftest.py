"""One real consortium for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.fabric_network import FabricNetwork, running_network


@pytest.fixture(scope="session")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FabricNetwork]:
    """Return a running consortium; a test that stops or breaks a part brings it up again."""
    with running_network(tmp_path_factory.mktemp("consortium") / "root") as network:
        yield network
