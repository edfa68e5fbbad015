"""Is a node healthy, how far is it, what does it measure? Over its operations endpoint.

The endpoint listens on 127.0.0.1, shows no payloads and answers the member itself alone, because
it also sets the level of logging. `/healthz` answers 200 before a node's gRPC and admin ports
listen, so waiting is for both.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from network.consortium.errors import NodeNotReadyError
from network.consortium.member import MemberDirectory
from network.consortium.own_endpoint import OwnEndpoint
from network.consortium.ports import is_listening
from network.consortium.processes import NodeProcess

_SAMPLE: Final = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$")
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Operations:
    """A node's operations endpoint, asked with its member's own certificate."""

    directory: MemberDirectory
    port: int
    timeout_s: float = 2.0

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body.

        Raises:
            OSError: Nothing answers, or it is not this member's.
        """
        return OwnEndpoint(self.directory, self.port, self.timeout_s).request("GET", path)

    def is_healthy(self) -> bool:
        """Tell whether the node says it is healthy."""
        try:
            return self.get("/healthz")[0] == 200
        except OSError:
            return False

    def version(self) -> str:
        """Return the node's Fabric version, empty when it does not answer."""
        try:
            status, body = self.get("/version")
            return str(json.loads(body)["Version"]) if status == 200 else ""
        except (OSError, ValueError, KeyError):
            return ""

    def metrics(self) -> Metrics:
        """Return what the node measures, empty when it does not answer."""
        try:
            return Metrics.parse(self.get("/metrics")[1].decode())
        except (OSError, UnicodeDecodeError):
            return Metrics(())


@dataclass(frozen=True, slots=True)
class Metrics:
    """Prometheus samples: name, labels, value.

    >>> Metrics.parse('ledger_blockchain_height{channel="a"} 7').value(
    ...     "ledger_blockchain_height", channel="a")
    7.0
    """

    samples: tuple[tuple[str, dict[str, str], float], ...]

    @classmethod
    def parse(cls, text: str) -> Metrics:
        """Read the text format; comments and what does not parse are left out."""
        samples = []
        for line in text.splitlines():
            if match := _SAMPLE.match(line):
                labels = dict(_LABEL.findall(match["labels"] or ""))
                samples.append((match["name"], labels, float(match["value"])))
        return cls(tuple(samples))

    def value(self, name: str, **labels: str) -> float | None:
        """Return the first sample of that name with these labels."""
        for found, own, value in self.samples:
            if found == name and labels.items() <= own.items():
                return value
        return None


def wait_until_healthy(
    node: str,
    process: NodeProcess,
    *,
    operations: Operations | None,
    listening: Iterable[tuple[str, int]],
    log: Path,
    timeout_s: float,
) -> None:
    """Wait until a node says it is healthy and all its ports listen.

    Args:
        node: Its name in errors.
        process: Its process; when it ends, so does the waiting.
        operations: Its operations endpoint; None where it has none.
        listening: Hosts and ports to wait for.
        log: Where it writes, named in errors.
        timeout_s: How long to wait.

    Raises:
        NodeNotReadyError: It ended, or took too long.
    """
    deadline = time.monotonic() + timeout_s
    waiting = list(listening)
    healthy = operations is None
    while True:
        healthy = healthy or (operations is not None and operations.is_healthy())
        waiting = [(host, port) for host, port in waiting if not is_listening(host, port)]
        if healthy and not waiting:
            return
        if not process.is_running():
            raise NodeNotReadyError(node, f"ended at once: {last_words(log)}", log)
        if time.monotonic() > deadline:
            missing = ", ".join(f"port {port} is closed" for _, port in waiting) or "not healthy"
            raise NodeNotReadyError(node, f"is not ready after {timeout_s:.0f} s: {missing}", log)
        time.sleep(0.05)


def last_words(log: Path, *, characters: int = 400) -> str:
    """Return the end of a log, on one line."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 4096))
            text = file.read().decode(errors="replace")
    except OSError:
        return "it wrote nothing"
    return " ".join(text.split())[-characters:] or "it wrote nothing"
