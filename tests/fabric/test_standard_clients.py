"""Standard Fabric clients reach the consortium with what `env` and `profile` give them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.fabric_network import FabricNetwork, environment
from tests.support.standard_clients import CLIENTS, hfc_python, node_project

# Installing a client for the first time takes a while.
pytestmark = [pytest.mark.fabric, pytest.mark.timeout(600)]


def in_shell(exports: str, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user would: after `eval` of what `consortium env` printed."""
    return subprocess.run(
        ["sh", "-c", f"{exports}\n{command}"],
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def written(consortium: FabricNetwork) -> str:
    """Put one value on the ledger and return it."""
    with consortium.member("ucsd").connect() as gateway:
        gateway.contract("rounds").submit("put", "standard", "clients")
    return "clients"


def test_stock_peer_cli_queries_the_chaincode(consortium: FabricNetwork, written: str) -> None:
    exports = consortium.run("env", "ucsd").stdout

    done = in_shell(
        exports,
        '"$FABRIC_BIN/peer" chaincode query -C "$CHANNEL" -n "$CHAINCODE" '
        '-c \'{"Args":["get","standard"]}\'',
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == written


@pytest.mark.parametrize("member", ["moscow2", "authority"])
def test_stock_peer_cli_sees_the_committed_definition(
    consortium: FabricNetwork, member: str
) -> None:
    exports = consortium.run("env", member).stdout

    done = in_shell(
        exports,
        '"$FABRIC_BIN/peer" lifecycle chaincode querycommitted -C "$CHANNEL" -n "$CHAINCODE" '
        "--output json",
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["version"], found["sequence"]) == ("1", 1)
    names = [f"{name}MSP" for name in ("ucsd", "saopaulo", "moscow1", "moscow2")]
    assert [found["approvals"][name] for name in names] == [True] * 4
    assert found["approvals"]["authorityMSP"] is False


def test_official_node_sdk_submits_and_evaluates(consortium: FabricNetwork, tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    consortium.run("profile", "saopaulo", "--output", str(profile))
    node, project = node_project()

    done = subprocess.run(
        [node, project / "client.mjs", profile, "peer.saopaulo.example", "client", "rounds"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == {"written": "wrote", "read": "wrote"}
    with consortium.member("saopaulo").connect() as gateway:
        assert gateway.contract("rounds").evaluate("get", "node") == b"wrote"


def test_fabric_sdk_py_reads_a_block_queries_and_writes(
    consortium: FabricNetwork, tmp_path: Path
) -> None:
    profile = tmp_path / "profile.json"
    consortium.run("profile", "moscow1", "--output", str(profile))
    peers = [f"peer.{name}.example" for name in ("moscow1", "ucsd", "saopaulo")]

    done = subprocess.run(
        [
            hfc_python(),
            CLIENTS / "hfc_client.py",
            profile,
            "hospitals",
            "rounds",
            "moscow1.example",
            "client",
            *peers,
        ],
        cwd=tmp_path,
        env={name: value for name, value in environment().items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert int(found["block"]) == 1
    assert found["read"] == "wrote"
    with consortium.member("moscow1").connect() as gateway:
        assert gateway.contract("rounds").evaluate("get", "hfc") == b"wrote"
