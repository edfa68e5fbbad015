"""Calls of one chaincode: two one-line paths over a ladder that can be climbed rung by rung.

    contract.evaluate(...)                      a query; writes nothing
    contract.submit(...)                        the whole ladder, with retries
    contract.propose(...)  -> Proposal          .evaluate() or .endorse()
                              -> Transaction    .submit()
                              -> Commit         .status() -> Committed

A rung makes one attempt. `submit` repeats what passes by itself: an endorsement that met peers at
different heights or a peer just restarted, and a submission of which it is not known whether it
arrived. It never proposes again what may already be ordered: after a lost Submit it asks for the
commit status first, and only then sends the *same* envelope again, of which a second copy would be
marked DUPLICATE_TXID and change nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import proposal_pb2

from network.gateway.endpoints import UNREACHABLE, CallFailure, Endpoint
from network.gateway.errors import (
    CommitStatusError,
    EndorseError,
    EvaluateError,
    GatewayCallError,
    PeerDetail,
    SubmitError,
)
from network.gateway.events import ChaincodeEventStream
from network.gateway.session import Session
from network.wire.proposal import SignedProposal
from network.wire.transaction import read_result

logger = logging.getLogger(__name__)

#: Statuses that pass by themselves (peers at different heights, a peer missing from plans, a
#: connection lost) unless the chaincode itself refused.
PASSING: Final = frozenset({"ABORTED", "UNAVAILABLE", "FAILED_PRECONDITION"})


@dataclass(frozen=True, slots=True)
class Committed:
    """A transaction that is on the ledger and valid.

    Attributes:
        transaction_id: The transaction.
        block_number: The block it lies in.
        payload: What the chaincode answered.
    """

    transaction_id: str
    block_number: int
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Spread:
    """Where a transaction has been seen.

    Attributes:
        committed: Gateways whose peer has committed it.
        unreachable: Gateways that could not be asked.
    """

    committed: tuple[str, ...]
    unreachable: tuple[str, ...]


class Commit:
    """A transaction that the ordering nodes took."""

    def __init__(self, gateway: Session, transaction_id: str, payload: bytes) -> None:
        self._gateway = gateway
        self.transaction_id = transaction_id
        self.payload = payload

    def status(self, timeout_s: float | None = None) -> Committed:
        """Wait until it is committed.

        Raises:
            CommitError: It is on the ledger and invalid.
            CommitStatusError: Not known within the time.
        """
        block = self._gateway.commit_status(self.transaction_id, timeout_s=timeout_s)
        return Committed(self.transaction_id, block, self.payload)


class Transaction:
    """An endorsed transaction, signed; sending it again is sending the same bytes."""

    def __init__(self, gateway: Session, transaction_id: str, envelope: Any) -> None:
        self._gateway = gateway
        self._envelope = envelope
        self.transaction_id = transaction_id
        self.payload = read_result(envelope.SerializeToString())

    def submit(self) -> Commit:
        """Hand it to the ordering nodes, once.

        Raises:
            SubmitError: It was refused, or it is not known whether it arrived.
        """
        request = gateway_pb2.SubmitRequest(
            transaction_id=self.transaction_id,
            channel_id=self._gateway.channel,
            prepared_transaction=self._envelope,
        )
        wait_s = self._gateway.timeouts.submit_s
        try:
            self._gateway.endpoints.call_once(lambda at: at.gateway.Submit(request, timeout=wait_s))
        except CallFailure as failure:
            raise failure.as_error(SubmitError, self.transaction_id) from failure
        return Commit(self._gateway, self.transaction_id, self.payload)


class Proposal:
    """A signed proposal, to evaluate or to endorse."""

    def __init__(
        self, gateway: Session, proposal: SignedProposal, organisations: Sequence[str]
    ) -> None:
        self._gateway = gateway
        self._message = proposal_pb2.SignedProposal.FromString(proposal.encoded)
        self._organisations = tuple(organisations)
        self.transaction_id = proposal.transaction_id

    def evaluate(self) -> bytes:
        """Run it through the own peer's gateway and return the answer; nothing is written.

        Raises:
            EvaluateError: It was refused, or the own peer could not be reached.
        """
        request = gateway_pb2.EvaluateRequest(
            transaction_id=self.transaction_id,
            channel_id=self._gateway.channel,
            proposed_transaction=self._message,
            target_organizations=self._organisations,
        )
        wait_s = self._gateway.timeouts.evaluate_s
        # What a gateway answers is signed by nobody: the own peer's alone is believed.
        endpoints = self._gateway.endpoints
        try:
            answer = endpoints.call_at(
                endpoints.first, lambda at: at.gateway.Evaluate(request, timeout=wait_s)
            )
        except CallFailure as failure:
            raise failure.as_error(EvaluateError, self.transaction_id) from failure
        return bytes(answer.result.payload)

    def endorse(self, *, own_gateway_only: bool = False) -> Transaction:
        """Have it endorsed by as many members as its policy asks, and sign the result.

        Args:
            own_gateway_only: The transient bytes are secret: a gateway reads them before anybody
                can refuse, so no other member's is asked.

        Raises:
            EndorseError: Not enough members endorsed it, or no gateway could be reached.
        """
        request = gateway_pb2.EndorseRequest(
            transaction_id=self.transaction_id,
            channel_id=self._gateway.channel,
            proposed_transaction=self._message,
            endorsing_organizations=self._organisations,
        )
        wait_s = self._gateway.timeouts.endorse_s
        endpoints = self._gateway.endpoints

        def call(at: Endpoint) -> Any:
            return at.gateway.Endorse(request, timeout=wait_s)

        try:
            if own_gateway_only:
                answer = endpoints.call_at(endpoints.first, call)
            else:
                answer = endpoints.call_any(call)
        except CallFailure as failure:
            raise failure.as_error(EndorseError, self.transaction_id) from failure
        payload = answer.prepared_transaction.payload
        envelope = common_pb2.Envelope(
            payload=payload, signature=self._gateway.identity.sign(payload)
        )
        return Transaction(self._gateway, self.transaction_id, envelope)


class Contract:
    """The calls of one chaincode; made by `Gateway.contract`."""

    def __init__(self, gateway: Session, chaincode: str) -> None:
        self._gateway = gateway
        self.chaincode = chaincode

    def propose(
        self,
        function: str,
        *args: str | bytes,
        transient: Mapping[str, bytes] | None = None,
        organisations: Sequence[str] = (),
    ) -> Proposal:
        """Build and sign a proposal; nothing is sent.

        Args:
            function: Name of the chaincode's function.
            args: Its arguments.
            transient: Reaches the endorsers and never the ledger.
            organisations: MSP ids whose peers shall run it; the policy decides where left out.
                Naming too few for the policy is found only at commit.
        """
        proposal = self._gateway.build_proposal(
            self.chaincode, (function, *args), transient=transient
        )
        return Proposal(self._gateway, proposal, organisations)

    def evaluate(
        self,
        function: str,
        *args: str | bytes,
        transient: Mapping[str, bytes] | None = None,
        organisations: Sequence[str] = (),
    ) -> bytes:
        """Ask a chaincode through the own peer and return its answer; nothing is written.

        Raises:
            EvaluateError: It was refused, or the own peer could not be reached.
        """
        return self.propose(
            function, *args, transient=transient, organisations=organisations
        ).evaluate()

    def submit(
        self,
        function: str,
        *args: str | bytes,
        transient: Mapping[str, bytes] | None = None,
        organisations: Sequence[str] = (),
        own_gateway_only: bool = False,
    ) -> Committed:
        """Write through a chaincode and wait until this member's peer has committed it.

        Another member's gateway may take the endorsement and the submission where the own peer
        does not answer, unless `own_gateway_only` says that the transient bytes are secret.
        Whether it is committed is asked of the own peer alone.

        Raises:
            EndorseError: Refused by the chaincode (at once), or not endorsed after all attempts.
            SubmitError: Not taken by the ordering nodes after all attempts, and not committed.
            CommitStatusError: Taken, but not committed within the time; the id says which.
            CommitError: On the ledger and invalid (MVCC_READ_CONFLICT and others): the caller
                decides whether the same call still makes sense.
        """
        transaction = self._endorse_patiently(
            function, args, transient, organisations, own_gateway_only
        )
        return self._submit_patiently(transaction)

    def _endorse_patiently(
        self,
        function: str,
        args: Sequence[str | bytes],
        transient: Mapping[str, bytes] | None,
        organisations: Sequence[str],
        own_gateway_only: bool,
    ) -> Transaction:
        pauses = self._gateway.retry.pauses_s()
        while True:
            proposal = self.propose(
                function, *args, transient=transient, organisations=organisations
            )
            try:
                return proposal.endorse(own_gateway_only=own_gateway_only)
            except EndorseError as error:
                if error.code not in PASSING or error.refusal is not None:
                    raise
                self._pause_or_raise(error, pauses)

    def _submit_patiently(self, transaction: Transaction) -> Committed:
        pauses = self._gateway.retry.pauses_s()
        timeouts = self._gateway.timeouts
        while True:
            lost: GatewayCallError | None = None
            try:
                commit = transaction.submit()
                wait_s = timeouts.commit_status_s
            except SubmitError as error:
                if error.code not in UNREACHABLE | PASSING:
                    raise
                # It may have been ordered all the same ("request already processed"): ask first.
                commit = Commit(self._gateway, transaction.transaction_id, transaction.payload)
                wait_s = timeouts.commit_check_s
                lost = error
            try:
                return commit.status(wait_s)
            except CommitStatusError as error:
                if error.code not in UNREACHABLE:
                    raise
                lost = lost or error
            self._pause_or_raise(lost, pauses)

    def _pause_or_raise(self, error: GatewayCallError, pauses: Any) -> None:
        pause_s = next(pauses, None)
        if pause_s is None:
            raise error
        logger.debug(
            "%s of %s: %s, again in %.2f s", error.rung, error.transaction_id, error.code, pause_s
        )
        self._gateway.sleep(pause_s)

    def wait_committed(
        self, transaction_id: str, gateways: Sequence[Session], timeout_s: float
    ) -> Spread:
        """Wait until the peers of all these gateways have committed a transaction.

        The next transaction's endorsers are then level with it. Each gateway's *first* address is
        asked and no other, since it is that peer's own state that counts.

        Args:
            transaction_id: The transaction.
            gateways: One of each member.
            timeout_s: Longest wait in all.

        Returns:
            Who has committed it, and who could not be reached; an unreachable peer endorses
            nothing either.

        Raises:
            CommitError: It is on the ledger and invalid.
            CommitStatusError: A peer answers, but has not committed it within the time.
        """
        deadline = time.monotonic() + timeout_s

        def ask(gateway: Session) -> CommitStatusError | None:
            left_s = max(deadline - time.monotonic(), 0.001)
            try:
                gateway.commit_status(
                    transaction_id, timeout_s=left_s, endpoint=gateway.endpoints.first
                )
            except CommitStatusError as error:
                return error
            return None

        with ThreadPoolExecutor(max_workers=max(len(gateways), 1)) as pool:
            answers = list(zip(gateways, pool.map(ask, gateways), strict=True))
        failed = [(gateway, error) for gateway, error in answers if error is not None]
        late = [(gateway, error) for gateway, error in failed if error.code != "UNAVAILABLE"]
        if late:
            raise CommitStatusError(
                late[0][1].code,
                f"{len(late)} of {len(gateways)} peers had not committed it after {timeout_s:g} s",
                transaction_id=transaction_id,
                details=[
                    PeerDetail(gateway.target, "", error.status_message) for gateway, error in late
                ],
            )
        return Spread(
            committed=tuple(gateway.target for gateway, error in answers if error is None),
            unreachable=tuple(gateway.target for gateway, _ in failed),
        )

    def events(self, start_block: int | None = None) -> ChaincodeEventStream:
        """Return this chaincode's events from a block on, forever; close it to end it.

        Args:
            start_block: First block; the next one to be committed where left out.

        Raises:
            PeerRefusedError: At once, where `start_block` is left out and the peer cannot be asked.
            StreamError: While iterating: refused, or no gateway could be reached for too long.
        """
        first = self._gateway.height() if start_block is None else start_block
        return ChaincodeEventStream(self._gateway, self.chaincode, first)
