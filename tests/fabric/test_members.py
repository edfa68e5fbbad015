"""Certificates, programs and the one file that says who exists, against real Fabric."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from network.consortium.bring_up import BringUp, open_members
from network.consortium.certificates import CertificateAuthority, KeyPair
from network.consortium.nodes import Host
from network.consortium.ordering import read_ordering
from network.consortium.topology import CertificateSubject
from network.fabric.binaries import NEEDED, find_binaries
from network.gateway.errors import EvaluateError
from network.gateway.gateway import Gateway
from network.runtime.progress import TerminalProgress
from network.wire.identity import Identity, load_identity
from tests.support.fabric_network import (
    REPOSITORY,
    FabricNetwork,
    environment,
    initialised_network,
    topology_text,
)

pytestmark = pytest.mark.fabric


def stock_program(name: str) -> Path:
    """Return a program that no consortium needs: a folder named by FABRIC_BIN may lack it.

    Raises:
        BinaryMissingError: It is neither there nor among the built ones.
    """
    named = find_binaries(environment()) / name
    if named.exists():
        return named
    built = {key: value for key, value in environment().items() if key != "FABRIC_BIN"}
    return find_binaries(built) / name


def test_stock_cryptogen_reads_the_same_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            stock_program("cryptogen"),
            "generate",
            "--config",
            REPOSITORY / "crypto-config.yaml",
            "--output",
            tmp_path,
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    peers = {path.name for path in (tmp_path / "peerOrganizations").iterdir()}
    orderers = {path.name for path in (tmp_path / "ordererOrganizations").iterdir()}
    hospitals = {f"{name}.example" for name in ("ucsd", "saopaulo", "moscow1", "moscow2")}
    assert peers == hospitals | {"authority.example"}
    assert orderers == hospitals
    node = tmp_path / "peerOrganizations/ucsd.example/peers/peer.ucsd.example/tls/server.crt"
    assert node.exists()


def test_channel_is_ordered_by_four_hospitals_under_bft(consortium: FabricNetwork) -> None:
    with consortium.member("authority").connect() as gateway:
        block = gateway.process("cscc", ["GetConfigBlock", "hospitals"], "hospitals")

    ordering = read_ordering(block)

    assert ordering.type == "BFT"
    assert ordering.consenter_msps == ("moscow1MSP", "moscow2MSP", "saopauloMSP", "ucsdMSP")


def test_expired_certificate_stops_up_before_anything_starts(tmp_path: Path) -> None:
    network = initialised_network(tmp_path / "root")
    member = network.member("moscow1")
    authority = CertificateAuthority.load(member.ca, "tlsca")
    past = datetime.now(UTC) - timedelta(days=800)
    pair = authority.issue_tls("peer.moscow1.example", ["127.0.0.1"], now=past)
    certificate, key = member.tls("peer")
    certificate.write_bytes(pair.certificate_pem)
    key.write_bytes(pair.key_pem)

    done = network.run("up", expect=12)

    assert f"{certificate}: expired on" in done.stderr
    assert network.pids() == {}


def test_foreign_certificate_stops_up_before_anything_starts(tmp_path: Path) -> None:
    network = initialised_network(tmp_path / "root")
    path = network.member("ucsd").node_msp("peer") / "signcerts/cert.pem"
    shutil.copy(network.member("moscow2").node_msp("peer") / "signcerts/cert.pem", path)

    done = network.run("up", expect=12)

    assert f"{path}: was not signed by this member's CA" in done.stderr
    assert network.pids() == {}


def connect_as(consortium: FabricNetwork, identity: Identity) -> Gateway:
    """Connect to ucsd's peer by ucsd's own TLS, but as somebody else."""
    gateway = consortium.member("ucsd").connect_own("client")
    gateway.identity = identity
    return gateway


def identity_of(pair: KeyPair, folder: Path, msp_id: str) -> Identity:
    """Return an identity for a fresh certificate."""
    for name, content in (("signcerts", pair.certificate_pem), ("keystore", pair.key_pem)):
        (folder / name).mkdir(parents=True)
        (folder / name / "file.pem").write_bytes(content)
    return load_identity(folder, msp_id)


@pytest.mark.parametrize("fault", ["expired", "another CA of the same name", "another member"])
def test_wrong_identity_is_refused_by_the_peer(
    consortium: FabricNetwork, tmp_path: Path, fault: str
) -> None:
    now = datetime.now(UTC)
    authority = CertificateAuthority.load(consortium.member("ucsd").ca, "ca")
    if fault == "expired":
        now -= timedelta(days=800)
    elif fault == "another member":
        authority = CertificateAuthority.load(consortium.member("moscow1").ca, "ca")
    else:
        authority = CertificateAuthority.found(
            "ucsd.example", "ca.ucsd.example", CertificateSubject(), now=now
        )
    pair = authority.issue_identity("intruder", "client", now=now)

    with connect_as(consortium, identity_of(pair, tmp_path, "ucsdMSP")) as gateway:
        contract = gateway.contract("rounds")
        with pytest.raises(EvaluateError):
            contract.evaluate("get", "anything")


def test_fresh_identity_of_the_members_own_ca_is_taken(
    consortium: FabricNetwork, tmp_path: Path
) -> None:
    authority = CertificateAuthority.load(consortium.member("ucsd").ca, "ca")
    pair = authority.issue_identity("newcomer", "client", now=datetime.now(UTC))

    with connect_as(consortium, identity_of(pair, tmp_path, "ucsdMSP")) as gateway:
        answer = gateway.contract("rounds").evaluate("who")

    assert b"ucsdMSP" in answer


def test_changed_chaincode_section_is_the_next_sequence_on_the_same_ledger(tmp_path: Path) -> None:
    """The programs that a consortium needs, alone in a folder: up asks for no others."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in NEEDED:
        (programs / name).symlink_to(find_binaries(environment()) / name)
    host = Host(programs, sys.executable, environment())
    text = topology_text()
    network = initialised_network(tmp_path / "root", text)
    try:
        for version in ("1", "2"):
            network = initialised_network(
                tmp_path / "root", text.replace('Version: "1"', f'Version: "{version}"')
            )
            directories = open_members(network.root)
            run = BringUp(
                directories,
                directories[0].topology(),
                host,
                TerminalProgress(quiet=True),
                datetime.now(UTC),
            )
            run.run()
            with network.member("ucsd").connect() as gateway:
                contract = gateway.contract("rounds")
                if version == "1":
                    contract.submit("put", "from", "version 1")
                assert contract.evaluate("get", "from") == b"version 1"
        found = network.json("status")
        assert {one["chaincode"] for one in found} == {"rounds 2"}
        assert {one["sequence"] for one in found} == {2}
    finally:
        network.run("stop", expect=None)
