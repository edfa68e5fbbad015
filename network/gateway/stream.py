"""A stream that outlives its connection: taken up again where it broke, closable from any thread.

What is asked and what comes out is the subclass's: `open` starts the call at the position reached,
`read` turns one message into items and moves the position.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

import grpc

from network.gateway.endpoints import Endpoint, Endpoints, translate
from network.gateway.errors import StreamError
from network.gateway.session import Session

Item = TypeVar("Item")
Self = TypeVar("Self", bound="ResumingStream[Any]")


class ResumingStream(ABC, Generic[Item]):
    """Iterate over items of a server stream; ends by `close`, or where the stream itself does.

    Only one thread may iterate; `close` may come from another, and the iteration then ends
    without an error.
    """

    def __init__(self, gateway: Session) -> None:
        self._gateway = gateway
        self._endpoints: Endpoints = gateway.endpoints
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._call: Any = None
        self._endpoint: Endpoint | None = None
        self._items: deque[Item] = deque()
        self._ended = False
        self._pauses = gateway.retry.pauses_s()

    @abstractmethod
    def open(self, endpoint: Endpoint) -> Any:
        """Start the call at the position reached and return gRPC's iterator."""

    @abstractmethod
    def read(self, message: Any) -> Iterable[Item]:
        """Turn one message into items and move the position behind it."""

    def end(self) -> None:
        """For subclasses: the stream itself is over."""
        self._ended = True

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        while not self._items:
            if self._ended or self._closed.is_set():
                raise StopIteration
            message = self._next_message()
            if message is not None:
                self._items.extend(self.read(message))
        return self._items.popleft()

    def _next_message(self) -> Any:
        """Return the next message, or None where there is none now (broken, closed, ended)."""
        try:
            call = self._current_call()
            message = next(call, None) if call is not None else None
        except (grpc.RpcError, ValueError) as error:
            self._broken(error)
            return None
        if message is None:
            # The server ended the call in good order. Peers do so when they shut down.
            self._call = None
            if not (self._ended or self._closed.is_set()):
                self._pause(StreamError("UNAVAILABLE", "the peer ended the stream"))
            return None
        self._pauses = self._gateway.retry.pauses_s()  # contact: patience starts again
        return message

    def _current_call(self) -> Any:
        with self._lock:
            if self._closed.is_set():
                return None
            if self._call is None:
                self._endpoint = self._endpoints.first  # blocks and events are the own peer's
                self._call = self.open(self._endpoint)
            return self._call

    def _broken(self, error: Exception) -> None:
        self._call = None
        if self._closed.is_set() or self._endpoint is None:
            return
        failure = translate(error, self._endpoint.target)
        stream_error = failure.as_error(StreamError)
        if failure.code not in ("UNAVAILABLE", "INTERNAL", "UNKNOWN"):
            raise stream_error from error
        self._endpoints.mark_unreachable(self._endpoint)
        self._pause(stream_error)

    def _pause(self, error: Exception) -> None:
        pause_s = next(self._pauses, None)
        if pause_s is None:
            raise error
        self._closed.wait(pause_s)

    def close(self) -> None:
        """End the iteration, from any thread; a waiting one wakes up."""
        with self._lock:
            self._closed.set()
            if self._call is not None:
                self._call.cancel()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
