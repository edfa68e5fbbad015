"""Serve a contract to peers over gRPC: the I/O around `ShimConnection`.

A peer dials in and keeps one stream open. Each stream has one reader, which is a thread, and one
queue of messages to send, which the gRPC handler yields from; so writes never meet. Contracts run
in a pool of workers shared by all streams; a contract that waits for its peer waits on a queue of
its own. When a peer hangs up, every contract that waits for it is woken with `PeerHungUpError`.
An exception in a contract refuses the transaction with `ExceptionClassName: text`. Payloads, keys,
arguments and exception texts are never logged.
"""

from __future__ import annotations

import ipaddress
import logging
import queue
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc

from network.shim.errors import (
    LocalProtocolError,
    PeerError,
    PeerHungUpError,
    RemoteProtocolError,
    ShimError,
)
from network.shim.protocol import (
    MAX_MESSAGE_BYTES,
    Answered,
    KeepAlive,
    PeerReady,
    Refused,
    Registered,
    ShimConnection,
    State,
    TransactionKey,
    TransactionStarted,
)
from network.shim.requests import Request
from network.shim.settings import PlainTextForTests, ServerTls
from network.shim.stub import LedgerStub
from network.shim.written import WrittenValues

__all__ = ["ChaincodeServer", "Handler", "PlainTextForTests", "ServerTls", "serve"]

logger = logging.getLogger(__name__)

Handler = Callable[[LedgerStub], bytes]

#: One stream needs one gRPC thread for as long as it lives; a chaincode serves a peer or two.
_MAX_STREAMS: Final = 32
#: Private values kept of those written: a round's uploads of twenty hospitals with 1e6 parameters.
_WRITTEN_BYTES: Final = 64 * 1024 * 1024

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # The peer pings an idle stream every minute by default; anything slower than 10 s is welcome.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Two services must not share a port: the peer would reach either.
    ("grpc.so_reuseport", 0),
)


class _Stream:
    """One peer's stream."""

    def __init__(
        self,
        package_id: str,
        handler: Handler,
        pool: ThreadPoolExecutor,
        refusals: tuple[type[Exception], ...],
        written: WrittenValues,
    ) -> None:
        self._handler = handler
        self._written = written
        self._pool = pool
        self._refusals = refusals
        self._lock = threading.Lock()
        self._connection = ShimConnection(package_id)
        self._answers: dict[TransactionKey, queue.SimpleQueue[Answered | Refused | None]] = {}
        #: Messages to the peer; None ends the stream.
        self.outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def open(self) -> None:
        """Send the first message."""
        self.outgoing.put(self._connection.register())

    def read(self, incoming: Iterator[bytes]) -> None:
        """Take the peer's messages until the stream ends; the reader thread's whole life."""
        try:
            for message in incoming:
                self._take(message)
        except RemoteProtocolError as error:
            logger.warning("gave up a peer's stream: %s", error)
        except grpc.RpcError:
            logger.debug("a peer's stream was cancelled")
        finally:
            self.hang_up()

    def _take(self, message: bytes) -> None:
        with self._lock:
            if self._connection.state is State.CLOSED:
                return
            event = self._connection.receive(message)
            if isinstance(event, TransactionStarted):
                self._answers[event.key] = queue.SimpleQueue()
            elif isinstance(event, Answered | Refused):
                self._answers[event.key].put(event)
        match event:
            case TransactionStarted():
                try:
                    self._pool.submit(self._run, event)
                except RuntimeError:  # the pool was shut down: the service stops
                    self.hang_up()
            case KeepAlive(reply):
                self.outgoing.put(reply)
            case Registered():
                logger.debug("registered with a peer")
            case PeerReady(abilities):
                logger.info("a peer is ready: %s", abilities)

    def hang_up(self) -> None:
        """End the stream and wake every transaction that waits."""
        with self._lock:
            self._connection.close()
            waiting = list(self._answers.values())
        for answers in waiting:
            answers.put(None)
        self.outgoing.put(None)

    def _run(self, started: TransactionStarted) -> None:
        """Run one transaction; the worker's whole task."""
        key = started.key
        stub = LedgerStub(
            started,
            self._connection.abilities,
            lambda request: self._ask(key, request),
            written=self._written,
        )
        try:
            payload = self._handler(stub)
            if not isinstance(payload, bytes):
                raise LocalProtocolError(
                    f"the contract answered {type(payload).__name__}, not bytes"
                )
            stub.flush()
            with self._lock:
                self.outgoing.put(self._connection.complete(key, payload, stub.event))
                self._answers.pop(key, None)
        except BaseException as error:
            # SystemExit too: a transaction always gets an answer, and a worker outlives it.
            self._refuse(key, error)

    def _refuse(self, key: TransactionKey, error: BaseException) -> None:
        name = type(error).__name__
        if isinstance(error, PeerHungUpError):
            logger.debug("a transaction ended with its peer's stream")
        elif not isinstance(error, (*self._refusals, PeerError)):
            # Where, not what: an exception's text may quote what the contract was working on.
            frames = traceback.extract_tb(error.__traceback__)
            where = " < ".join(f"{one.filename}:{one.lineno}" for one in reversed(frames[-4:]))
            logger.warning("a contract failed with %s at %s", name, where)
        with self._lock:
            self._answers.pop(key, None)
            try:
                self.outgoing.put(self._connection.refuse(key, f"{name}: {error}"))
            except LocalProtocolError:
                logger.debug("a refusal found no peer to take it")

    def _ask(self, key: TransactionKey, request: Request) -> bytes:
        with self._lock:
            if self._connection.state is State.CLOSED:
                raise PeerHungUpError("the peer has hung up")
            answers = self._answers.get(key)
            message = self._connection.request(key, request)
            self.outgoing.put(message)
        if answers is None:
            raise LocalProtocolError("the transaction is over")
        answer = answers.get()
        if answer is None:
            raise PeerHungUpError("the peer has hung up")
        if isinstance(answer, Refused):
            raise PeerError(answer.message)
        return answer.payload


class ChaincodeServer:
    """A contract as a service that peers dial.

    Args:
        handler: The contract: takes a transaction's stub, returns its answer; raises to refuse.
        package_id: Id of the chaincode's package as installed, "label:sha256".
        address: "host:port"; port 0 lets the system choose.
        tls: Mutual TLS, or plain text by its long name.
        workers: Contracts that run at once; further transactions wait.
        refusals: Exceptions that are a contract's ordinary way to say no; others are logged.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        package_id: str,
        address: str,
        tls: ServerTls | PlainTextForTests,
        workers: int = 32,
        refusals: tuple[type[Exception], ...] = (),
    ) -> None:
        if not package_id:
            raise ValueError("a chaincode service needs its package's id")
        self._package_id = package_id
        self._handler = handler
        self._address = address
        self._tls = tls
        self._refusals = refusals
        self._written = WrittenValues(_WRITTEN_BYTES)
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="contract")
        self._streams_pool = ThreadPoolExecutor(_MAX_STREAMS, thread_name_prefix="stream")
        self._lock = threading.Lock()
        self._streams: set[_Stream] = set()
        self._server = grpc.server(
            self._streams_pool, options=list(_OPTIONS), maximum_concurrent_rpcs=_MAX_STREAMS
        )
        # Bytes in and out: decoding is ShimConnection's, so that no malformed message is met by
        # gRPC's own reader first.
        connect = grpc.stream_stream_rpc_method_handler(self._connect)
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("protos.Chaincode", {"Connect": connect}),)
        )

    def start(self) -> int:
        """Listen and return the port.

        Raises:
            ShimError: The address cannot be listened on, or the TLS files do not fit together.
            ValueError: Plain text was asked for on an address that is not loopback.
        """
        try:
            if isinstance(self._tls, PlainTextForTests):
                check_loopback(self._address)
                port = self._server.add_insecure_port(self._address)
            else:
                credentials = grpc.ssl_server_credentials(
                    [(self._tls.key_pem, self._tls.certificate_pem)],
                    root_certificates=self._tls.client_roots_pem,
                    require_client_auth=True,
                )
                port = self._server.add_secure_port(self._address, credentials)
        except RuntimeError:
            port = 0
        if port == 0:
            raise ShimError(
                f"the chaincode service cannot listen on {self._address}",
                hint="free the port, or check that the TLS certificate and key belong together",
            )
        self._server.start()
        return int(port)

    def stop(self, grace_s: float = 1.0) -> None:
        """Stop listening, end every stream and wake every waiting contract.

        Args:
            grace_s: How long streams may go on by themselves, seconds.
        """
        stopped = self._server.stop(grace_s)
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.hang_up()
        stopped.wait()
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._streams_pool.shutdown(wait=False)

    def _connect(self, incoming: Iterator[bytes], context: Any) -> Iterator[bytes]:
        """Serve one peer's stream: yield what is to be sent, until it ends."""
        stream = _Stream(
            self._package_id, self._handler, self._workers, self._refusals, self._written
        )
        with self._lock:
            self._streams.add(stream)
        stream.open()
        # The peer may vanish without the reader noticing first.
        if not context.add_callback(stream.hang_up):
            stream.hang_up()
        threading.Thread(
            target=stream.read, args=(incoming,), name="peer reader", daemon=True
        ).start()
        try:
            while (message := stream.outgoing.get()) is not None:
                yield message
        finally:
            stream.hang_up()
            with self._lock:
                self._streams.discard(stream)


def check_loopback(address: str) -> str:
    """Return an address proved to be loopback.

    Raises:
        ValueError: It is not.
    """
    host = address.rpartition(":")[0].strip("[]")
    if host != "localhost":
        try:
            is_loopback = ipaddress.ip_address(host).is_loopback
        except ValueError:
            is_loopback = False
        if not is_loopback:
            raise ValueError(f"plain text is for tests on loopback, not for {address}")
    return address


def serve(
    handler: Handler,
    *,
    package_id: str,
    address: str,
    tls: ServerTls | PlainTextForTests,
    ready: Callable[[int], None] | None = None,
    workers: int = 32,
    refusals: tuple[type[Exception], ...] = (),
) -> None:
    """Serve a contract until SIGTERM or SIGINT; call it from the main thread.

    Args:
        handler: See `ChaincodeServer`.
        package_id: See `ChaincodeServer`.
        address: See `ChaincodeServer`.
        tls: See `ChaincodeServer`.
        ready: Called with the port once peers can dial in.
        workers: See `ChaincodeServer`.
        refusals: See `ChaincodeServer`.

    Raises:
        ShimError: The address cannot be listened on.
    """
    server = ChaincodeServer(
        handler,
        package_id=package_id,
        address=address,
        tls=tls,
        workers=workers,
        refusals=refusals,
    )
    port = server.start()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    if ready is not None:
        ready(port)
    ended.wait()
    server.stop()
