"""The connection of one identity to one channel, by a list of gateways.

`Gateway.connect` opens it; `Gateway.contract` gives the calls of a chaincode, `Gateway.blocks` the
chain. Only Endorse and Submit may go to another gateway than the own peer's.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType

from network.gateway.blocks import BlockStream
from network.gateway.contract import Contract
from network.gateway.endpoints import Endpoints, open_endpoint
from network.gateway.session import Session
from network.gateway.settings import ClientTls, GatewayAddress, Retry, Timeouts
from network.wire.identity import Identity, certificate_sha256

__all__ = ["ClientTls", "Gateway", "GatewayAddress", "Retry", "Timeouts"]


def _now() -> datetime:
    return datetime.now(UTC)


class Gateway(Session):
    """A connection; made by `Gateway.connect`, closed by `close` or a `with` statement."""

    @classmethod
    def connect(
        cls,
        addresses: Sequence[GatewayAddress],
        identity: Identity,
        *,
        client_tls: ClientTls | None,
        channel: str,
        timeouts: Timeouts = Timeouts(),  # noqa: B008 - frozen
        retry: Retry = Retry(),  # noqa: B008 - frozen
        now: Callable[[], datetime] = _now,
        entropy: Callable[[int], bytes] = os.urandom,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Gateway:
        """Open a connection; nothing is sent before the first call.

        Args:
            addresses: Own peer first; the others may endorse and submit when it does not answer.
            identity: Who signs. May be of another member than the peer.
            client_tls: Certificate for mutual TLS; None where the peers ask for none.
            channel: Channel of every call.
            timeouts: Longest waits.
            retry: What `Contract.submit` and streams do about passing failures.
            now: Wall clock with a time zone; peers refuse proposals `TIME_WINDOW_S` off theirs.
            entropy: Source of nonces.
            sleep: Pauses between attempts, seconds.
            monotonic: Clock for remembering unreachable gateways, seconds.

        Raises:
            CertificateError: The TLS client certificate is not one.
        """
        fingerprint = certificate_sha256(client_tls.certificate_pem) if client_tls else b""
        endpoints = Endpoints(
            [open_endpoint(address, client_tls) for address in addresses],
            unreachable_s=timeouts.unreachable_s,
            monotonic=monotonic,
        )
        return cls(
            endpoints,
            identity,
            channel=channel,
            timeouts=timeouts,
            retry=retry,
            tls_certificate_sha256=fingerprint,
            now=now,
            entropy=entropy,
            sleep=sleep,
        )

    def contract(self, chaincode: str) -> Contract:
        """Return the calls of one chaincode on this channel."""
        return Contract(self, chaincode)

    def blocks(self, start: int = 0, stop: int | None = None) -> BlockStream:
        """Return the blocks from `start` to `stop`, both included; None follows forever.

        Raises:
            StreamError: While iterating: the peer refused, or stayed unreachable.
        """
        return BlockStream(self, start, stop)

    def __enter__(self) -> Gateway:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
