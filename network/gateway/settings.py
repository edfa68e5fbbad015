"""Where gateways are and how long to wait for them.

There is no connection without TLS: a plain one cannot be expressed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """One peer's gateway.

    Attributes:
        target: "host:port".
        tls_root_pem: Root certificate of the peer's TLS.
        server_name: Name to expect in the peer's certificate, where it is not the host's.
    """

    target: str
    tls_root_pem: bytes = field(repr=False)
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class ClientTls:
    """The certificate with which this program shows itself in TLS."""

    certificate_pem: bytes = field(repr=False)
    key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Longest waits, in seconds, for each kind of call."""

    evaluate_s: float = 60.0
    endorse_s: float = 120.0
    submit_s: float = 120.0
    commit_status_s: float = 60.0
    commit_check_s: float = 7.0  # after UNAVAILABLE from Submit: has it been ordered all the same?
    process_s: float = 300.0
    unreachable_s: float = 10.0  # a gateway that did not answer is tried last for this long


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a call is made again, and after which pauses.

    Attributes:
        attempts: Calls in all, at least 1.
        first_s: First pause, seconds.
        factor: Each pause is the last times this.
        longest_s: No pause is longer, seconds.
    """

    attempts: int = 10
    first_s: float = 0.1
    factor: float = 1.7
    longest_s: float = 2.0

    def pauses_s(self) -> Iterator[float]:
        """Yield the pause before each attempt but the first.

        >>> list(Retry(attempts=4, first_s=1, factor=2, longest_s=3).pauses_s())
        [1, 2, 3]
        """
        pause = self.first_s
        for _ in range(self.attempts - 1):
            yield min(pause, self.longest_s)
            pause *= self.factor
