"""A peer's gateway in this process: real gRPC with mutual TLS, a shared chain, scripted failures.

It checks what a real gateway checks (ids, signatures, low S) and does what a real one does; a
script per call says which of its next answers are failures instead. `Failure.ordered` makes a
Submit that fails although the transaction was ordered, which is the case clients get wrong.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from fabric_protos.common import common_pb2, ledger_pb2
from fabric_protos.gateway import gateway_pb2, gateway_pb2_grpc
from fabric_protos.msp import identities_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import (
    chaincode_pb2,
    events_pb2,
    events_pb2_grpc,
    peer_pb2_grpc,
    proposal_pb2,
    proposal_response_pb2,
)
from google.protobuf import any_pb2

from network.gateway.settings import ClientTls, GatewayAddress
from network.wire.identity import verify_signature
from tests.support.certificate_authority import NOW, Authority, Issued
from tests.support.fake_chain import VALID, FakeChain, Result, creator_of, endorse

CHAINCODE = "federation"


@dataclass(frozen=True)
class Failure:
    """One scripted failure of a call."""

    code: grpc.StatusCode
    message: str = ""
    details: tuple[tuple[str, str, str], ...] = ()  # address, MSP id, message
    ordered: bool = False


def encode_status(failure: Failure) -> bytes:
    """Encode google.rpc.Status with gateway.ErrorDetail, as a Fabric gateway attaches it."""
    encoded = b"\x08" + bytes([failure.code.value[0]])
    text = failure.message.encode()
    encoded += b"\x12" + _varint(len(text)) + text
    for address, msp_id, message in failure.details:
        packed = any_pb2.Any()
        packed.Pack(gateway_pb2.ErrorDetail(address=address, msp_id=msp_id, message=message))
        inner = packed.SerializeToString()
        encoded += b"\x1a" + _varint(len(inner)) + inner
    return encoded


def _varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def answer_with_function(args: list[bytes]) -> Result:
    """Answer the function's name, write the arguments, announce the function."""
    return Result(
        payload=b"did " + args[0],
        writes=tuple((arg.decode("latin1"), b"1") for arg in args[1:]),
        event=(args[0].decode(), b"payload of " + args[0]),
    )


class FakeGateway:
    """One peer's gateway.

    Args:
        chain: Shared by the gateways of a channel.
        authority: CA of the peer's TLS certificate and of its clients.
        chaincode: What a call answers, writes and announces.
    """

    def __init__(
        self,
        chain: FakeChain,
        authority: Authority,
        chaincode: Callable[[list[bytes]], Result] = answer_with_function,
    ) -> None:
        self.chain = chain
        self.authority = authority
        self.chaincode = chaincode
        self.scripts: dict[str, deque[Failure | None]] = {}
        #: (call, transaction id, request bytes), in order.
        self.calls: list[tuple[str, str, bytes]] = []
        #: Validation code of what is ordered next.
        self.next_codes: deque[int] = deque()
        #: Messages after which a stream breaks, for each stream to come; None never breaks.
        self.break_after: deque[int | None] = deque()
        #: A peer that lags knows nothing of transactions yet.
        self.lags = False
        self._endorser = authority.issue("peer0").identity("NorthMSP")
        self._server: grpc.Server | None = None
        self._pool = ThreadPoolExecutor(16)
        self._port = 0

    def script(self, call: str, *failures: Failure | None) -> None:
        """Let the next answers to a call fail; None answers one in the ordinary way."""
        self.scripts.setdefault(call, deque()).extend(failures)

    def start(self) -> GatewayAddress:
        """Listen on loopback; a second start after `stop` takes the same port."""
        tls = self.authority.issue("peer0")
        self._server = grpc.server(self._pool, options=[("grpc.so_reuseport", 0)])
        gateway_pb2_grpc.add_GatewayServicer_to_server(self, self._server)
        peer_pb2_grpc.add_EndorserServicer_to_server(self, self._server)
        deliver = _Deliver(self)
        events_pb2_grpc.add_DeliverServicer_to_server(deliver, self._server)
        credentials = grpc.ssl_server_credentials(
            [(tls.key_pem, tls.certificate_pem)], self.authority.root_pem, True
        )
        self._port = self._server.add_secure_port(f"127.0.0.1:{self._port}", credentials)
        self._server.start()
        return self.address

    @property
    def address(self) -> GatewayAddress:
        """Where it listens."""
        return GatewayAddress(f"127.0.0.1:{self._port}", self.authority.root_pem, "localhost")

    def stop(self) -> None:
        """Stop as a peer that is killed: connections break, the port is free."""
        if self._server is not None:
            self._server.stop(None).wait()
            self._server = None

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self._pool.shutdown(wait=False)

    def made(self, call: str) -> list[str]:
        """Return the transaction ids with which a call was made."""
        return [transaction_id for name, transaction_id, _ in self.calls if name == call]

    # What gRPC calls.

    def Evaluate(self, request: Any, context: Any) -> Any:
        """Run at this peer."""
        self._begin("Evaluate", request, context)
        result = self.chaincode(self._checked_args(request, context))
        return gateway_pb2.EvaluateResponse(
            result=proposal_response_pb2.Response(status=200, payload=result.payload)
        )

    def Endorse(self, request: Any, context: Any) -> Any:
        """Return an envelope for signing."""
        self._begin("Endorse", request, context)
        result = self.chaincode(self._checked_args(request, context))
        payload = endorse(
            request.proposed_transaction.proposal_bytes, result, [self._endorser], CHAINCODE
        )
        return gateway_pb2.EndorseResponse(
            prepared_transaction=common_pb2.Envelope(payload=payload)
        )

    def Submit(self, request: Any, context: Any) -> Any:
        """Order a signed envelope."""
        failure = self._next("Submit")
        self.calls.append(("Submit", request.transaction_id, request.SerializeToString()))
        envelope = request.prepared_transaction
        payload = common_pb2.Payload.FromString(envelope.payload)
        self._check_creator(payload.header, envelope.payload, envelope.signature, context)
        if failure is None or failure.ordered:
            code = self.next_codes.popleft() if self.next_codes else VALID
            self.chain.append(envelope, request.transaction_id, code)
        if failure is not None:
            self._abort(failure, context)
        return gateway_pb2.SubmitResponse()

    def CommitStatus(self, request: Any, context: Any) -> Any:
        """Wait for a transaction."""
        inner = gateway_pb2.CommitStatusRequest.FromString(request.request)
        self._begin("CommitStatus", inner, context)
        self._check_signer(inner.identity, request.request, request.signature, context)
        wait_s = max(context.time_remaining() - 0.05, 0)
        placed = None
        if self.lags:
            self.chain.wait_height(1 << 30, wait_s)
        else:
            placed = self.chain.wait_placed(inner.transaction_id, wait_s)
        if placed is None:
            context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "not committed")
        return gateway_pb2.CommitStatusResponse(result=placed[1], block_number=placed[0])

    def ChaincodeEvents(self, request: Any, context: Any) -> Iterator[Any]:
        """Stream events from a block on."""
        inner = gateway_pb2.ChaincodeEventsRequest.FromString(request.request)
        self.calls.append(("ChaincodeEvents", inner.after_transaction_id, request.request))
        self._check_signer(inner.identity, request.request, request.signature, context)
        failure = self._next("ChaincodeEvents")
        if failure is not None:
            self._abort(failure, context)
        skip_to = inner.after_transaction_id
        for number in self._numbers(inner.start_position.specified.number, None, context):
            event = self.chain.event_of(number)
            if event is None:
                continue
            if skip_to:
                skip_to = "" if event.tx_id == skip_to else skip_to
                continue
            yield gateway_pb2.ChaincodeEventsResponse(events=[event], block_number=number)

    def ProcessProposal(self, request: Any, context: Any) -> Any:
        """Answer as the peer's own functions."""
        failure = self._next("ProcessProposal")
        args, channel, transaction_id = self._read_args(request, context)
        self.calls.append(("ProcessProposal", transaction_id, request.SerializeToString()))
        if failure is not None:
            self._abort(failure, context)
        response = proposal_response_pb2.Response(status=200)
        if args[0] == b"GetChainInfo":
            info = ledger_pb2.BlockchainInfo(height=len(self.chain.blocks))
            response.payload = info.SerializeToString()
        elif args[0] == b"refuse":
            response.status, response.message = 500, "the peer does not want to"
        else:
            response.payload = channel.encode() + b"|" + b"|".join(args)
        return proposal_response_pb2.ProposalResponse(response=response)

    # What they share.

    def _numbers(self, start: int, stop: int | None, context: Any) -> Iterator[int]:
        """Yield block numbers as blocks come, and break where the script says so."""
        limit = self.break_after.popleft() if self.break_after else None
        number = start
        while stop is None or number <= stop:
            if limit is not None and number - start >= limit:
                context.abort(grpc.StatusCode.UNAVAILABLE, "the peer went away")
            while not self.chain.wait_height(number + 1, 0.02):
                if not context.is_active():
                    return
            yield number
            number += 1

    def _next(self, call: str) -> Failure | None:
        script = self.scripts.get(call)
        return script.popleft() if script else None

    def _begin(self, call: str, request: Any, context: Any) -> None:
        self.calls.append((call, request.transaction_id, request.SerializeToString()))
        failure = self._next(call)
        if failure is not None:
            self._abort(failure, context)

    def _abort(self, failure: Failure, context: Any) -> None:
        if failure.details:
            context.set_trailing_metadata((("grpc-status-details-bin", encode_status(failure)),))
        context.abort(failure.code, failure.message)

    def _checked_args(self, request: Any, context: Any) -> list[bytes]:
        args, channel, transaction_id = self._read_args(request.proposed_transaction, context)
        if (request.transaction_id, request.channel_id) != (transaction_id, channel):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "request and proposal differ")
        return args

    def _read_args(self, signed: Any, context: Any) -> tuple[list[bytes], str, str]:
        proposal = proposal_pb2.Proposal.FromString(signed.proposal_bytes)
        header = common_pb2.Header.FromString(proposal.header)
        self._check_creator(header, signed.proposal_bytes, signed.signature, context)
        channel_header = common_pb2.ChannelHeader.FromString(header.channel_header)
        payload = proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload)
        call = chaincode_pb2.ChaincodeInvocationSpec.FromString(payload.input)
        args = list(call.chaincode_spec.input.args)
        return args, channel_header.channel_id, channel_header.tx_id

    def _check_creator(self, header: Any, message: bytes, signature: bytes, context: Any) -> None:
        signature_header = common_pb2.SignatureHeader.FromString(header.signature_header)
        channel_header = common_pb2.ChannelHeader.FromString(header.channel_header)
        _, _, nonce = creator_of(header)
        expected = hashlib.sha256(nonce + signature_header.creator).hexdigest()
        if channel_header.tx_id != expected or len(nonce) != 24:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "incorrectly computed txid")
        self._check_signer(signature_header.creator, message, signature, context)

    def _check_signer(self, creator: bytes, message: bytes, signature: bytes, context: Any) -> None:
        identity = identities_pb2.SerializedIdentity.FromString(creator)
        try:
            verify_signature(
                identity.id_bytes,
                message,
                signature,
                roots_pem=[self.authority.root_pem],
                at=NOW,
            )
        except Exception:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "access denied")


class _Deliver:
    """The Deliver service of a fake gateway."""

    def __init__(self, gateway: FakeGateway) -> None:
        self._gateway = gateway

    def Deliver(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        """Stream blocks."""
        envelope = next(requests)
        payload = common_pb2.Payload.FromString(envelope.payload)
        self._gateway.calls.append(("Deliver", "", envelope.SerializeToString()))
        self._gateway._check_creator(payload.header, envelope.payload, envelope.signature, context)
        channel_header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
        if len(channel_header.tls_cert_hash) != 32:
            yield events_pb2.DeliverResponse(status=common_pb2.BAD_REQUEST)
            return
        failure = self._gateway._next("Deliver")
        if failure is not None:
            if failure.message == "forbidden":
                yield events_pb2.DeliverResponse(status=common_pb2.FORBIDDEN)
                return
            self._gateway._abort(failure, context)
        seek = ab_pb2.SeekInfo.FromString(payload.data)
        stop: int | None = seek.stop.specified.number
        stop = None if stop == (1 << 64) - 1 else stop
        for number in self._gateway._numbers(seek.start.specified.number, stop, context):
            yield events_pb2.DeliverResponse(block=self._gateway.chain.blocks[number])
        yield events_pb2.DeliverResponse(status=common_pb2.SUCCESS)

    def DeliverFiltered(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        """Not used by our client."""
        raise NotImplementedError

    def DeliverWithPrivateData(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        """Not used by our client."""
        raise NotImplementedError


def client_tls(issued: Issued) -> ClientTls:
    """Return a client's TLS settings."""
    return ClientTls(issued.certificate_pem, issued.key_pem)
