"""One identity on one channel: what every call needs, and the calls that are no chaincode's.

What is asked, followed and waited for comes from the own peer alone. Endorsing may fail over down
the list of gateways. Time, randomness and pauses are arguments; `network.gateway.gateway` fills
them in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from fabric_protos.common import ledger_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import proposal_pb2, transaction_pb2

from network.gateway.endpoints import CallFailure, Endpoint, Endpoints
from network.gateway.errors import CommitError, CommitStatusError, PeerRefusedError
from network.gateway.settings import Retry, Timeouts
from network.wire.decoding import decode
from network.wire.identity import Identity
from network.wire.proposal import NONCE_BYTES, SignedProposal, build_proposal, build_seek


class Session:
    """A connection's state and its own calls; users get one as `Gateway`."""

    def __init__(
        self,
        endpoints: Endpoints,
        identity: Identity,
        *,
        channel: str,
        timeouts: Timeouts,
        retry: Retry,
        tls_certificate_sha256: bytes,
        now: Callable[[], datetime],
        entropy: Callable[[int], bytes],
        sleep: Callable[[float], None],
    ) -> None:
        self.endpoints = endpoints
        self.identity = identity
        self.channel = channel
        self.timeouts = timeouts
        self.retry = retry
        self.sleep = sleep
        self.tls_certificate_sha256 = tls_certificate_sha256
        self._now = now
        self._entropy = entropy

    @property
    def target(self) -> str:
        """Where the own peer's gateway is, "host:port"."""
        return self.endpoints.first.target

    def build_proposal(
        self,
        chaincode: str,
        args: Sequence[str | bytes],
        *,
        transient: Mapping[str, bytes] | None = None,
        channel: str | None = None,
    ) -> SignedProposal:
        """Build and sign a proposal with a fresh nonce and the current time."""
        return build_proposal(
            self.identity,
            channel=self.channel if channel is None else channel,
            chaincode=chaincode,
            args=args,
            nonce=self._entropy(NONCE_BYTES),
            at=self._now(),
            transient=transient,
            tls_certificate_sha256=self.tls_certificate_sha256,
        )

    def build_seek(self, start: int, stop: int | None) -> bytes:
        """Build and sign the request for blocks `start` to `stop`."""
        return build_seek(
            self.identity,
            channel=self.channel,
            start=start,
            stop=stop,
            nonce=self._entropy(NONCE_BYTES),
            at=self._now(),
            tls_certificate_sha256=self.tls_certificate_sha256,
        )

    def process(self, chaincode: str, args: Sequence[str | bytes], channel: str = "") -> bytes:
        """Call the own peer's endorser directly and return the answer; writes nothing.

        This is how a peer's own functions are called: lifecycle install, cscc JoinChain, qscc.
        Only the own peer is asked, whatever the list of gateways says.

        Args:
            chaincode: Such as "_lifecycle", "cscc" or "qscc".
            args: Function name first.
            channel: Empty for calls about the peer itself.

        Raises:
            PeerRefusedError: The peer refused, or could not be reached.
        """
        proposal = self.build_proposal(chaincode, args, channel=channel)
        message = proposal_pb2.SignedProposal.FromString(proposal.encoded)
        endpoint = self.endpoints.first
        try:
            answer = self.endpoints.call_at(
                endpoint,
                lambda at: at.endorser.ProcessProposal(message, timeout=self.timeouts.process_s),
            )
        except CallFailure as failure:
            raise failure.as_error(PeerRefusedError, proposal.transaction_id) from failure
        response = answer.response
        if not 200 <= response.status < 400:
            raise PeerRefusedError(
                f"status {response.status}",
                response.message,
                transaction_id=proposal.transaction_id,
                gateway=endpoint.target,
            )
        return bytes(response.payload)

    def height(self) -> int:
        """Return how many blocks the own peer's copy of the channel has.

        Raises:
            PeerRefusedError: The peer refused, or could not be reached.
        """
        answer = self.process("qscc", ["GetChainInfo", self.channel], self.channel)
        return int(decode(ledger_pb2.BlockchainInfo, answer, what="the chain's height").height)

    def commit_status(
        self,
        transaction_id: str,
        *,
        timeout_s: float | None = None,
        endpoint: Endpoint | None = None,
    ) -> int:
        """Wait until a transaction is committed and valid; return its block's number.

        Args:
            transaction_id: The transaction; it need not have been sent by this connection.
            timeout_s: Longest wait; the connection's own where left out.
            endpoint: Ask exactly this gateway; the own peer's where left out.

        Raises:
            CommitError: It is on the ledger and invalid.
            CommitStatusError: No answer within the time, or the call was refused.
        """
        wait_s = self.timeouts.commit_status_s if timeout_s is None else timeout_s
        request = gateway_pb2.CommitStatusRequest(
            transaction_id=transaction_id,
            channel_id=self.channel,
            identity=self.identity.creator,
        ).SerializeToString()
        signed = gateway_pb2.SignedCommitStatusRequest(
            request=request, signature=self.identity.sign(request)
        )

        def call(at: Endpoint) -> Any:
            return at.gateway.CommitStatus(signed, timeout=wait_s)

        try:
            answer = self.endpoints.call_at(endpoint or self.endpoints.first, call)
        except CallFailure as failure:
            raise failure.as_error(CommitStatusError, transaction_id) from failure
        if answer.result != transaction_pb2.VALID:
            raise CommitError(
                _validation_code(answer.result),
                transaction_id=transaction_id,
                block_number=answer.block_number,
            )
        return int(answer.block_number)

    def close(self) -> None:
        """Close the connection; calls and streams under way end."""
        self.endpoints.close()


def _validation_code(code: int) -> str:
    try:
        return str(transaction_pb2.TxValidationCode.Name(code))
    except ValueError:  # a code of a newer Fabric
        return f"code {code}"
