"""What nodes, clients and configtxgen are told."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fabric_protos.common import common_pb2, configtx_pb2, configuration_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2

from network.consortium.environment import as_shell, connection_profile, peer_cli_exports
from network.consortium.genesis import OrderingSettings, channel_configuration
from network.consortium.lifecycle import CommittedDefinition, wanted_definition
from network.consortium.member import MemberDirectory
from network.consortium.nodes import nodes_of
from network.consortium.ordering import OrderingService, read_ordering
from network.consortium.package import build_package
from network.consortium.policies import hospital_collections
from network.consortium.topology import Topology
from network.errors import MalformedBytesError


@pytest.fixture
def ucsd(root: Path) -> MemberDirectory:
    """Return one hospital's directory."""
    return MemberDirectory(root / "ucsd")


def files_named(document: Any) -> list[str]:
    """Return every absolute path in a configuration."""
    if isinstance(document, dict):
        return [path for value in document.values() for path in files_named(value)]
    if isinstance(document, list):
        return [path for value in document for path in files_named(value)]
    return [document] if isinstance(document, str) and document.startswith("/") else []


def written(directory: MemberDirectory) -> dict[str, Any]:
    """Write a member's configuration and return it by kind."""
    topology = directory.topology()
    found = {}
    for node in nodes_of(directory, topology):
        node.write_configuration()
        (path,) = directory.configuration(node.kind).iterdir()
        found[node.kind] = json.loads(path.read_text())
    return found


def test_every_file_that_a_node_is_told_of_lies_in_its_members_directory(
    ucsd: MemberDirectory,
) -> None:
    named = files_named(written(ucsd))

    assert len(named) > 20
    assert all(Path(path).is_relative_to(ucsd.path) for path in named)


def test_tls_is_mutual_at_peers_and_admin_ports_and_on_everywhere_off_loopback(
    ucsd: MemberDirectory,
) -> None:
    found = written(ucsd)

    tls = found["peer"]["peer"]["tls"]
    assert (tls["enabled"], tls["clientAuthRequired"]) == (True, True)
    assert len(tls["clientRootCAs"]["files"]) == 5
    general = found["orderer"]["General"]["TLS"]
    # With it, an ordering node that fell behind cannot fetch blocks (Fabric v3.1.1).
    assert (general["Enabled"], general["ClientAuthRequired"]) == (True, False)
    for address in (
        found["orderer"]["Admin"]["ListenAddress"],
        found["peer"]["operations"]["listenAddress"],
        found["peer"]["peer"]["chaincodeListenAddress"],
        found["orderer"]["Operations"]["ListenAddress"],
    ):
        assert address.startswith("127.0.0.1:")


def test_admin_and_operations_ports_take_the_members_own_certificates_alone(
    ucsd: MemberDirectory,
) -> None:
    found = written(ucsd)

    peer = found["peer"]["operations"]["tls"]
    assert (peer["enabled"], peer["clientAuthRequired"]) == (True, True)
    assert peer["clientRootCAs"]["files"] == [str(ucsd.tls_root)]
    for endpoint in ("Admin", "Operations"):
        tls = found["orderer"][endpoint]["TLS"]
        assert (tls["Enabled"], tls["ClientAuthRequired"]) == (True, True)
        assert tls["ClientRootCAs"] == [str(ucsd.tls_root)]


def test_profilers_of_peer_and_ordering_node_are_off(ucsd: MemberDirectory) -> None:
    found = written(ucsd)

    assert found["peer"]["peer"]["profile"] == {"enabled": False}
    assert found["orderer"]["General"]["Profile"] == {"Enabled": False}


def test_running_node_is_left_alone_when_only_the_other_members_are_others(
    root: Path, document: str
) -> None:
    """Its file lists their TLS roots; what it uses of them it takes from the channel."""
    ucsd = MemberDirectory(root / "ucsd")
    nodes = nodes_of(ucsd, ucsd.topology())
    written(ucsd)
    fewer = replace(ucsd.topology(), members=ucsd.topology().members[:-1])
    moved = Topology.read(document.replace("PortBase: 17000", "PortBase: 18000"))
    core_yaml = nodes[1].configuration_file
    assert all(node.is_configured() for node in nodes)

    assert all(node.is_configured() for node in nodes_of(ucsd, fewer))
    assert not any(node.is_configured() for node in nodes_of(ucsd, moved))

    found = json.loads(core_yaml.read_text())
    found["operations"]["tls"]["clientRootCAs"]["files"].append("/another/root.pem")
    core_yaml.write_text(json.dumps(found))
    assert not nodes[1].is_configured()


def test_values_that_cost_a_minute_or_an_hour_by_default_are_set(ucsd: MemberDirectory) -> None:
    peer = written(ucsd)["peer"]

    assert peer["ledger"]["pvtdataStore"]["deprioritizedDataReconcilerInterval"] == "10s"
    assert peer["peer"]["keepalive"]["minInterval"] == "5s"
    assert peer["peer"]["gossip"]["reconnectInterval"] == "1s"
    assert peer["peer"]["gossip"]["pvtData"]["pullRetryThreshold"] == "3s"
    assert peer["peer"]["gateway"]["endorsementTimeout"] == "5s"
    assert peer["peer"]["deliveryclient"]["blockCensorshipTimeoutKey"] == "2s"
    assert peer["vm"]["endpoint"] == ""


def test_package_has_the_same_id_every_time_and_another_for_another_member(root: Path) -> None:
    topology = Topology.load(root / "crypto-config.yaml")
    ucsd, moscow1 = (MemberDirectory(root / name) for name in ("ucsd", "moscow1"))

    first, second = (build_package(ucsd, topology) for _ in range(2))

    assert first == second
    assert first.package_id.startswith("rounds_1:")
    assert build_package(moscow1, topology).package_id != first.package_id


def test_package_carries_the_key_of_its_own_client_certificate_alone(
    ucsd: MemberDirectory,
) -> None:
    content = build_package(ucsd, ucsd.topology()).content

    def files(data: bytes) -> dict[str, bytes]:
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as archive:
            return {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]

    outer = files(content)
    connection = json.loads(files(outer["code.tar.gz"])["connection.json"])
    assert json.loads(outer["metadata.json"]) == {"type": "ccaas", "label": "rounds_1"}
    assert connection["client_key"] == (ucsd.path / "tls/chaincode-client.key").read_text()
    assert connection["tls_required"] is connection["client_auth_required"] is True


def test_collection_is_held_by_hospitals_and_endorsed_by_its_owner(document: str) -> None:
    package = hospital_collections(Topology.read(document))

    first = package.config[0].static_collection_config
    assert [one.static_collection_config.name for one in package.config] == [
        f"updates_{name}MSP" for name in ("ucsd", "saopaulo", "moscow1", "moscow2")
    ]
    assert len(first.member_orgs_policy.signature_policy.identities) == 4
    (owner,) = first.endorsement_policy.signature_policy.identities
    assert b"ucsdMSP" in owner.principal
    assert (first.required_peer_count, first.maximum_peer_count, first.block_to_live) == (0, 0, 200)


def test_unchanged_definition_keeps_its_sequence_and_a_changed_one_is_the_next(
    document: str,
) -> None:
    topology = Topology.read(document)
    collections = hospital_collections(topology).SerializeToString(deterministic=True)
    in_force = CommittedDefinition("1", 3, {}, collections)

    assert wanted_definition(topology, None).sequence == 1
    assert wanted_definition(topology, in_force).sequence == 3
    newer = Topology.read(document.replace('Version: "1"', 'Version: "2"'))
    assert wanted_definition(newer, in_force).sequence == 4
    longer = Topology.read(document.replace("BlockToLive: 200", "BlockToLive: 300"))
    assert wanted_definition(longer, in_force).sequence == 4


def test_t_hospitals_endorse_and_administer_the_channel_and_bft_orders_it(
    ucsd: MemberDirectory,
) -> None:
    found = channel_configuration(ucsd, ucsd.topology(), OrderingSettings())
    profile = found["Profiles"]["Consortium"]

    rule = profile["Application"]["Policies"]["Endorsement"]["Rule"]
    peers = "'moscow1MSP.peer', 'moscow2MSP.peer', 'saopauloMSP.peer', 'ucsdMSP.peer'"
    assert rule == f"OutOf(3, {peers})"
    for policies in (profile, profile["Application"], profile["Orderer"]):
        admins = policies["Policies"]["Admins"]
        assert admins == {"Type": "Signature", "Rule": rule.replace(".peer", ".admin")}
    assert profile["Application"]["Policies"]["LifecycleEndorsement"]["Rule"] == rule
    orderer = profile["Orderer"]
    assert orderer["OrdererType"] == "BFT"
    assert [one["MSPID"] for one in orderer["ConsenterMapping"]] == [
        "ucsdMSP",
        "saopauloMSP",
        "moscow1MSP",
        "moscow2MSP",
    ]
    assert all(Path(path).is_relative_to(ucsd.path) for path in files_named(found))
    assert all(Path(path).exists() for path in files_named(found))


def config_block(kind: str, msps: list[str]) -> bytes:
    """Return a configuration block with this ordering and nothing else."""
    config = configtx_pb2.ConfigEnvelope()
    values = config.config.channel_group.groups["Orderer"].values
    values["ConsensusType"].value = orderer_pb2.ConsensusType(type=kind).SerializeToString()
    if msps:
        nodes = configuration_pb2.Orderers(
            consenter_mapping=[
                configuration_pb2.Consenter(id=number, msp_id=msp)
                for number, msp in enumerate(msps, 1)
            ]
        )
        values["Orderers"].value = nodes.SerializeToString()
    payload = common_pb2.Payload(data=config.SerializeToString())
    envelope = common_pb2.Envelope(payload=payload.SerializeToString())
    block = common_pb2.Block(data=common_pb2.BlockData(data=[envelope.SerializeToString()]))
    return bytes(block.SerializeToString())


def test_ordering_is_read_from_a_configuration_block() -> None:
    assert read_ordering(config_block("BFT", ["B", "A", "A"])) == OrderingService(
        "BFT", ("A", "A", "B")
    )
    assert read_ordering(config_block("etcdraft", [])) == OrderingService("etcdraft", ())


@pytest.mark.parametrize("block", [b"", b"\xff", common_pb2.Block().SerializeToString()])
def test_what_is_no_configuration_block_is_refused(block: bytes) -> None:
    with pytest.raises(MalformedBytesError):
        read_ordering(block)


def test_exports_name_files_that_exist_and_survive_a_shell(ucsd: MemberDirectory) -> None:
    exports = peer_cli_exports(ucsd, Path("/opt/fabric bin"))

    for name, value in exports.items():
        if value.startswith(str(ucsd.path)) and name != "FABRIC_CFG_PATH":
            assert Path(value).exists(), name
    assert "export FABRIC_BIN='/opt/fabric bin'" in as_shell(exports)
    assert exports["CHAINCODE"] == "rounds"


def test_profile_has_what_fabric_sdk_py_insists_on(ucsd: MemberDirectory) -> None:
    profile = connection_profile(ucsd)

    assert profile["certificateAuthorities"] == {}
    assert profile["client"]["credentialStore"]["path"].startswith(str(ucsd.path))
    for node in (*profile["peers"].values(), *profile["orderers"].values()):
        assert node["grpcOptions"]["grpc.ssl_target_name_override"]
        for part in ("tlsCACerts", "clientKey", "clientCert"):
            assert os.access(node[part]["path"], os.R_OK)
    assert set(profile["organizations"]["ucsd.example"]["users"]) == {"Admin", "client"}
    assert profile["organizations"]["moscow1.example"]["users"] == {}
    assert files_named(profile)
    assert all(Path(path).is_relative_to(ucsd.path) for path in files_named(profile))
