"""The rules that the channel and its peers hold on a real network: clock, policies, identities."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from chaincode.records.errors import ClientIdentityError
from chaincode.records.identity import check_hospital_client
from network.channel_policies import ADMINISTRATORS, ADMINS, ENDORSEMENT, PEERS, QuorumPolicy
from network.clock import TIME_WINDOW_S
from network.consortium.member import MemberDirectory
from network.gateway import ClientTls, Gateway, GatewayAddress
from network.gateway.errors import ClockError, PeerRefusedError
from network.quorum import hospital_quorum
from peer_client.ledgers.fabric import FabricLedger
from peer_client.studies.channel_rules import check_channel_rules
from tests.support.fabric_network import FabricNetwork

pytestmark = pytest.mark.fabric
CHAINCODE = "rounds"


@pytest.fixture
def directory(consortium: FabricNetwork) -> MemberDirectory:
    return consortium.member("ucsd")


@pytest.fixture
def ledger(directory: MemberDirectory) -> Iterator[FabricLedger]:
    with FabricLedger(directory) as ledger:
        yield ledger


def connected_at(directory: MemberDirectory, time: datetime) -> Gateway:
    """Connect a client whose clock stands still at a time."""
    own = directory.description()["gateways"][0]
    certificate, key = directory.tls("client")
    with directory.connect() as usual:
        identity, channel = usual.identity, usual.channel
    return Gateway.connect(
        [
            GatewayAddress(
                own["target"], (directory.path / own["tls_root"]).read_bytes(), own["server_name"]
            )
        ],
        identity,
        client_tls=ClientTls(certificate.read_bytes(), key.read_bytes()),
        channel=channel,
        now=lambda: time,
    )


@pytest.mark.parametrize(
    "time",
    [
        datetime(2100, 1, 1, tzinfo=UTC),
        datetime(2020, 1, 1, tzinfo=UTC),
        datetime.now(UTC) + timedelta(minutes=15),
    ],
    ids=["2100", "2020", "a quarter of an hour ahead"],
)
def test_peers_refuse_proposals_far_from_their_clocks(
    directory: MemberDirectory, time: datetime
) -> None:
    with connected_at(directory, time) as gateway:
        words = "ahead of" if time > datetime.now(UTC) else "behind"
        with pytest.raises(ClockError, match=f"{words} that of ucsdMSP"):
            gateway.contract(CHAINCODE).evaluate("get", "clock")
        with pytest.raises(ClockError, match=f"{words} that of"):
            gateway.contract(CHAINCODE).submit("put", "clock", "moved")
        with pytest.raises(ClockError, match=f"{words} that of"):
            gateway.height()


def test_peers_take_proposals_within_the_window(directory: MemberDirectory) -> None:
    ahead = datetime.now(UTC) + timedelta(seconds=TIME_WINDOW_S / 2)
    with connected_at(directory, ahead) as gateway:
        assert gateway.contract(CHAINCODE).submit("put", "clock", "as it is").block_number


def test_t_hospitals_endorse_and_administer_and_the_authority_does_neither(
    ledger: FabricLedger, directory: MemberDirectory
) -> None:
    hospitals = tuple(sorted(each.msp_id for each in directory.topology().hospitals))
    facts = dict(ledger.channel_facts())

    for paths, role in ((ENDORSEMENT, PEERS), (ADMINS, ADMINISTRATORS)):
        policy = QuorumPolicy(hospital_quorum(len(hospitals)), role, hospitals)
        assert {facts[f"policy {path}"] for path in paths} == {policy.words()}
    check_channel_rules(tuple(facts.items()), hospitals)


def test_a_channels_facts_are_the_same_at_every_hospitals_peer_but_for_its_own_package(
    consortium: FabricNetwork,
) -> None:
    found, packages = set(), set()
    for name in ("ucsd", "moscow1"):
        with FabricLedger(consortium.member(name)) as ledger:
            facts = dict(ledger.channel_facts())
        packages.add(facts.pop("chaincode package by this member's files"))
        found.add(tuple(facts.items()))

    assert len(found) == 1
    assert len(packages) == 2  # each names the address of its hospital's chaincode service
    assert all(re.fullmatch(r"[\w.-]+:[0-9a-f]{64}", package) for package in packages)


def test_the_lifecycle_of_old_is_not_there(directory: MemberDirectory) -> None:
    with directory.connect() as gateway, pytest.raises(PeerRefusedError):
        gateway.process("lscc", ["getchaincodes"], gateway.channel)


def certificates(directory: MemberDirectory) -> dict[str, Path]:
    """Return a member's signing certificates by whose they are."""
    folders = {user: directory.user_msp(user) for user in ("client", "Admin")}
    folders |= {kind: directory.node_msp(kind) for kind in ("peer", "orderer")}
    return {name: next((folder / "signcerts").glob("*.pem")) for name, folder in folders.items()}


def test_only_the_clients_certificate_acts_for_a_hospital(directory: MemberDirectory) -> None:
    for name, path in certificates(directory).items():
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        if name == "client":
            check_hospital_client(certificate)
        else:
            with pytest.raises(ClientIdentityError):
                check_hospital_client(certificate)
