"""Members come up, stay up, heal, stop and go, on real Fabric."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from network.fabric.binaries import find_binaries
from tests.support.fabric_network import (
    REPOSITORY,
    FabricNetwork,
    environment,
    initialised_network,
    topology_text,
)

pytestmark = pytest.mark.fabric
HOSPITALS = ("ucsd", "saopaulo", "moscow1", "moscow2")


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def program_version(peer: Path) -> str:
    """Return the version that a `peer` prints of itself: FABRIC_BIN may hold another release."""
    done = subprocess.run([peer, "version"], capture_output=True, text=True, check=True)
    (version,) = re.findall(r"^ *Version: v?(\S+)$", done.stdout, re.MULTILINE)
    return str(version)


def test_status_shows_every_member_healthy_level_approved_and_under_one_leader(
    consortium: FabricNetwork,
) -> None:
    found = consortium.json("status")

    assert [one["member"] for one in found] == [*HOSPITALS, "authority"]
    nodes = [node for one in found for node in one["nodes"]]
    assert len(nodes) == 13
    assert {node["state"] for node in nodes} == {"healthy"}
    assert len({node["height"] for node in nodes if node["kind"] != "chaincode"}) == 1
    assert {one["leader"] for one in found} <= {*HOSPITALS, None}
    assert len({one["leader"] for one in found if one["leader"]}) == 1
    assert {one["chaincode"] for one in found} == {"rounds 1"}
    assert [one["approved"] for one in found] == [True, True, True, True, None]
    version = program_version(find_binaries(environment()) / "peer")
    assert {node["fabric_version"] for node in nodes if node["kind"] == "peer"} == {version}
    assert all(node["ports"] for node in nodes)


def test_nodes_run_the_programs_that_were_found(consortium: FabricNetwork) -> None:
    """Those of FABRIC_BIN where it is set, else those built from the modules of this checkout."""
    programs = find_binaries(environment())

    for name, pid in consortium.pids().items():
        kind = name.split()[1]
        if kind != "chaincode":
            assert Path(f"/proc/{pid}/exe").readlink() == (programs / kind).resolve()


def test_whole_consortium_at_rest_uses_less_than_a_gigabyte(consortium: FabricNetwork) -> None:
    found = consortium.json("status")

    total = sum(node["resident_bytes"] for one in found for node in one["nodes"])

    assert 300e6 < total < 1.0e9, total


def test_transaction_reaches_every_peer(consortium: FabricNetwork) -> None:
    directory = consortium.member("ucsd")
    with directory.connect() as gateway:
        committed = gateway.contract("rounds").submit("put", "seen", "everywhere")
        others = directory.other_gateways()
        try:
            spread = gateway.contract("rounds").wait_committed(
                committed.transaction_id, others, timeout_s=20
            )
            answers = [other.contract("rounds").evaluate("get", "seen") for other in others[:3]]
        finally:
            for other in others:
                other.close()

    assert len(spread.committed) == 4
    assert answers == [b"everywhere"] * 3


def test_private_value_is_held_by_hospitals_and_written_by_its_owner_alone(
    consortium: FabricNetwork,
) -> None:
    from network.gateway.errors import CommitError, EndorseError

    with consortium.member("ucsd").connect() as gateway:
        contract = gateway.contract("rounds")
        committed = contract.submit(
            "put_private",
            "updates_ucsdMSP",
            "chunk",
            transient={"value": b"\0secret"},
            organisations=["ucsdMSP"],
        )
        with pytest.raises((CommitError, EndorseError)):
            contract.submit(
                "put_private",
                "updates_moscow1MSP",
                "chunk",
                transient={"value": b"forged"},
                organisations=["ucsdMSP"],
            )
    with consortium.member("moscow1").connect() as gateway:
        contract = gateway.contract("rounds")
        contract.wait_committed(committed.transaction_id, [gateway], timeout_s=20)
        assert contract.evaluate("get_private", "updates_ucsdMSP", "chunk") == b"\0secret"
        assert contract.evaluate("get_private", "updates_moscow1MSP", "chunk") == b""


def test_up_again_starts_nothing(consortium: FabricNetwork) -> None:
    before = consortium.pids()

    found = consortium.json("up")

    assert found["started"] == 0
    assert consortium.pids() == before


def test_killed_peer_and_orderer_are_healed_by_up(consortium: FabricNetwork) -> None:
    before = consortium.pids()
    for node in ("moscow2 peer", "moscow2 orderer"):
        os.kill(before[node], signal.SIGKILL)
    while is_alive(before["moscow2 peer"]) or is_alive(before["moscow2 orderer"]):
        time.sleep(0.02)
    status = consortium.json("status", expect=15)
    assert [node["state"] for node in status[3]["nodes"]] == ["stopped", "stopped", "healthy"]

    found = consortium.json("up")

    after = consortium.pids()
    assert found["started"] == 2
    assert {name for name in before if before[name] != after[name]} == {
        "moscow2 peer",
        "moscow2 orderer",
    }
    with consortium.member("moscow2").connect() as gateway:
        gateway.contract("rounds").submit("put", "healed", "yes")


def test_killed_leader_is_healed_and_all_ordering_nodes_agree_on_another(
    consortium: FabricNetwork,
) -> None:
    leader = next(one["leader"] for one in consortium.json("status") if one["leader"])
    os.kill(consortium.pids()[f"{leader} orderer"], signal.SIGKILL)
    with consortium.member("authority").connect() as gateway:
        gateway.contract("rounds").submit("put", "leader", "gone")  # three of four go on

    assert consortium.json("up")["started"] == 1

    found = [one for one in consortium.json("status") if one["role"] == "hospital"]
    assert len({(one["view"], one["leader"]) for one in found}) == 1
    assert found[0]["leader"] not in (leader, None)


def test_stop_keeps_the_ledger_and_up_goes_on(consortium: FabricNetwork) -> None:
    pids = consortium.pids()
    with consortium.member("ucsd").connect() as gateway:
        gateway.contract("rounds").submit("put", "kept", "value")

    stopped = consortium.json("stop")

    assert stopped["stopped"] == 13
    assert not any(is_alive(pid) for pid in pids.values())
    assert consortium.json("up")["started"] == 13
    with consortium.member("ucsd").connect() as gateway:
        assert gateway.contract("rounds").evaluate("get", "kept") == b"value"


def test_all_nodes_listen_on_loopback_alone(consortium: FabricNetwork) -> None:
    inodes = set()
    for pid in consortium.pids().values():
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if match := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(link)):
                inodes.add(match[1])
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:  # 0A: listening
                addresses.add(fields[1].split(":")[0])

    assert addresses
    loopback = {"0100007F", "0000000000000000FFFF00000100007F"}  # 127.0.0.1, plain and in IPv6
    assert addresses <= loopback, addresses


def test_client_without_certificate_is_refused(consortium: FabricNetwork) -> None:
    member = consortium.topology.member("ucsd")
    context = ssl.create_default_context(cafile=str(consortium.member("ucsd").tls_root))
    context.set_alpn_protocols(["h2"])
    for port in (member.ports.peer, member.ports.orderer_admin, member.ports.chaincode):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            _speak(context, member.host, port)


def _speak(context: ssl.SSLContext, host: str, port: int) -> None:
    with (
        socket.create_connection((host, port), 5) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        # In TLS 1.3 the refusal arrives with the first read.
        secured.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        if not secured.recv(1):
            raise ConnectionError("closed")


def test_port_in_use_is_named_with_its_owner_and_nothing_is_started(tmp_path: Path) -> None:
    network = initialised_network(tmp_path / "root")
    port = network.topology.member("moscow1").ports.peer_operations
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()

        done = network.run("up", expect=13)

    assert f"port {port} on 127.0.0.1 is in use" in done.stderr
    assert "moscow1 Ports.PeerOperations" in done.stderr
    assert network.pids() == {}


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_up_leaves_nothing_running(tmp_path: Path, signal_number: int) -> None:
    network = initialised_network(tmp_path / "root")
    run = subprocess.Popen(
        [sys.executable, "-m", "network.cli", "up", "--root", str(network.root)],
        cwd=REPOSITORY,
        env=environment(),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        # A shell that runs the tests in the background has them ignore the interrupt.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    pid_files: list[Path] = []
    while len(pid_files) < 13 and time.monotonic() < deadline:
        pid_files = list(network.root.glob("*/run/*.json"))
        time.sleep(0.01)
    pids = [int(re.findall(r'"pid": (\d+)', path.read_text())[0]) for path in pid_files]

    run.send_signal(signal_number)

    assert run.wait(60) not in (0, None)
    assert len(pids) == 13
    assert not any(is_alive(pid) for pid in pids)


def test_up_that_fails_stops_what_it_started(tmp_path: Path) -> None:
    network = initialised_network(tmp_path / "root", topology_text(module="tests.no_such_module"))

    done = network.run("up", expect=15)

    assert "chaincode service" in done.stderr
    assert "No module named" in done.stderr
    assert list(network.root.glob("*/run/*.json")) == []


def test_down_asks_and_then_leaves_no_member_directory(tmp_path: Path) -> None:
    network = initialised_network(tmp_path / "root")

    refused = network.run("down", expect=130)
    assert "Delete all keys and ledgers" in refused.stderr
    assert (network.root / "ucsd").is_dir()
    network.run("down", "--yes")

    assert list(network.root.iterdir()) == []
    assert "consortium init" in network.run("status", expect=14).stderr


def test_members_on_separate_hosts_come_up_each_for_itself(tmp_path: Path) -> None:
    """Five roots, five programs at once; public folders and the first block are handed over."""
    config = tmp_path / "crypto-config.yaml"
    config.write_text(topology_text())
    exchange = tmp_path / "exchange"
    names = (*HOSPITALS, "authority")
    hosts = {name: FabricNetwork(tmp_path / f"host-{name}") for name in names}
    for name, one in hosts.items():
        found = one.json("init", "--config", str(config), "--member", name)
        assert set(found["missing"]) == set(names) - {name}
        shutil.copytree(one.member(name).public, exchange / name)
    for name, one in hosts.items():
        arguments = ["--config", str(config), "--member", name, "--from", str(exchange)]
        assert one.json("init", *arguments)["missing"] == []
    runs: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, one in hosts.items():
            if name != "ucsd":
                block = one.member(name).genesis_block
                deadline = time.monotonic() + 30
                source = hosts["ucsd"].member("ucsd").genesis_block
                while not source.exists() and time.monotonic() < deadline:
                    time.sleep(0.02)
                block.write_bytes(source.read_bytes())
            runs[name] = subprocess.Popen(
                [sys.executable, "-m", "network.cli", "up", "--root", one.root, "--member", name],
                cwd=REPOSITORY,
                env=environment(),
            )
        assert {name: run.wait(120) for name, run in runs.items()} == dict.fromkeys(names, 0)
        with hosts["saopaulo"].member("saopaulo").connect() as gateway:
            gateway.contract("rounds").submit("put", "from", "another host")
        assert all(one["approved"] for one in hosts["ucsd"].json("status", "--member", "ucsd"))
    finally:
        for run in runs.values():
            run.kill()
            run.wait()
        for name, one in hosts.items():
            one.run("stop", "--member", name, expect=None)
