"""One error for each rung of a transaction: which rung, which transaction, who said what.

evaluate -> EvaluateError; endorse -> EndorseError; submit -> SubmitError; commit status ->
CommitStatusError; on the ledger, but invalid -> CommitError. After fabric-gateway
pkg/client/errors.go. No exception of gRPC leaves `network.gateway`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from network.clock import TIME_WINDOW_S
from network.errors import NetworkError
from network.wire.status import PeerDetail, refusal

__all__ = [
    "ClockError",
    "CommitError",
    "CommitStatusError",
    "EndorseError",
    "EvaluateError",
    "GatewayCallError",
    "PeerDetail",
    "PeerRefusedError",
    "StreamError",
    "SubmitError",
]


class GatewayCallError(NetworkError):
    """A call to a gateway failed.

    Attributes:
        code: Name of the gRPC status, such as "UNAVAILABLE".
        status_message: The gateway's own words.
        transaction_id: Transaction the call was about, empty where there is none.
        details: What each peer or ordering node said.
    """

    rung = "a call to the gateway"

    def __init__(
        self,
        code: str,
        status_message: str,
        *,
        transaction_id: str = "",
        details: Sequence[PeerDetail] = (),
        gateway: str = "",
        hint: str | None = None,
    ) -> None:
        said = "; ".join(
            f"{detail.msp_id or 'unknown member'} at {detail.address}: {detail.message}"
            for detail in details
        )
        about = f" of transaction {transaction_id}" if transaction_id else ""
        at = f" at {gateway}" if gateway else ""
        text = f"{self.rung}{about}{at} failed: {code}: {status_message}"
        super().__init__(f"{text} [{said}]" if said else text, hint=hint)
        self.code = code
        self.status_message = status_message
        self.transaction_id = transaction_id
        self.details = tuple(details)

    @property
    def refusal(self) -> str | None:
        """The chaincode's own words, "RuleName: sentence", where it was the one that refused."""
        for message in (*(detail.message for detail in self.details), self.status_message):
            words = refusal(message)
            if words is not None:
                return words
        return None


class EvaluateError(GatewayCallError):
    """A query was not answered."""

    exit_code = 21
    rung = "the evaluation"
    hint = "read what the chaincode or the peer said; `consortium status` shows who is up"


class EndorseError(GatewayCallError):
    """Not enough members endorsed a transaction; nothing was written."""

    exit_code = 22
    rung = "the endorsement"
    hint = "read what each peer said; a rule's name means that the chaincode refused"


class SubmitError(GatewayCallError):
    """An endorsed transaction was not taken by the ordering nodes, as far as is known."""

    exit_code = 23
    rung = "the submission"
    hint = "look at the ordering nodes with `consortium status`; three of four must be up"


class CommitStatusError(GatewayCallError):
    """Whether a submitted transaction was committed could not be found out."""

    exit_code = 24
    rung = "the commit status"
    hint = "it may still be committed: ask again by its id before you send another"


class CommitError(NetworkError):
    """A transaction is on the ledger and was found invalid there; it changed nothing.

    Attributes:
        code: Name of the validation code, such as "MVCC_READ_CONFLICT".
        transaction_id: The transaction.
        block_number: The block it lies in.
        details: Always empty: the verdict is every peer's alike.
    """

    exit_code = 25
    hint = "another transaction came first (MVCC, PHANTOM): look at the ledger, then propose again"

    def __init__(self, code: str, *, transaction_id: str, block_number: int) -> None:
        super().__init__(f"transaction {transaction_id} is invalid in block {block_number}: {code}")
        self.code = code
        self.transaction_id = transaction_id
        self.block_number = block_number
        self.details: tuple[PeerDetail, ...] = ()


class PeerRefusedError(GatewayCallError):
    """A peer's endorser, called directly, refused or could not be reached."""

    exit_code = 26
    rung = "the call to the peer"
    hint = "read what the peer said; `consortium logs` shows its log"


class ClockError(GatewayCallError):
    """A peer refused a proposal because its time is too far from the peer's own clock.

    Attributes:
        ahead_s: How far this host's clock is ahead of each peer that refused, seconds; negative
            where it is behind.
    """

    exit_code = 94
    hint = (
        "compare this host's clock with a time server (`timedatectl`, `chronyc tracking`) and "
        "synchronise it; where it is right, the named members' clocks are wrong: tell them"
    )

    def __init__(
        self, ahead_s: Mapping[str, float], *, transaction_id: str = "", gateway: str = ""
    ) -> None:
        apart = ", ".join(
            f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} that of {name}"
            for name, seconds in ahead_s.items()
        )
        NetworkError.__init__(
            self,
            f"this host's clock is {apart}; peers take nothing more than {TIME_WINDOW_S} s off",
        )
        self.ahead_s = dict(ahead_s)
        self.code = "CLOCK"
        self.status_message = str(self)
        self.transaction_id = transaction_id
        self.gateway = gateway
        self.details = ()


class StreamError(GatewayCallError):
    """A stream of blocks or events broke and could not be taken up again."""

    exit_code = 27
    rung = "the stream"
    hint = "check with `consortium status` that this member's peer is up, then start again"
