"""A process is stopped only if it is the very one that was started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from network.consortium.errors import NodeNotReadyError
from network.consortium.health import last_words, wait_until_healthy
from network.consortium.processes import NodeProcess, stop_all


def start(tmp_path: Path, code: str = "import time; time.sleep(60)", name: str = "node"):
    """Start a small Python program as a node."""
    return NodeProcess.start(
        [sys.executable, "-c", code],
        environment={"PATH": os.environ["PATH"]},
        log=tmp_path / "log" / f"{name}.log",
        pid_file=tmp_path / "run" / f"{name}.json",
    )


def test_started_process_is_found_by_its_pid_file_until_it_stops(tmp_path: Path) -> None:
    process = start(tmp_path)

    assert NodeProcess.find(process.pid_file) == process
    assert process.resident_bytes() > 0
    process.stop()

    assert not process.is_running()
    assert NodeProcess.find(process.pid_file) is None
    assert not process.pid_file.exists()


def test_process_runs_in_a_session_of_its_own(tmp_path: Path) -> None:
    process = start(tmp_path)
    try:
        assert os.getsid(process.pid) == process.pid
    finally:
        process.stop()


def test_killed_process_is_forgotten(tmp_path: Path) -> None:
    process = start(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    while process.is_running():
        time.sleep(0.01)

    assert NodeProcess.find(process.pid_file) is None


def test_program_whose_first_thread_has_ended_still_runs(tmp_path: Path) -> None:
    """The first thread is a zombie then; the others hold the ports and files of the program."""
    code = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    process = start(tmp_path, code)
    try:
        stat = Path(f"/proc/{process.pid}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.01)

        assert process.is_running()
        assert NodeProcess.find(process.pid_file) == process
    finally:
        process.stop()
    assert not process.is_running()


@pytest.mark.parametrize("field", ["start_ticks", "boot_id"])
def test_pid_given_to_another_process_is_never_signalled(tmp_path: Path, field: str) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        process = start(tmp_path)
        process.stop()
        noted = {"pid": other.pid, "start_ticks": process.start_ticks, "boot_id": process.boot_id}
        if field == "boot_id":
            stat = Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()
            noted |= {"start_ticks": int(stat[19]), "boot_id": "an earlier boot"}
        else:
            noted["start_ticks"] = 1
        process.pid_file.write_text(json.dumps(noted))
        stale = NodeProcess(noted["pid"], noted["start_ticks"], noted["boot_id"], process.pid_file)

        stale.stop()

        assert NodeProcess.find(process.pid_file) is None
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"pid": "x"}', "\0"])
def test_spoilt_pid_file_is_forgotten(tmp_path: Path, content: str) -> None:
    path = tmp_path / "node.json"
    path.write_text(content)

    assert NodeProcess.find(path) is None
    assert not path.exists()


def test_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('ready', flush=True); time.sleep(60)"
    )
    process = start(tmp_path, code)
    while not (tmp_path / "log/node.log").read_text():
        time.sleep(0.01)

    process.stop(timeout_s=0.1)

    assert not process.is_running()


def test_all_are_asked_before_any_is_waited_for(tmp_path: Path) -> None:
    processes = [start(tmp_path, name=f"node{number}") for number in range(3)]

    stop_all(processes)

    assert not any(process.is_running() for process in processes)


def test_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(NodeNotReadyError, match="no-such-program cannot be started"):
        NodeProcess.start(
            [str(tmp_path / "no-such-program")],
            environment={},
            log=tmp_path / "log",
            pid_file=tmp_path / "pid.json",
        )


def test_waiting_ends_with_the_last_words_of_a_node_that_died(tmp_path: Path) -> None:
    process = start(tmp_path, "import sys; sys.exit('the disk is full')")
    log = tmp_path / "log" / "node.log"

    with pytest.raises(NodeNotReadyError, match="ended at once: the disk is full") as caught:
        wait_until_healthy(
            "the peer of ucsd",
            process,
            operations=None,
            listening=[("127.0.0.1", 1)],
            log=log,
            timeout_s=20,
        )

    assert str(log) in caught.value.hint


def test_waiting_names_the_port_that_stays_closed(tmp_path: Path) -> None:
    process = start(tmp_path)
    try:
        with pytest.raises(NodeNotReadyError, match="port 1 is closed"):
            wait_until_healthy(
                "the peer of ucsd",
                process,
                operations=None,
                listening=[("127.0.0.1", 1)],
                log=tmp_path / "log" / "node.log",
                timeout_s=0.1,
            )
    finally:
        process.stop()


def test_last_words_of_a_missing_log(tmp_path: Path) -> None:
    assert last_words(tmp_path / "none.log") == "it wrote nothing"
