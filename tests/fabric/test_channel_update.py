"""T hospitals change the channel, and nobody else; a hospital's client stops until it accepts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import pytest

from network.channel_policies import ADMINS, ENDORSEMENT, policy_fact
from network.wire.configuration import read_configuration
from network.wire.policy import Policy, out_of
from peer_client.client import member_client
from peer_client.errors import ChannelChangedError
from tests.support.channel_update import (
    administrator,
    broadcast,
    configuration_block,
    policy_update,
    signed_update,
)
from tests.support.fabric_network import REPOSITORY, FabricNetwork, environment, running_network

pytestmark = pytest.mark.fabric
HOSPITALS = ("moscow1", "moscow2", "saopaulo", "ucsd")
MSPS = tuple(f"{name}MSP" for name in HOSPITALS)
ONE_PEER = out_of(1, MSPS, "peer")
EVERY_PEER = out_of(4, MSPS, "peer")
#: The authority among those who administer.
WITH_AUTHORITY = out_of(3, (*MSPS, "authorityMSP"), "admin")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FabricNetwork]:
    """Return a consortium of its own: its channel is changed."""
    with running_network(tmp_path_factory.mktemp("changed") / "root") as network:
        yield network


def sequence(network: FabricNetwork) -> int:
    return int(read_configuration(configuration_block(network.member("ucsd"))).sequence)


def change(
    network: FabricNetwork, path: str, policy: Policy, signers: Sequence[str]
) -> tuple[str, str]:
    """Let these members' administrators set a policy; return what an ordering node says."""
    directory = network.member(signers[0])
    channel = directory.topology().channel
    update = policy_update(configuration_block(directory), channel, path, policy)
    identities = [administrator(network.member(name)) for name in signers]
    return broadcast(directory, "ucsd", signed_update(update, channel, identities))


@pytest.mark.parametrize(
    ("path", "policy"),
    [
        (ENDORSEMENT[0], ONE_PEER),
        (ENDORSEMENT[1], ONE_PEER),
        *((path, WITH_AUTHORITY) for path in ADMINS),
    ],
)
def test_two_hospitals_and_the_authority_change_nothing(
    network: FabricNetwork, path: str, policy: Policy
) -> None:
    before = sequence(network)

    status, words = change(network, path, policy, ("moscow1", "moscow2", "authority"))

    assert status == "BAD_REQUEST", words
    assert "not satisfied" in words
    assert sequence(network) == before


def client(network: FabricNetwork, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call `hospital-client` for ucsd."""
    program = "from peer_client.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "--member", str(network.root / "ucsd"), *arguments],
        cwd=REPOSITORY, env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_change_by_t_hospitals_stops_a_client_until_a_person_accepts_it(
    network: FabricNetwork,
) -> None:
    assert client(network, "channel", "accept", "--yes").returncode == 0
    before = sequence(network)

    status, words = change(network, ENDORSEMENT[0], EVERY_PEER, HOSPITALS[:3])

    assert status == "SUCCESS", words
    deadline = time.monotonic() + 30
    while sequence(network) == before:
        assert time.monotonic() < deadline, "the change did not reach the own peer"
    with (
        member_client(network.member("ucsd").path) as member,
        pytest.raises(ChannelChangedError, match=r"was 3 of the peers of .*, is 4 of"),
    ):
        member.agreement().check_facts(member.ledger.channel_facts())

    shown = json.loads(client(network, "channel", "show", "--json").stdout)
    changed = {each["name"]: each for each in shown["changes"]}
    assert set(changed) == {"configuration sequence", policy_fact(ENDORSEMENT[0])}
    assert changed[policy_fact(ENDORSEMENT[0])]["is"].startswith("4 of the peers of ")

    assert client(network, "channel", "accept", "--yes").returncode == 0
    with member_client(network.member("ucsd").path) as member:
        member.agreement().check_facts(member.ledger.channel_facts())


def test_a_change_by_t_hospitals_to_a_weaker_rule_is_never_accepted(
    network: FabricNetwork,
) -> None:
    before = sequence(network)

    assert change(network, ENDORSEMENT[0], ONE_PEER, HOSPITALS[:3])[0] == "SUCCESS"

    deadline = time.monotonic() + 30
    while sequence(network) == before:
        assert time.monotonic() < deadline, "the change did not reach the own peer"
    refused = client(network, "channel", "accept", "--yes", "--json")
    assert refused.returncode != 0
    assert "it must be at least 3 of the peers" in json.loads(refused.stdout)["message"]
