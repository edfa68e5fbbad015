"""What can go wrong at a hospital's client, and what to do about it.

Codes 60 to 69, 98, 105 to 107 and 109 to 111; each has a page docs/errors/<code>.md. Errors of the
parts beneath (network, sealing, update, CT, model) are passed on as they are: they carry a code and
a hint of their own. So are the chaincode's refusals: `chaincode.records.errors` has one class for
each rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class HospitalClientError(Exception):
    """Anything the hospital's client refuses; `hint` says what to do."""

    exit_code: ClassVar[int]
    hint = "See the page of the exit code."


class SettingsError(HospitalClientError):
    """A settings file or an option cannot be used as it stands."""

    exit_code: ClassVar[int] = 60
    hint = (
        "Correct the named line or option; `--help` and docs/hospital-client.md show what to write."
    )


class NotOfStudyError(HospitalClientError):
    """This member is not among the hospitals of the study."""

    exit_code: ClassVar[int] = 61
    hint = "`hospital-client study list` shows the studies and their hospitals."

    def __init__(self, msp_id: str, study: str) -> None:
        super().__init__(f"{msp_id} is not a hospital of study {study}")
        self.msp_id = msp_id
        self.study = study


class StudyClaimError(HospitalClientError):
    """The study's record says what this hospital cannot find to be so."""

    exit_code: ClassVar[int] = 62
    hint = (
        "Do not take part before the difference is explained: compare `hospital-client study "
        "list`, `consortium status` and the version of this program at the proposing hospital; a "
        "study that starts from an earlier model needs its file (--start-from)."
    )


class SumMismatchError(HospitalClientError):
    """The sum re-added from the own peer is not the one the ledger records."""

    exit_code: ClassVar[int] = 63
    hint = (
        "This hospital does not answer in this round. Let the administrators compare the peers "
        "(`consortium status`, `hospital-client audit round`) before the next one."
    )


class RoundsAbandonedError(HospitalClientError):
    """Several rounds in a row ended without a model."""

    exit_code: ClassVar[int] = 64
    hint = (
        "See who is missing (`hospital-client status`, `consortium status`); start again when they "
        "are back."
    )

    def __init__(self, round_number: int, reason: str) -> None:
        super().__init__(f"the last rounds up to {round_number} were abandoned: {reason}")
        self.round_number = round_number
        self.reason = reason


class ChainBrokenError(HospitalClientError):
    """Ledger and recomputation differ: the record cannot be what it says it is."""

    exit_code: ClassVar[int] = 65
    hint = "Keep the ledger and the report as they are, and compare with another member's audit."


class AnswerContradictedError(ChainBrokenError):
    """The own peer's chaincode answers otherwise than the blocks that were proved.

    Args:
        what: What the question was about.
        answered: What the chaincode says.
        proved: What the blocks say.
    """

    hint = (
        "The blocks are right, whoever answers: keep the peer and its chaincode service as they "
        "are, and compare with another member's audit."
    )

    def __init__(self, what: str, answered: str, proved: str) -> None:
        super().__init__(
            f"the own peer's chaincode answers for {what} {answered}, and the blocks say {proved}"
        )


class RecordRewrittenError(HospitalClientError):
    """A transaction changed or deleted a record that is written once.

    Args:
        block: Number of the block.
        transaction_id: The transaction.
        what: The record and what was done to it.
    """

    exit_code: ClassVar[int] = 98
    hint = (
        "No contract that the hospitals agreed on does this: hospitals together changed the "
        "chaincode, or endorsed what it did not answer. Do not use the study's models, and ask who "
        "endorsed that transaction."
    )

    def __init__(self, block: int, transaction_id: str, what: str) -> None:
        super().__init__(f"block {block}, transaction {transaction_id[:16]}: {what}")
        self.block = block


class NoModelError(HospitalClientError):
    """There is no model here yet, or not the one asked for."""

    exit_code: ClassVar[int] = 66
    hint = "Train first: `hospital-client train`; `hospital-client status` shows what is here."


class BundleMissingError(HospitalClientError):
    """A round's summed ciphertext is neither in this hospital's store nor at its peer any more."""

    exit_code: ClassVar[int] = 67
    hint = (
        "In a running round, start again in a minute: chunks arrive once the peers reach each "
        "other. Afterwards copy `sum.bin` of that round from another hospital's client folder into "
        "this one's (`hospital-client explain 67` says where)."
    )


class AlreadyRunningError(HospitalClientError):
    """Another client works on this member's behalf at this moment."""

    exit_code: ClassVar[int] = 68
    hint = "Let it finish, or stop it with Ctrl-C where it runs."


class StoreError(HospitalClientError):
    """The client's own files cannot be read or written."""

    exit_code: ClassVar[int] = 69
    hint = "Free some space or correct the permissions, then start again: the round goes on."


class RecordChangedError(HospitalClientError):
    """The own peer shows a record otherwise than it did before; a record is written once.

    Args:
        what: The record, with its round.
        before: What was seen before.
        now: What is shown now.
    """

    exit_code: ClassVar[int] = 105
    hint = (
        "This hospital takes no further part before a person knows why: compare `hospital-client "
        "audit round` with the other hospitals. A peer whose data was rebuilt must first have "
        "caught up (`consortium status`); then start again."
    )

    def __init__(self, what: str, before: str, now: str) -> None:
        super().__init__(f"{what} changed on the ledger: it {before}, and now it {now}")


class OwnRecordForgedError(HospitalClientError):
    """The ledger has a record in this hospital's name that this hospital did not send."""

    exit_code: ClassVar[int] = 106
    hint = (
        "Somebody acts with this hospital's identity, or a second client of this hospital runs "
        "elsewhere with other files. This hospital sends nothing more in the round. Stop every "
        "client of this hospital; if none of them sent the record, have the certificate of its "
        "client user replaced."
    )


class OwnJoinForgedError(OwnRecordForgedError):
    """A round has a join in this hospital's name with a sealing key that is not its own."""


class SpoiledParentError(HospitalClientError):
    """Two sums were already opened from this model without a model coming of them."""

    exit_code: ClassVar[int] = 107
    hint = (
        "Each further sum from the same model tells more about single hospitals. Find out why the "
        "rounds before gave no model (`hospital-client audit round`) and agree with the others; "
        "then `hospital-client study resume STUDY` lets this hospital take part once more."
    )

    def __init__(self, round_number: int, parent_sha256: str, opened: int) -> None:
        super().__init__(
            f"round {round_number} starts from model {parent_sha256[:16]}, from which {opened} "
            "sums were opened that gave no model"
        )


class NotApprovedHereError(HospitalClientError):
    """This hospital has not approved the study itself; others' approvals do not count here."""

    exit_code: ClassVar[int] = 109
    hint = (
        "Read what the study says and approve it: `hospital-client study approve STUDY`. That "
        "keeps its digest here, also where the ledger has this hospital's approval already."
    )


class ApprovedTextChangedError(NotApprovedHereError):
    """The own peer shows another text than the one that this hospital approved."""

    hint = (
        "A study's text never changes. Do not take part before a person knows why: compare "
        "`hospital-client audit study` with the other hospitals."
    )


class EarlierChannelError(NotApprovedHereError):
    """The study's files here are of another channel, which had a study of the same name."""

    hint = (
        "Move the study's folder away and approve the study of this channel. What was sent to the "
        "earlier channel stays in the folder's journal."
    )


class ChannelChangedError(HospitalClientError):
    """The channel is not what it was when this hospital approved: policies, members, chaincode.

    Args:
        changes: Each difference in words.
    """

    exit_code: ClassVar[int] = 110
    hint = (
        "This hospital sends nothing before its administrator has accepted the change: "
        "`hospital-client channel accept` shows it. Ask the other hospitals who made it and why."
    )

    def __init__(self, changes: Sequence[str]) -> None:
        super().__init__(f"the channel has changed: {'; '.join(changes)}")


class ChannelNotPinnedError(ChannelChangedError):
    """Nothing is kept here of what the channel was when this hospital approved."""

    hint = "Look at the channel and keep what it is: `hospital-client channel accept`."

    def __init__(self) -> None:
        HospitalClientError.__init__(self, "nothing is kept here of what the channel is")


class ChannelRulesError(HospitalClientError):
    """The channel's rules are weaker than what a study promises."""

    exit_code: ClassVar[int] = 111
    hint = (
        "Approve nothing on this channel before its policies are those of docs/consortium.md; "
        "`hospital-client channel show` has them in words."
    )
