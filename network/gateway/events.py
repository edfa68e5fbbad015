"""Chaincode events, from a block on, without a gap or a repeat when a connection breaks.

Peers deliver events of valid transactions only, one a transaction. A broken stream is taken up
again at the block and after the transaction of the last event given out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fabric_protos.gateway import gateway_pb2

from network.gateway.endpoints import Endpoint
from network.gateway.session import Session
from network.gateway.stream import ResumingStream


@dataclass(frozen=True, slots=True)
class ChaincodeEvent:
    """What a chaincode announced in one valid transaction."""

    block_number: int
    transaction_id: str
    name: str
    payload: bytes = field(repr=False)


class ChaincodeEventStream(ResumingStream[ChaincodeEvent]):
    """Iterator over events; made by `Contract.events`."""

    def __init__(self, gateway: Session, chaincode: str, start_block: int) -> None:
        super().__init__(gateway)
        self._chaincode = chaincode
        self._block = start_block
        self._after_transaction = ""

    def open(self, endpoint: Endpoint) -> Any:
        """Ask for the events after the last one given out."""
        request = gateway_pb2.ChaincodeEventsRequest(
            channel_id=self._gateway.channel,
            chaincode_id=self._chaincode,
            identity=self._gateway.identity.creator,
            after_transaction_id=self._after_transaction,
        )
        request.start_position.specified.number = self._block
        encoded = request.SerializeToString()
        signed = gateway_pb2.SignedChaincodeEventsRequest(
            request=encoded, signature=self._gateway.identity.sign(encoded)
        )
        return endpoint.gateway.ChaincodeEvents(signed)

    def read(self, message: Any) -> Iterable[ChaincodeEvent]:
        """One message holds the events of one block; an empty one only marks progress."""
        events = [
            ChaincodeEvent(message.block_number, event.tx_id, event.event_name, event.payload)
            for event in message.events
        ]
        if events:
            self._block = message.block_number
            self._after_transaction = events[-1].transaction_id
        else:
            self._block = message.block_number + 1
            self._after_transaction = ""
        return events
