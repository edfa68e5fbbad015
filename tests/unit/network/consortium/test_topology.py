"""crypto-config.yaml: what it says, and that each mistake is named by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from network.consortium.errors import TopologyError, TopologyFileError, UnknownMemberError
from network.consortium.topology import Topology


def line_of(document: str, text: str) -> int:
    """Return the line on which a text first stands."""
    return next(n for n, line in enumerate(document.splitlines(), 1) if text in line)


def test_demonstration_has_four_hospitals_that_order_and_an_authority(document: str) -> None:
    topology = Topology.read(document)

    assert [member.name for member in topology.hospitals] == [
        "ucsd",
        "saopaulo",
        "moscow1",
        "moscow2",
    ]
    assert topology.orderers == topology.hospitals
    authority = topology.member("authority")
    assert (authority.role, authority.orderer_hostname) == ("authority", None)
    assert authority.msp_id == "authorityMSP"
    assert [key for key, _ in authority.used_ports()] == ["Peer", "PeerChaincode", "PeerOperations"]


def test_ports_come_in_blocks_of_ten_and_never_meet(document: str) -> None:
    topology = Topology.read(document)

    ports = [port for member in topology.members for _, port in member.used_ports()]

    assert len(set(ports)) == len(ports) == 31
    assert topology.member("moscow1").ports.peer == 17020


def test_single_ports_override_the_block(document: str) -> None:
    changed = document.replace(
        "    Role: authority\n", "    Role: authority\n    Ports: {Peer: 9443}\n"
    )

    ports = Topology.read(changed).member("authority").ports

    assert (ports.peer, ports.peer_operations) == (9443, 17042)


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("Channel: hospitals", "Chanel: hospitals", "Chanel", "did you mean `Channel`"),
        ("Channel: hospitals", "Channel: Hospitals", "Channel: H", "lower-case"),
        ("PortBase: 17000", "PortBase: 80", "PortBase: 80", "from 1024 to"),
        ("PortBase: 17000", "PortBase: many", "PortBase: many", "not an integer"),
        ("Role: authority", "Role: auditor", "Role: auditor", "allowed: authority, hospital"),
        ("Role: authority", "Role: authority\n    Role: hospital", "Role: hospital", ""),
        ("BlockToLive: 200", "BlockToLive: -1", "BlockToLive: -1", "from 0 to"),
        ("Module: chaincode.serve", "Module: rm -rf", "Module: rm", "dotted Python module"),
        ("Prefix: updates_", "Prefix: _updates", "Prefix: _up", "letters, digits"),
        ("Name: authority", "Name: Authority", "Name: Auth", "lower-case letter"),
        ("Name: authority", "Name: ../evil", "Name: ../", "lower-case letter"),
        ("Domain: authority.example", "Domain: ucsd.example", "Name: authority", "two members"),
        ("    Role: authority\n", "", "Name: authority", "key `Role` is missing"),
    ],
)
def test_mistake_is_named_by_its_line(
    document: str, old: str, new: str, place: str, words: str
) -> None:
    assert old in document
    changed = document.replace(old, new)

    with pytest.raises(TopologyError) as caught:
        Topology.read(changed)

    if place != "Role: hospital":
        assert caught.value.line == line_of(changed, place)
    assert words in str(caught.value)
    assert f"line {caught.value.line}" in str(caught.value)


def test_node_ous_cannot_be_switched_off(document: str) -> None:
    changed = document.replace("EnableNodeOUs: true", "EnableNodeOUs: false", 1)

    with pytest.raises(TopologyError, match="must be true"):
        Topology.read(changed)


def test_three_ordering_nodes_are_refused(document: str) -> None:
    head, _, tail = document.partition("  - Name: moscow2")
    _, _, rest = tail.partition("\n\n")

    with pytest.raises(TopologyError, match="3 ordering nodes; Byzantine") as caught:
        Topology.read(f"{head}\n{rest}")

    assert caught.value.line > 1


def test_two_hospitals_are_refused(document: str) -> None:
    changed = document.replace("Role: hospital", "Role: authority", 2)

    with pytest.raises(TopologyError, match="2 hospitals; at least 3"):
        Topology.read(changed)


def test_ordering_organisation_without_a_peer_is_refused(document: str) -> None:
    extra = (
        "OrdererOrgs:\n  - {Name: lonely, Domain: lonely.example, EnableNodeOUs: true, "
        "Specs: [{Hostname: orderer}]}"
    )

    with pytest.raises(TopologyError, match="`lonely` stands in OrdererOrgs alone"):
        Topology.read(document.replace("OrdererOrgs:", extra))


def test_two_peers_of_one_member_are_refused(document: str) -> None:
    old = "Specs: [{Hostname: peer, SANS: [localhost, 127.0.0.1]}]"
    changed = document.replace(old, "Template: {Count: 2}", 1)

    with pytest.raises(TopologyError, match="2 peer nodes; a member runs exactly one"):
        Topology.read(changed)


def test_template_names_its_node_as_cryptogen_does(document: str) -> None:
    old = "Specs: [{Hostname: peer, SANS: [localhost, 127.0.0.1]}]"

    changed = document.replace(old, "Template: {Count: 1}", 1)

    assert Topology.read(changed).member("ucsd").peer_name == "peer0.ucsd.example"


def test_port_of_two_nodes_on_one_host_is_refused_with_both_owners(document: str) -> None:
    changed = document.replace(
        "    Role: authority\n", "    Role: authority\n    Ports: {Peer: 17004}\n"
    )

    with pytest.raises(TopologyError, match="authority Peer is also that of ucsd Orderer"):
        Topology.read(changed)


def test_same_ports_on_different_hosts_are_fine(document: str) -> None:
    changed = document.replace(
        "    Role: authority\n    Host: 127.0.0.1",
        "    Role: authority\n    Ports: {Base: 17000}\n    Host: 10.0.0.5",
    )

    assert Topology.read(changed).member("authority").peer_address == "10.0.0.5:17000"


@pytest.mark.parametrize("text", ["", "Channel: [", "- 1", "just words", "\0"])
def test_what_is_no_such_file_is_refused_not_crashed_on(text: str) -> None:
    with pytest.raises(TopologyError):
        Topology.read(text)


def test_unknown_member_is_answered_with_the_known(document: str) -> None:
    with pytest.raises(UnknownMemberError, match="the members are ucsd, saopaulo"):
        Topology.read(document).member("harvard")


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_file_that_cannot_be_read_is_named_without_a_line(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "crypto-config.yaml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(TopologyFileError, match=r"crypto-config\.yaml cannot be read: ") as refused:
        Topology.load(path)

    assert "line" not in str(refused.value)
    assert "name the consortium's crypto-config.yaml" in refused.value.hint
