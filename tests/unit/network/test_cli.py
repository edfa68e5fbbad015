"""The command line: sentences, exit codes, JSON; nothing is started here."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from network.cli import main
from network.fabric.binaries import build_name

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Return a function that calls `consortium` in an empty root."""
    monkeypatch.setenv("CONSORTIUM_ROOT", str(tmp_path / "root"))
    monkeypatch.chdir(REPOSITORY)

    def call(*arguments: str, **kwargs: str):
        return CliRunner().invoke(main, arguments, **kwargs)

    return call


def test_validate_says_what_is_there(run) -> None:
    found = run("validate", "--json")

    assert found.exit_code == 0
    assert json.loads(found.stdout)["hospitals"] == ["ucsd", "saopaulo", "moscow1", "moscow2"]


def test_mistake_is_a_sentence_with_line_advice_page_and_exit_code(run, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text((REPOSITORY / "crypto-config.yaml").read_text().replace("Host:", "Hots:", 1))

    found = run("validate", str(config))

    assert found.exit_code == 11
    assert "error 11: mine.yaml line " in found.stderr
    assert "did you mean `Host`" in found.stderr
    assert "What to do: " in found.stderr
    assert "docs/errors/11.md" in found.stderr
    assert found.stdout == ""


def test_error_is_json_for_programs(run) -> None:
    found = run("status", "--json")

    assert found.exit_code == 14
    assert json.loads(found.stdout)["error"] == 14


def test_output_that_is_a_folder_is_no_full_disk(run, tmp_path: Path) -> None:
    run("init")

    found = run("profile", "ucsd", "--output", str(tmp_path))

    assert found.exit_code == 96
    assert "Is a directory" in found.stderr
    assert "space" not in found.stderr


def test_init_then_env_and_profile(run, tmp_path: Path) -> None:
    assert run("init", "--port-base", "20000").exit_code == 0

    path = run("env", "ucsd", "--member-directory").stdout.strip()
    profile = tmp_path / "profile.json"

    assert Path(path) == tmp_path / "root" / "ucsd"
    assert run("profile", "ucsd", "--output", str(profile)).exit_code == 0
    assert json.loads(profile.read_text())["peers"]["peer.ucsd.example"]["url"] == "127.0.0.1:20000"
    assert run("logs", "ucsd").stdout == "the nodes of ucsd have written nothing\n"
    unknown = run("env", "harvard")
    assert unknown.exit_code == 18


def test_status_of_stopped_members_ends_with_fifteen(run) -> None:
    run("init")

    found = run("status", "--json")

    assert found.exit_code == 15
    states = {node["state"] for one in json.loads(found.stdout) for node in one["nodes"]}
    assert states == {"stopped"}


def test_missing_fabric_programs_are_named_before_anything_starts(
    run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run("init")
    monkeypatch.setenv("FABRIC_BIN", str(tmp_path))

    found = run("up")

    assert found.exit_code == 92
    assert "lacks peer, orderer, configtxgen" in found.stderr


def test_unwritable_root_is_a_sentence(run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    found = run("init", "--root", str(tmp_path / "file" / "root"))

    assert found.exit_code == 96
    assert "Not a directory" in found.stderr


def test_down_without_an_answer_deletes_nothing(run, tmp_path: Path) -> None:
    run("init")

    refused = run("down", input="n\n")

    assert refused.exit_code == 130
    assert "stopped" in refused.stderr
    assert (tmp_path / "root" / "ucsd" / "ca" / "ca.key").exists()
    assert run("down", "--yes").exit_code == 0
    assert list((tmp_path / "root").iterdir()) == []


def test_prune_deletes_logs_of_stopped_nodes_and_old_builds_alone(
    run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cache = tmp_path / "cache" / "capsule-consortium"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in (build_name(), "fabric-3.1.1-01234567", "fabric-2.5.9", "building-fabric-fresh"):
        (cache / name).mkdir(parents=True)
        (cache / name / "peer").write_bytes(b"x" * 1000)
    run("init")
    log = tmp_path / "root" / "ucsd" / "peer" / "log" / "peer.log"
    log.parent.mkdir(parents=True)
    log.write_text("old words")

    found = json.loads(run("prune", "--json").stdout)

    old = {str(cache / "fabric-3.1.1-01234567"), str(cache / "fabric-2.5.9")}
    assert set(found["removed"]) == {str(log), *old}
    assert found["freed_bytes"] == 2009
    assert {path.name for path in cache.iterdir()} == {"building-fabric-fresh", build_name()}


def test_default_root_follows_xdg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")

    root = next(option for option in main.commands["status"].params if option.name == "root")
    assert root.get_default(click.Context(main)) == Path("/data/capsule-consortium")
