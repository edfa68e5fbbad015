"""A member is named by its name or directory, before the command or after it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from network.consortium.member import MEMBER_FILE
from peer_client.cli.main import main
from peer_client.cli.member_option import member_directory, with_member_first


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a consortium's folder with one member."""
    member = tmp_path / "root" / "ucsd"
    member.mkdir(parents=True)
    (member / MEMBER_FILE).write_text("{}")
    monkeypatch.setenv("CONSORTIUM_ROOT", str(tmp_path / "root"))
    monkeypatch.delenv("HOSPITAL_MEMBER", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "root"


def test_a_name_is_looked_up_under_the_root(root: Path) -> None:
    environment = {"CONSORTIUM_ROOT": str(root)}

    assert member_directory("ucsd", environment) == root / "ucsd"
    assert member_directory(str(root / "ucsd"), environment) == root / "ucsd"
    assert member_directory(None, environment) is None


def test_a_directory_here_comes_before_a_name(root: Path, tmp_path: Path) -> None:
    (tmp_path / "ucsd").mkdir()
    (tmp_path / "ucsd" / MEMBER_FILE).write_text("{}")

    assert member_directory("ucsd", {"CONSORTIUM_ROOT": str(root)}) == Path("ucsd")


@pytest.mark.parametrize(
    "arguments",
    [["--member", "ucsd", "status"], ["status", "--member", "ucsd"], ["status", "--member=ucsd"]],
)
def test_the_option_may_stand_anywhere(root: Path, arguments: list[str]) -> None:
    done = CliRunner().invoke(main, arguments)

    # The member is found; its file of this test is of no format.
    assert "ucsd" in done.stderr
    assert "No such option" not in done.stderr
    assert done.exit_code not in (2, 60)


def test_a_member_that_is_nowhere_is_named(root: Path) -> None:
    done = CliRunner().invoke(main, ["status", "--member", "harvard"])

    assert done.exit_code == 14
    assert "harvard" in done.stderr


def test_what_stands_behind_two_dashes_stays_there() -> None:
    assert with_member_first(["a", "--", "--member", "b"]) == ["a", "--", "--member", "b"]
    assert with_member_first(["a", "--member"]) == ["a", "--member"]
