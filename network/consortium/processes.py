"""Start and stop a member's nodes as processes that outlive this program.

A node runs in a session of its own, so a Ctrl-C in the terminal does not reach it; what it prints
goes to its log. Its pid file also holds when the process started and on which boot: a pid that the
system has given to another process since is never signalled. Nothing is ever killed by name.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from network.consortium.certificates import write_public
from network.consortium.errors import NodeNotReadyError

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class NodeProcess:
    """One process of a member: `pid` runs, or ran, since `start_ticks` of this boot."""

    pid: int
    start_ticks: int
    boot_id: str
    pid_file: Path

    @classmethod
    def find(cls, pid_file: Path) -> NodeProcess | None:
        """Return the process noted in a pid file, if it still runs; forget it otherwise."""
        try:
            noted = json.loads(pid_file.read_text())
            found = cls(
                int(noted["pid"]), int(noted["start_ticks"]), str(noted["boot_id"]), pid_file
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            found = None
        if found is None or not found.is_running():
            pid_file.unlink(missing_ok=True)
            return None
        return found

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        pid_file: Path,
    ) -> NodeProcess:
        """Start a program in its own session, its output appended to `log`.

        Raises:
            NodeNotReadyError: The program cannot be started at all.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        try:
            # Not subprocess.Popen: the child is meant to outlive this program unwaited for.
            pid = os.posix_spawn(
                command[0],
                list(command),
                dict(environment),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(log), append, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
                setsigdef=[signal.SIGPIPE, signal.SIGINT],
            )
        except OSError as error:
            raise NodeNotReadyError(command[0], f"cannot be started: {error.strerror}") from None
        started = _stat(pid)
        process = cls(pid, started[1] if started else 0, _boot_id(), pid_file)
        noted = {"pid": pid, "start_ticks": process.start_ticks, "boot_id": process.boot_id}
        write_public(pid_file, (json.dumps(noted) + "\n").encode())
        return process

    def is_running(self) -> bool:
        """Tell whether this very process, not another with its pid, still runs."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)  # takes a dead child of ours out of the table
        if self.boot_id != _boot_id():
            return False
        found = _stat(self.pid)
        if found is None or found[1] != self.start_ticks:
            return False
        # The first thread of a program may have ended, a zombie, before the others: these still
        # hold its ports and files.
        return found[0] != "Z" or _threads(self.pid) > 1

    def resident_bytes(self) -> int:
        """Return its resident memory, 0 when it has ended."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE")
        return 0

    def ask_to_stop(self) -> None:
        """Send SIGTERM, if it still runs."""
        self._send(signal.SIGTERM)

    def stop(self, *, timeout_s: float = 20.0) -> None:
        """Ask it to end, insist after `timeout_s`, forget its pid file."""
        self._send(signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        while self.is_running():
            if time.monotonic() > deadline:
                self._send(signal.SIGKILL)
                deadline = float("inf")
            time.sleep(0.02)
        self.pid_file.unlink(missing_ok=True)

    def _send(self, number: int) -> None:
        if self.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def stop_all(processes: Sequence[NodeProcess]) -> None:
    """Ask all to end at once, then wait for each."""
    for process in processes:
        process.ask_to_stop()
    for process in processes:
        process.stop()


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _threads(pid: int) -> int:
    """Return how many threads of a process are left, its first one included."""
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


def _stat(pid: int) -> tuple[str, int] | None:
    """Return state letter and start time in clock ticks (proc(5), fields 3 and 22)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command name, in parentheses, may hold spaces and parentheses itself.
    rest = text.rpartition(")")[2].split()
    return rest[0], int(rest[19])
