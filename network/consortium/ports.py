"""Are a member's ports free before its nodes start?"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterable

from network.consortium.errors import AddressError, PortInUseError


def is_listening(host: str, port: int, *, timeout_s: float = 1.0) -> bool:
    """Tell whether something accepts connections there now."""
    try:
        socket.create_connection((host, port), timeout_s).close()
    except OSError:
        return False
    return True


def check_free(
    host: str, named: Iterable[tuple[str, int]], *, member: str, timeout_s: float = 0.0
) -> None:
    """Check that a listener could be opened on each port.

    Args:
        host: The address the nodes listen on; it must be one of this machine.
        named: Ports with their keys in crypto-config.yaml.
        member: Whose ports they are.
        timeout_s: How long a port may still be in use: the system takes a moment to close what a
            program that was just stopped had open.

    Raises:
        PortInUseError: Another program has the port, after `timeout_s` too.
        AddressError: The address is not of this machine, or the port needs more rights.
    """
    deadline = time.monotonic() + timeout_s
    for key, port in named:
        while True:
            try:
                _check_free(host, port, f"{member} Ports.{key}")
                break
            except PortInUseError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(0.05)


def _check_free(host: str, port: int, owner: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        # As Go's listeners do: connections of an earlier run that linger do not count.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUseError(port, host, owner) from error
            raise AddressError(port, host, owner, error.strerror or str(error)) from error
