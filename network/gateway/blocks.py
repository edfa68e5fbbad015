"""Blocks from a peer's Deliver service, in order, taken up again where a connection broke."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fabric_protos.common import common_pb2

from network.gateway.endpoints import Endpoint
from network.gateway.errors import StreamError
from network.gateway.session import Session
from network.gateway.stream import ResumingStream
from network.wire.block import Block, read_block


class BlockStream(ResumingStream[Block]):
    """Iterator over blocks; made by `Gateway.blocks`."""

    def __init__(self, gateway: Session, start: int, stop: int | None) -> None:
        super().__init__(gateway)
        self._next_block = start
        self._stop = stop

    def open(self, endpoint: Endpoint) -> Any:
        """Ask for the blocks after the last one given out."""
        seek = self._gateway.build_seek(self._next_block, self._stop)
        envelope = common_pb2.Envelope.FromString(seek)
        return endpoint.deliver.Deliver(iter([envelope]))

    def read(self, message: Any) -> Iterable[Block]:
        """A message is a block, or the status that ends the stream."""
        if message.WhichOneof("Type") != "block":
            self._finish(message.status)
            return ()
        block = read_block(message.block.SerializeToString())
        self._next_block = block.number + 1
        if self._stop is not None and block.number >= self._stop:
            self.end()
        return (block,)

    def _finish(self, status: int) -> None:
        if status == common_pb2.SUCCESS:
            self.end()
            return
        try:
            name = str(common_pb2.Status.Name(status))
        except ValueError:
            name = f"status {status}"
        raise StreamError(name, f"the peer refused to deliver block {self._next_block} and later")
