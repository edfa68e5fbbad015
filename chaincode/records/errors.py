"""Every reason for which the contract refuses a transaction, one class a rule.

A family fixes the exit code, the hint and the page in docs/errors; a rule is a subclass whose
name reaches the client as ``RuleName: sentence``, the message of the chaincode's answer. Nothing
here decides anything: the rules of `chaincode.contract` and `chaincode.records` raise these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar


class RuleError(Exception):
    """A transaction or query breaks a rule of the contract; nothing was written."""

    exit_code: ClassVar[int] = 30
    hint: ClassVar[str] = "read the rule's page and send the transaction again as it asks"

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence

    @property
    def rule(self) -> str:
        """Name of the rule, the same in Python, on the ledger's answer and in the pages."""
        return type(self).__name__

    @property
    def message(self) -> str:
        """The text that reaches the client; the shim writes the same for any refusal.

        >>> SecondJoinError("NorthMSP has joined round 3 already").message
        'SecondJoinError: NorthMSP has joined round 3 already'
        """
        return f"{self.rule}: {self.sentence}"


# --- 30: what was sent cannot be read --------------------------------------------------------


class ArgumentError(RuleError):
    """An argument cannot be read."""

    exit_code = 30
    hint = "compare the call with docs/ledger.md: name, number and form of the arguments"


class UnknownFunctionError(ArgumentError):
    """The contract has no transaction or query of this name."""


class ArgumentCountError(ArgumentError):
    """A function got too few or too many arguments."""


class TextError(ArgumentError):
    """An argument is not UTF-8 text, or holds characters that the ledger does not keep."""


class IdentifierError(ArgumentError):
    """A study or member name is not one that keys can hold."""


class RoundNumberError(ArgumentError):
    """A round or chunk number is not a plain decimal number in range."""


class TransientError(ArgumentError):
    """The transient map lacks the bytes this transaction needs, or holds others."""


class BookmarkError(ArgumentError):
    """A page's bookmark is not one that the page before gave."""


class RecordError(ArgumentError):
    """JSON with an unknown, missing, doubled or ill-typed field, or not in canonical bytes."""


# --- 31: not now -----------------------------------------------------------------------------


class RoundStateError(RuleError):
    """It is not the turn of this event; raised itself where the round's state forbids it."""

    exit_code = 31
    hint = "look at the round (`round ID R`) and follow it from the state it is in"


class RoundRunningError(RoundStateError):
    """A round cannot open before the one before it has ended."""


class RoundRepeatedError(RoundStateError):
    """A round number was used before; numbers never repeat."""


class RoundOrderError(RoundStateError):
    """A round number leaves a gap."""


class StudyFinishedError(RoundStateError):
    """The study has published all its rounds."""


# --- 32: not you -----------------------------------------------------------------------------


class MembershipError(RuleError):
    """The creator has no part in this."""

    exit_code = 32
    hint = "use the identity of a hospital that the study names and that joined the round"


class NotAMemberError(MembershipError):
    """The creator's organisation is not a hospital of the study."""


class NotJoinedError(MembershipError):
    """The hospital did not join this round before it closed."""


class SuspendedError(MembershipError):
    """A majority of the other hospitals suspended this one."""


class NotSuspendableError(MembershipError):
    """The hospital named is not of the study, or is the voter itself."""


class ClientIdentityError(MembershipError):
    """The signer is not the identity of a hospital's client: a peer, a node, an admin, a user."""


# --- 33: nothing there -----------------------------------------------------------------------


class NotFoundError(RuleError):
    """The ledger has no such record."""

    exit_code = 33
    hint = "list what exists: `studies`, `rounds ID`, `round ID R`"


class UnknownStudyError(NotFoundError):
    """No study of this name was proposed."""


class UnknownRoundError(NotFoundError):
    """The study has no round of this number."""


class UnknownRecordError(NotFoundError):
    """The round has no such record yet, or the chunk has expired."""


# --- 34: terms that a study may not have -----------------------------------------------------


class StudyTermsError(RuleError):
    """A study's terms are unsafe or do not fit together."""

    exit_code = 34
    hint = "compute the terms with `hospital-client study parameters` and propose again"


class OrderingError(StudyTermsError):
    """Fewer than four ordering nodes, or an ordering that can fork."""


class HospitalListError(StudyTermsError):
    """Hospitals out of order, doubled, or evaluation points other than 1 to N."""


class ThresholdError(StudyTermsError):
    """T or k is out of its range."""


class ParameterTermsError(StudyTermsError):
    """Hospitals, bits and number of values do not give safe round parameters."""


class TrainingTermsError(StudyTermsError):
    """So few local steps that an update is nearly a gradient."""


class WeightManifestError(StudyTermsError):
    """The weight manifest is empty, doubled, without scales, or not the one that was hashed."""


class DataRuleError(StudyTermsError):
    """A label meaning, a margin or a deadline is missing or out of range."""


# --- 35: the agreement -----------------------------------------------------------------------


class AgreementError(RuleError):
    """The hospitals have not agreed to this study, or agreed to another text."""

    exit_code = 35
    hint = "look at `study ID`: its approvals and the SHA-256 of its record"


class StudyExistsError(AgreementError):
    """A study of this name was proposed before; its terms never change."""


class StudyNotInForceError(AgreementError):
    """Fewer than a majority of the study's hospitals have approved it."""


class OtherStudyTextError(AgreementError):
    """The approval names another SHA-256 than the record on the ledger has."""


class StudyWithdrawnError(AgreementError):
    """The study's proposer has taken it back."""


class NotWithdrawableError(AgreementError):
    """Only its proposer may withdraw a study, and only while nobody else has approved it."""


class TooManyProposalsError(AgreementError):
    """The hospital has as many proposals that wait or were taken back as one may have."""


# --- 36: once only ---------------------------------------------------------------------------


class OnceError(RuleError):
    """This was done before, and may be done once."""

    exit_code = 36
    hint = "nothing to do: the first one stands"


class SecondApprovalError(OnceError):
    """The hospital has approved the study already."""


class SecondSuspensionVoteError(OnceError):
    """The hospital has voted to suspend that one already."""


class SecondJoinError(OnceError):
    """The hospital has joined the round already; its sealing key stands."""


class SecondUpdateError(OnceError):
    """The hospital has submitted an update in the round already; its bytes are frozen."""


class SecondAggregateError(OnceError):
    """The round has its one aggregate."""


class SecondShareSumError(OnceError):
    """The hospital has answered in the round already."""


class SecondRoundKeyError(OnceError):
    """The round key is recorded already."""


class SecondConfirmationError(OnceError):
    """The hospital has confirmed a model of the round already."""


class SecondGiveUpVoteError(OnceError):
    """The hospital has voted to give the round up already."""


class SecondJoinReportError(OnceError):
    """The hospital has reported the join in its name already."""


class RecordExistsError(OnceError):
    """A record that was written once would be written again or deleted."""


# --- 37: too early ---------------------------------------------------------------------------


class DeadlineError(RuleError):
    """Somebody is still awaited and the deadline has not passed."""

    exit_code = 37
    hint = "wait for the deadline that `round ID R` shows, or for the hospitals that are missing"


class JoinsAwaitedError(DeadlineError):
    """Joins may close when all have joined or the deadline has passed."""


class UpdatesAwaitedError(DeadlineError):
    """Updates may be added when all have submitted or the deadline has passed."""


class AbandonTooEarlyError(DeadlineError):
    """A round is abandoned only after its deadline."""


# --- 38: too few -----------------------------------------------------------------------------


class TooFewError(RuleError):
    """Fewer hospitals than the study asks for."""

    exit_code = 38
    hint = "wait for more hospitals, or abandon the round after its deadline"


class TooFewJoinedError(TooFewError):
    """Fewer than k hospitals joined."""


class TooFewContributorsError(TooFewError):
    """Fewer than k valid updates: the sum would say too much about one hospital."""


# --- 39, 40: joining -------------------------------------------------------------------------


class JoinSignatureError(RuleError):
    """The sealing key is not signed by the hospital that sends it."""

    exit_code = 39
    hint = "join with the certificate and the key of the identity that sends the transaction"


class ForeignCertificateError(JoinSignatureError):
    """The certificate in the join record is not the creator's own."""


class SignatureInvalidError(JoinSignatureError):
    """The signature does not verify over the join statement."""


class SealingKeyError(RuleError):
    """A sealing key to which no share can be sealed safely."""

    exit_code = 40
    hint = "make a fresh sealing key for this round"


class SealingKeyLengthError(SealingKeyError):
    """A sealing key is 1216 bytes: 1184 of ML-KEM-768 and 32 of X25519."""


class SealingKeyFormError(SealingKeyError):
    """An ML-KEM coefficient is not below 3329, or the X25519 point has low order."""


class SealingKeyReusedError(SealingKeyError):
    """The sealing key served another round or hospital."""


class JoinReportedError(SealingKeyError):
    """A hospital has reported that a join in its name is not its own."""


class JoinReportFormError(SealingKeyError):
    """A report is about no join that stands in the reporting hospital's name."""


# --- 41: chunks ------------------------------------------------------------------------------


class ChunkError(RuleError):
    """A chunk of an upload is not where or what it must be."""

    exit_code = 41
    hint = "send the stored upload's chunks again; wait until every peer has them"


class ChunkIndexError(ChunkError):
    """The upload has no chunk of this number."""


class ChunkSizeError(ChunkError):
    """A chunk's length is not the one its number gives."""


class ChunkHashError(ChunkError):
    """A chunk's hash on the ledger is not the manifest's."""


class ChunkAbsentError(ChunkError):
    """This peer has not received a chunk yet, or its copy is damaged."""


# --- 42: manifests ---------------------------------------------------------------------------


class ManifestError(RuleError):
    """A manifest is not of this round."""

    exit_code = 42
    hint = "write the manifest from the stored upload of this round"


class ManifestPlaceError(ManifestError):
    """The manifest names another study, round or hospital."""


class ManifestJoinedError(ManifestError):
    """The manifest was written for another list of joined hospitals."""


class ManifestSizeError(ManifestError):
    """The manifest's sizes are not those of the round's layout."""


# --- 43, 44: updates -------------------------------------------------------------------------


class CiphertextError(RuleError):
    """An update is not a ciphertext of this study's form."""

    exit_code = 43
    hint = "the update is left out of the sum; encrypt with the study's own parameters"


class CiphertextLengthError(CiphertextError):
    """A ciphertext is not a whole number of polynomials, or not the study's number."""


class ResidueError(CiphertextError):
    """A residue is not below the prime."""


class CiphertextHashError(CiphertextError):
    """The ciphertext's SHA-256 is not the manifest's."""


class SpentUpdateError(RuleError):
    """The same ciphertext was submitted before; an update is encrypted once."""

    exit_code = 44
    hint = "train and encrypt again: a spent update never goes into another sum"


# --- 45, 46: opening -------------------------------------------------------------------------


class ShareSumError(RuleError):
    """A share sum that cannot be an honest answer for this round."""

    exit_code = 45
    hint = "answer for the aggregate on the ledger with the boxes of its contributors"


class OtherAggregateError(ShareSumError):
    """The answer names another aggregate digest than the round's."""


class ShareSumLengthError(ShareSumError):
    """A share sum is 8192 bytes: 4096 values and no more."""


class ShareRangeError(ShareSumError):
    """A share value is not below 65521."""


class UnopenedBoxesError(ShareSumError):
    """A report of unopened boxes names no contributor, or comes together with a share sum."""


class FalseShareSumError(ShareSumError):
    """The share sum lies off the polynomial of the recorded round key."""


class RoundKeyError(RuleError):
    """The named share sums give no round key."""

    exit_code = 46
    hint = "name T other share sums; a client finds honest ones by search"


class SendersError(RoundKeyError):
    """Not exactly T different hospitals that gave a share sum."""


class KeyNotShortError(RoundKeyError):
    """A coefficient of the interpolated key is above 42 times the contributors."""


class KeyCheckError(RoundKeyError):
    """The interpolated key does not open the summed key check to zero."""


class CheckSumError(RoundKeyError):
    """The summed key check is not the one whose digest the aggregate recorded."""


# --- 47, 48: the model -----------------------------------------------------------------------


class ConfirmationError(RuleError):
    """A confirmation that the gate cannot count."""

    exit_code = 47
    hint = "apply the round's sum to the parent model that `round ID R` shows and confirm again"


class ParentModelError(ConfirmationError):
    """The confirmed model was made from another parent."""


class MetricsError(ConfirmationError):
    """A metric is missing or out of range."""


class MetricsTooSharpError(ConfirmationError):
    """A figure says more of validation patients than the vote needs."""


class VoteError(ConfirmationError):
    """The vote is not the one that the metrics give."""


class PublishError(RuleError):
    """The round's model is not decided yet."""

    exit_code = 48
    hint = "wait for more confirmations, or for the answer deadline"


class TooFewConfirmationsError(PublishError):
    """Fewer than T equal digests, and more may come."""


class GateUndecidedError(PublishError):
    """The votes do not decide the gate yet."""


# --- 49: ending a round ----------------------------------------------------------------------


class AbandonError(RuleError):
    """The round may not end this way."""

    exit_code = 49
    hint = "a round with enough hospitals is completed; one without a key is given up by vote"


class EnoughJoinedError(AbandonError):
    """Enough hospitals joined: close the joins."""


class EnoughUpdatesError(AbandonError):
    """Enough valid updates were submitted: add them."""


class ReasonError(AbandonError):
    """A reason is missing or too long."""


def rules() -> Iterator[type[RuleError]]:
    """Yield every rule by name: the classes without subclass, and RoundStateError."""
    waiting: list[type[RuleError]] = [RuleError]
    leaves: list[type[RuleError]] = [RoundStateError]
    while waiting:
        cls = waiting.pop()
        below = cls.__subclasses__()
        waiting.extend(below)
        if not below:
            leaves.append(cls)
    yield from sorted(leaves, key=lambda cls: cls.__name__)


_MESSAGE = re.compile(r"\b([A-Z][A-Za-z]+Error): (.*)", re.DOTALL)


def from_message(message: str) -> RuleError | None:
    """Give back the rule that a chaincode's answer names, wherever in a peer's text it stands.

    Args:
        message: What a peer or gateway said.

    Returns:
        The error, or None when the text names no rule of the contract.

    >>> error = from_message("chaincode response 500, SecondJoinError: NorthMSP has joined")
    >>> error.rule, error.exit_code, error.sentence
    ('SecondJoinError', 36, 'NorthMSP has joined')
    """
    known = {cls.__name__: cls for cls in (*rules(), *RuleError.__subclasses__())}
    for match in _MESSAGE.finditer(message):
        if match.group(1) in known:
            return known[match.group(1)](match.group(2))
    return None
