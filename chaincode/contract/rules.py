"""The rules of studies and rounds that are not a matter of cryptography or of the round's table.

Each function is one rule: it raises that rule's own error, or returns what it proved. Reading is
done by `chaincode.records.register`, writing by `chaincode.contract.dispatch`; nothing here writes. Source of the
rules: docs/security.md and docs/ledger.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from chaincode.ledger import Ledger
from chaincode.records import keys, register
from chaincode.records.canonical import Line, MspId, StudyId, read
from chaincode.records.errors import (
    AbandonTooEarlyError,
    ChunkIndexError,
    ChunkSizeError,
    EnoughJoinedError,
    IdentifierError,
    JoinsAwaitedError,
    ManifestJoinedError,
    ManifestPlaceError,
    ManifestSizeError,
    MetricsError,
    NotAMemberError,
    NotJoinedError,
    NotSuspendableError,
    OnceError,
    OtherAggregateError,
    OtherStudyTextError,
    ParentModelError,
    ReasonError,
    RecordError,
    RoundNumberError,
    RoundOrderError,
    RoundRepeatedError,
    RoundRunningError,
    SealingKeyReusedError,
    SendersError,
    ShareRangeError,
    ShareSumLengthError,
    SpentUpdateError,
    StudyExistsError,
    StudyFinishedError,
    StudyNotInForceError,
    SuspendedError,
    TextError,
    TooFewContributorsError,
    TooFewJoinedError,
    TransientError,
    UnopenedBoxesError,
    UpdatesAwaitedError,
)
from chaincode.records.round import (
    Aggregate,
    Chunk,
    ConfirmationClaim,
    Manifest,
    Round,
    RoundState,
    ShareSum,
    UploadLayout,
)
from chaincode.records.states import deadline_passed, has_ended
from chaincode.records.study import Study, StudyHospital
from chaincode.records.terms import round_parameters
from chaincode.roundkey.parameters import SHARE_BYTES
from chaincode.roundkey.shares import RoundKeyError as ShareFormError
from chaincode.roundkey.shares import Shares, read_share_sum

AUC_BEFORE = "auc_before"
AUC_AFTER = "auc_after"

# --- arguments -------------------------------------------------------------------------------


def text(argument: bytes) -> str:
    """Read an argument as text.

    Raises:
        TextError: Not UTF-8.
    """
    try:
        return argument.decode("utf-8")
    except UnicodeDecodeError:
        raise TextError("an argument is not UTF-8 text") from None


def study_id(argument: bytes) -> str:
    """Read a study's identifier.

    Raises:
        IdentifierError: Not small letters, digits, ``-`` and ``_``, at most 63.
    """
    return _identifier(StudyId, argument, "a study's name")


def msp_id(argument: bytes) -> str:
    """Read an organisation's MSP id.

    Raises:
        IdentifierError: Not letters, digits, ``.``, ``-`` and ``_``, at most 63.
    """
    return _identifier(MspId, argument, "an MSP id")


def _identifier(annotation: object, argument: bytes, what: str) -> str:
    try:
        value: str = read(annotation, text(argument), what)
    except RecordError as error:
        raise IdentifierError(error.sentence) from None
    return value


def round_number(argument: bytes) -> int:
    """Read a round's number, 1 to 999999, as plain decimal digits.

    Raises:
        RoundNumberError: Something else.
    """
    if re.fullmatch(rb"[1-9][0-9]{0,5}", argument) is None:
        raise RoundNumberError("a round is a decimal number from 1 to 999999")
    return int(argument)


def chunk_index(argument: bytes) -> int:
    """Read a chunk's number, 0 to 999999, as plain decimal digits.

    Raises:
        RoundNumberError: Something else.
    """
    if re.fullmatch(rb"0|[1-9][0-9]{0,5}", argument) is None:
        raise RoundNumberError("a chunk is a decimal number from 0 to 999999")
    return int(argument)


def reason(argument: bytes) -> str:
    """Read a reason: one line of 1 to 1000 characters.

    Raises:
        ReasonError: Empty, too long, or with control characters.
    """
    try:
        value: str = read(Line, text(argument), "the reason")
    except RecordError as error:
        raise ReasonError(error.sentence) from None
    if not value.strip():
        raise ReasonError("a reason must be given")
    return value


def transient(ledger: Ledger, name: str) -> bytes:
    """Return the one value of the transient map.

    Raises:
        TransientError: It is missing, or others came with it.
    """
    found = sorted(ledger.transient)
    if found != [name]:
        raise TransientError(f"the transient map must hold {name!r} alone, it holds {found[:5]}")
    return bytes(ledger.transient[name])


# --- members and agreement -------------------------------------------------------------------


def member(ledger: Ledger, terms: Study) -> StudyHospital:
    """Return the creator as a hospital of the study.

    Raises:
        NotAMemberError: It is not one.
    """
    msp = ledger.creator.msp_id
    hospital = terms.hospital(msp)
    if hospital is None:
        raise NotAMemberError(f"{msp} is not a hospital of study {terms.study}")
    return hospital


def joined(round_record: Round, msp: str) -> str:
    """Return the hospital after checking that it joined the round.

    Raises:
        NotJoinedError: It did not.
    """
    if msp not in round_record.joined:
        raise NotJoinedError(
            f"{msp} did not join round {round_record.round} of {round_record.study} "
            "before its joins closed"
        )
    return msp


def not_suspended(ledger: Ledger, terms: Study, msp: str) -> None:
    """Check that a hospital may join.

    Raises:
        SuspendedError: A majority of the others suspended it.
    """
    if register.is_suspended(ledger, terms, msp):
        raise SuspendedError(
            f"{msp} is suspended from study {terms.study} by a majority of the other hospitals"
        )


def suspendable(terms: Study, msp: str, voter: str) -> str:
    """Return the hospital that a vote is about.

    Raises:
        NotSuspendableError: It is not of the study, or votes about itself.
    """
    if terms.hospital(msp) is None:
        raise NotSuspendableError(f"{msp} is not a hospital of study {terms.study}")
    if msp == voter:
        raise NotSuspendableError(f"{msp} cannot vote to suspend itself")
    return msp


def new_study(ledger: Ledger, terms: Study) -> None:
    """Check that a study's name is free.

    Raises:
        StudyExistsError: It is taken.
    """
    if ledger.get_state(keys.study(terms.study)):
        raise StudyExistsError(f"study {terms.study} was proposed before; choose another name")


def study_and_round(ledger: Ledger, study: bytes, number: bytes) -> tuple[Study, Round]:
    """Return the study and the round that two arguments name.

    Raises:
        ArgumentError: One is not of its form.
        UnknownStudyError: There is no such study.
        UnknownRoundError: There is no such round.
    """
    return register.study_and_round(ledger, study_id(study), round_number(number))


def same_text(terms: Study, claimed_sha256: str) -> None:
    """Compare the SHA-256 of a study's record with an approval's.

    Raises:
        OtherStudyTextError: They differ.
    """
    actual = terms.sha256
    if claimed_sha256 != actual:
        raise OtherStudyTextError(
            f"the record of study {terms.study} has SHA-256 {actual}, not the one approved"
        )


def study_in_force(ledger: Ledger, terms: Study) -> None:
    """Check that a majority of the hospitals approved the study.

    Raises:
        StudyNotInForceError: They have not.
    """
    if not register.in_force(ledger, terms):
        count = len(register.approvals(ledger, terms.study))
        raise StudyNotInForceError(
            f"{count} of {len(terms.hospitals)} hospitals approved study {terms.study}; "
            f"{terms.majority} are needed"
        )


def first_time(ledger: Ledger, key: str, error: type[OnceError], sentence: str) -> None:
    """Check that a key was never written.

    Raises:
        OnceError: It was; `error` is the rule's own class.
    """
    if ledger.get_state(key):
        raise error(sentence)


# --- rounds ----------------------------------------------------------------------------------


def opening(ledger: Ledger, terms: Study, number: int) -> Round | None:
    """Return the round before a new one, None before the first.

    Raises:
        RoundRepeatedError: The number was used.
        RoundOrderError: The number leaves a gap.
        RoundRunningError: The round before it has not ended.
        StudyFinishedError: All rounds of the study are published.
    """
    if ledger.get_state(keys.round_(terms.study, number)):
        raise RoundRepeatedError(
            f"round {number} of {terms.study} exists; a round's number is never used again"
        )
    if number == 1:
        return None
    data = ledger.get_state(keys.round_(terms.study, number - 1))
    if not data:
        raise RoundOrderError(f"round {number} cannot open: round {number - 1} does not exist")
    previous = Round.from_bytes(data)
    if not has_ended(previous):
        raise RoundRunningError(
            f"round {number} cannot open: round {number - 1} is {previous.state}"
        )
    if published(previous) >= terms.rounds:
        raise StudyFinishedError(f"study {terms.study} has published its {terms.rounds} rounds")
    return previous


def published(round_record: Round) -> int:
    """Return how many rounds are published once this one has ended."""
    return round_record.published_before + (round_record.state == RoundState.PUBLISHED.value)


def joins_closable(
    round_record: Round, terms: Study, joined_msps: Sequence[str], active: Sequence[str], now_s: int
) -> None:
    """Check that the joins may close.

    Raises:
        JoinsAwaitedError: Somebody is awaited and the deadline has not passed.
        TooFewJoinedError: Fewer than k joined.
    """
    missing = sorted(set(active) - set(joined_msps))
    if missing and not deadline_passed(round_record, now_s):
        raise JoinsAwaitedError(
            f"round {round_record.round} waits for {', '.join(missing)} "
            f"until {round_record.deadline_s}"
        )
    if len(joined_msps) < terms.contributors_min:
        raise TooFewJoinedError(
            f"{len(joined_msps)} hospitals joined round {round_record.round}, "
            f"{terms.contributors_min} are needed"
        )


def updates_addable(round_record: Round, submitted: Sequence[str], now_s: int) -> None:
    """Check that the updates may be added.

    Raises:
        UpdatesAwaitedError: Somebody is awaited and the deadline has not passed.
    """
    missing = sorted(set(round_record.joined) - set(submitted))
    if missing and not deadline_passed(round_record, now_s):
        raise UpdatesAwaitedError(
            f"round {round_record.round} waits for the updates of {', '.join(missing)} "
            f"until {round_record.deadline_s}"
        )


def enough_contributors(
    terms: Study, number: int, count: int, refused: Mapping[str, str] | None = None
) -> None:
    """Check that at least k updates go into a sum.

    Raises:
        TooFewContributorsError: Fewer.
    """
    if count < terms.contributors_min:
        because = "; ".join(f"{msp}: {why}" for msp, why in (refused or {}).items())
        raise TooFewContributorsError(
            f"{count} valid updates in round {number}, {terms.contributors_min} are needed"
            + (f" (refused: {because})" if because else "")
        )


def abandonable(round_record: Round, now_s: int) -> None:
    """Check that a round's deadline has passed.

    Raises:
        AbandonTooEarlyError: It has not.
    """
    if not deadline_passed(round_record, now_s):
        raise AbandonTooEarlyError(
            f"round {round_record.round} may be abandoned after {round_record.deadline_s}"
        )


def too_few_joined(round_record: Round, terms: Study, count: int) -> None:
    """Check that an open round has too few hospitals to go on.

    Raises:
        EnoughJoinedError: It has enough.
    """
    if count >= terms.contributors_min:
        raise EnoughJoinedError(
            f"{count} hospitals joined round {round_record.round}: close the joins"
        )


# --- joins and updates -----------------------------------------------------------------------


def fresh_sealing_key(ledger: Ledger, terms: Study, key_sha256: str) -> str:
    """Return the ledger key that marks a sealing key as used.

    Raises:
        SealingKeyReusedError: It was used in this study before.
    """
    marker = keys.sealing_key(terms.study, key_sha256)
    if ledger.get_state(marker):
        raise SealingKeyReusedError("this sealing key joined a round of the study before")
    return marker


def unspent(ledger: Ledger, terms: Study, ciphertext_sha256: str) -> str:
    """Return the ledger key that marks a ciphertext as submitted.

    Raises:
        SpentUpdateError: It was submitted in this study before, by anybody.
    """
    marker = keys.spent(terms.study, ciphertext_sha256)
    if ledger.get_state(marker):
        raise SpentUpdateError(
            f"ciphertext {ciphertext_sha256[:16]} was submitted in study {terms.study} before"
        )
    return marker


def layout(terms: Study, round_record: Round) -> UploadLayout:
    """Return where everything of an upload of this round lies."""
    return UploadLayout(round_parameters(terms).polynomials, len(round_record.joined))


def chunk_of(layout_: UploadLayout, index: int, size: int) -> None:
    """Check a chunk's number and length.

    Raises:
        ChunkIndexError: The upload has no such chunk.
        ChunkSizeError: The chunk has another length.
    """
    if index >= layout_.chunks:
        raise ChunkIndexError(f"an upload has {layout_.chunks} chunks, none is number {index}")
    expected = layout_.chunk_bytes(index)
    if size != expected:
        raise ChunkSizeError(f"chunk {index} has {size} bytes, it must have {expected}")


def manifest_of(manifest: Manifest, round_record: Round, msp: str, layout_: UploadLayout) -> None:
    """Check that a manifest is of this hospital, this round, its joined and its layout.

    Raises:
        ManifestPlaceError: Another study, round or hospital.
        ManifestJoinedError: Another list of joined hospitals.
        ManifestSizeError: Other sizes than the layout's.
    """
    place = (manifest.study, manifest.round, manifest.msp)
    if place != (round_record.study, round_record.round, msp):
        raise ManifestPlaceError(
            f"the manifest is of {manifest.msp} in round {manifest.round} of {manifest.study}, "
            f"not of {msp} in round {round_record.round} of {round_record.study}"
        )
    if manifest.joined_sha256 != round_record.joined_sha256:
        raise ManifestJoinedError("the manifest was written for other joined hospitals")
    sizes = [chunk.bytes for chunk in manifest.chunks]
    expected = [layout_.chunk_bytes(index) for index in range(layout_.chunks)]
    if manifest.upload_bytes != layout_.upload_bytes or sizes != expected:
        raise ManifestSizeError(
            f"the manifest has {manifest.upload_bytes} bytes in {len(sizes)} chunks, the round's "
            f"layout has {layout_.upload_bytes} bytes in {len(expected)} chunks"
        )


def chunk_matches(chunk: Chunk, ledger_hash: bytes) -> bool:
    """Say whether a chunk's hash on the ledger is the manifest's (absent: it is not)."""
    return ledger_hash.hex() == chunk.sha256


# --- answers ---------------------------------------------------------------------------------


def same_aggregate(aggregate: Aggregate, claimed_digest: str) -> str:
    """Return D after comparing it with the one an answer names.

    Raises:
        OtherAggregateError: They differ.
    """
    if claimed_digest != aggregate.digest:
        raise OtherAggregateError(
            f"the aggregate of round {aggregate.round} has digest {aggregate.digest}, "
            "not the one answered for"
        )
    return aggregate.digest


def unopened_dealers(aggregate: Aggregate, dealers: Sequence[str]) -> tuple[str, ...]:
    """Check a report of unopened boxes and return the dealers in MSP order.

    Raises:
        UnopenedBoxesError: One is named twice or is no contributor.
    """
    contributors = {contributor.msp for contributor in aggregate.contributors}
    if len(set(dealers)) != len(dealers) or not set(dealers) <= contributors:
        raise UnopenedBoxesError(
            "a report names contributors of the round, each once; "
            f"it names {', '.join(dealers)[:200]}"
        )
    return tuple(sorted(dealers))


def answer_or_report(ledger: Ledger, dealers: Sequence[str]) -> bytes:
    """Return the share sum of an answer, ``b""`` for a report of unopened boxes.

    Raises:
        UnopenedBoxesError: A share sum comes together with a report.
        TransientError: An answer without a share sum.
    """
    if dealers:
        if ledger.transient:
            raise UnopenedBoxesError(
                "who could not open a box has no sum of all shares: send the report alone"
            )
        return b""
    return transient(ledger, "share_sum")


def share_values(content: bytes) -> Shares:
    """Return a share sum's values, uint16 below 65521, shape ``(4096,)``.

    Raises:
        ShareSumLengthError: Not 8192 bytes.
        ShareRangeError: A value is not below 65521.
    """
    if len(content) != SHARE_BYTES:
        raise ShareSumLengthError(
            f"a share sum has {SHARE_BYTES} bytes and no more, this one has {len(content)}"
        )
    try:
        return read_share_sum(content)
    except ShareFormError as error:
        raise ShareRangeError(str(error)) from None


def senders_of(
    terms: Study, senders: Sequence[str], share_sums: Mapping[str, ShareSum]
) -> tuple[str, ...]:
    """Check the senders that a round key is interpolated from and return them in MSP order.

    Raises:
        SendersError: Not exactly T different hospitals that gave a share sum.
    """
    if len(senders) != terms.threshold or len(set(senders)) != len(senders):
        raise SendersError(
            f"a round key is interpolated from {terms.threshold} different share sums, "
            f"{len(set(senders))} are named"
        )
    for msp in senders:
        if msp not in share_sums or not share_sums[msp].share_sum:
            raise SendersError(f"{msp[:63]} gave no share sum in this round")
    return tuple(sorted(senders))


def vote_of(claim: ConfirmationClaim, round_record: Round, terms: Study) -> int:
    """Derive a hospital's vote: 1 when its metric did not fall by more than the margin.

    Raises:
        ParentModelError: The model was made from another parent.
        MetricsError: ``auc_before`` or ``auc_after`` is missing or not in [0, 1000000].
    """
    if claim.parent_sha256 != round_record.parent_sha256:
        raise ParentModelError(
            f"round {round_record.round} starts from model {round_record.parent_sha256}, "
            "not from the one named"
        )
    values = [claim.metrics_ppm.get(name, -1) for name in (AUC_BEFORE, AUC_AFTER)]
    if not all(0 <= value <= 1_000_000 for value in values):
        raise MetricsError(
            f"{AUC_BEFORE} and {AUC_AFTER} must be there, from 0 to 1000000 (millionths)"
        )
    before, after = values
    return int(after >= before - terms.gate_margin_ppm)
