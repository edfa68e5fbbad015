"""Two programs never start or stop the nodes of one member at once."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from network.cli import main
from network.consortium.bring_up import BringUp, open_members
from network.consortium.errors import MemberBusyError
from network.consortium.member import MemberDirectory
from network.consortium.member_lock import held
from network.consortium.nodes import Host
from network.consortium.processes import NodeProcess
from network.runtime.progress import TerminalProgress

HOLDING = """
import sys, time
from pathlib import Path
from network.consortium.member import MemberDirectory
from network.consortium.member_lock import held
with held([MemberDirectory(Path(sys.argv[1]))]):
    print("held", flush=True)
    time.sleep(60)
"""


def members(tmp_path: Path, *names: str) -> list[MemberDirectory]:
    """Return directories that hold nothing."""
    found = [MemberDirectory(tmp_path / name) for name in names]
    for directory in found:
        directory.path.mkdir(exist_ok=True)
    return found


def test_second_holder_is_told_of_the_first_until_it_ends(tmp_path: Path) -> None:
    (ucsd,) = members(tmp_path, "ucsd")
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDING, ucsd.path], stdout=subprocess.PIPE, env=dict(os.environ)
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(MemberBusyError, match=rf"process {other.pid}\) .* of ucsd"),
            held([ucsd]),
        ):
            pass
    finally:
        other.kill()
        other.communicate()

    with held([ucsd]):
        pass


def test_none_is_held_when_one_of_them_is_busy(tmp_path: Path) -> None:
    ucsd, moscow1 = members(tmp_path, "ucsd", "moscow1")
    with held([moscow1]):
        with pytest.raises(MemberBusyError), held([ucsd, moscow1]):
            pass
        with held([ucsd]):
            pass


def test_node_that_was_started_does_not_hold_its_member(tmp_path: Path) -> None:
    (ucsd,) = members(tmp_path, "ucsd")
    with held([ucsd]):
        process = NodeProcess.start(
            [sys.executable, "-c", "import time; time.sleep(60)"],
            environment={},
            log=tmp_path / "node.log",
            pid_file=ucsd.pid_file("peer"),
        )
    try:
        with held([ucsd]):
            assert process.is_running()
    finally:
        process.stop()


def test_up_and_stop_of_a_member_at_work_are_refused(root: Path) -> None:
    directories = open_members(root, ["ucsd"])
    up = BringUp(
        directories,
        directories[0].topology(),
        Host(root / "no-programs", sys.executable),
        TerminalProgress(quiet=True),
        datetime.now(UTC),
    )

    with held(directories):
        with pytest.raises(MemberBusyError):
            up.run()
        for command in ("stop", "down"):
            options = ["--yes"] if command == "down" else []
            done = CliRunner().invoke(main, [command, "--root", str(root), *options])
            assert done.exit_code == MemberBusyError.exit_code

    assert directories[0].tls_root.exists()
