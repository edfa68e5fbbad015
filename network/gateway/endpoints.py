"""gRPC channels to a list of gateways, and the one place where gRPC's exceptions are translated.

A call goes to the first gateway that is not known to be unreachable. Only calls that may safely be
made twice are tried at the next gateway (`call_any`); Submit goes through `call_once`, because
what became of a lost one has to be found out first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc
from fabric_protos.gateway import gateway_pb2_grpc
from fabric_protos.peer import events_pb2_grpc, peer_pb2_grpc

from network.errors import MalformedBytesError
from network.gateway.errors import ClockError, GatewayCallError
from network.gateway.settings import ClientTls, GatewayAddress
from network.wire.status import PeerDetail, clock_ahead_s, read_details

#: 100 MiB, what peers and ordering nodes accept (core/comm/config.go, MaxRecvMsgSize).
MAX_MESSAGE_BYTES: Final = 100 * 1024 * 1024

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # Peers are configured with a minimum of 5 s between pings (network.consortium); a silently
    # dead host is then noticed within half a minute.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 0),
    # gRPC's own back-off goes up to two minutes; a restarted peer is ready in a third of a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_retries", 0),
)

#: Statuses that say nothing about the request, only that this gateway could not serve it now.
UNREACHABLE: Final = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED"})


class CallFailure(Exception):  # noqa: N818 - internal, always turned into a rung's error
    """A failed call in our own words; never leaves this package."""

    def __init__(
        self, code: str, message: str, details: tuple[PeerDetail, ...], gateway: str
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.details = details
        self.gateway = gateway

    def as_error(self, kind: type[GatewayCallError], transaction_id: str = "") -> GatewayCallError:
        """Return the rung's error, or that of a clock where a peer refused a proposal's time."""
        said = {detail.msp_id or detail.address: detail.message for detail in self.details}
        ahead_s = {
            name: seconds
            for name, message in (said or {self.gateway: self.message}).items()
            if (seconds := clock_ahead_s(message)) is not None
        }
        if ahead_s:
            return ClockError(ahead_s, transaction_id=transaction_id, gateway=self.gateway)
        return kind(
            self.code,
            self.message,
            transaction_id=transaction_id,
            details=self.details,
            gateway=self.gateway,
        )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Channel and stubs of one gateway."""

    target: str
    channel: Any
    gateway: Any
    endorser: Any
    deliver: Any


def open_endpoint(address: GatewayAddress, client_tls: ClientTls | None) -> Endpoint:
    """Make the channel to one gateway; nothing is sent before the first call."""
    credentials = grpc.ssl_channel_credentials(
        root_certificates=address.tls_root_pem,
        private_key=client_tls.key_pem if client_tls else None,
        certificate_chain=client_tls.certificate_pem if client_tls else None,
    )
    options: list[tuple[str, int | str]] = list(_OPTIONS)
    if address.server_name is not None:
        options.append(("grpc.ssl_target_name_override", address.server_name))
    channel = grpc.secure_channel(address.target, credentials, options)
    return Endpoint(
        target=address.target,
        channel=channel,
        gateway=gateway_pb2_grpc.GatewayStub(channel),
        endorser=peer_pb2_grpc.EndorserStub(channel),
        deliver=events_pb2_grpc.DeliverStub(channel),
    )


def translate(error: Exception, target: str) -> CallFailure:
    """Turn what gRPC raised into our own words."""
    if not isinstance(error, grpc.RpcError) or not hasattr(error, "code"):
        # grpc raises ValueError for a call on a channel that was closed.
        return CallFailure("CANCELLED", "the connection was closed", (), target)
    code = error.code()
    details: tuple[PeerDetail, ...] = ()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            try:
                details = read_details(value)
            except MalformedBytesError:
                details = (PeerDetail(target, "", "sent error details that do not parse"),)
    name = code.name if code is not None else "UNKNOWN"
    return CallFailure(name, error.details() or "", details, target)


class Endpoints:
    """The gateways of one connection, own peer first.

    Args:
        endpoints: At least one.
        unreachable_s: How long an unreachable gateway is tried last, seconds.
        monotonic: Clock, seconds.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        unreachable_s: float,
        monotonic: Callable[[], float],
    ) -> None:
        if not endpoints:
            raise ValueError("a gateway connection needs at least one address")
        self._endpoints = tuple(endpoints)
        self._unreachable_s = unreachable_s
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failed_at: dict[str, float] = {}

    @property
    def first(self) -> Endpoint:
        """The own peer's gateway."""
        return self._endpoints[0]

    def in_order(self) -> tuple[Endpoint, ...]:
        """Return the gateways, those that lately did not answer last."""
        now = self._monotonic()
        with self._lock:
            lately = {
                target for target, at in self._failed_at.items() if now - at < self._unreachable_s
            }
        return tuple(sorted(self._endpoints, key=lambda one: one.target in lately))

    def call_at(self, endpoint: Endpoint, call: Callable[[Endpoint], Any]) -> Any:
        """Make one call at one gateway.

        Raises:
            CallFailure: It failed.
        """
        try:
            answer = call(endpoint)
        except (grpc.RpcError, ValueError) as error:
            failure = translate(error, endpoint.target)
            # An answer with details came from a living gateway that could not reach others.
            if failure.code in UNREACHABLE and not failure.details:
                self.mark_unreachable(endpoint)
            raise failure from error
        with self._lock:
            self._failed_at.pop(endpoint.target, None)
        return answer

    def mark_unreachable(self, endpoint: Endpoint) -> None:
        """Try this gateway last for a while."""
        with self._lock:
            self._failed_at[endpoint.target] = self._monotonic()

    def call_once(self, call: Callable[[Endpoint], Any]) -> Any:
        """Make one call at the first gateway in order.

        Raises:
            CallFailure: It failed.
        """
        return self.call_at(self.in_order()[0], call)

    def call_any(self, call: Callable[[Endpoint], Any]) -> Any:
        """Make one call at each gateway in order until one of them answers.

        Raises:
            CallFailure: The first gateway's answer that is more than "unavailable", or the first
                gateway's failure where all were unavailable.
        """
        first: CallFailure | None = None
        for endpoint in self.in_order():
            try:
                return self.call_at(endpoint, call)
            except CallFailure as failure:
                if failure.code != "UNAVAILABLE":
                    raise
                first = first or failure
        assert first is not None  # noqa: S101 - there is at least one endpoint
        raise first

    def close(self) -> None:
        """Close every channel; calls under way end as CANCELLED."""
        for endpoint in self._endpoints:
            endpoint.channel.close()
