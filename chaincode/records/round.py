"""What the ledger keeps about a round: one frozen dataclass for each kind of record.

Each class states its fields, their units and its one byte form (`chaincode.records.canonical`). The
digests that bind a round together, the joined and the aggregate, are computed here too, with the
injective framing of `chaincode.roundkey.frame`. Nothing here decides whether a record is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar, Final

from chaincode.records.canonical import (
    Base64,
    Count,
    Flag,
    Hex,
    Length,
    Line,
    MspId,
    Pem,
    Range,
    Record,
    RoundNumber,
    Seconds,
    Sha256,
    Sha256OrNone,
    StudyId,
    Text,
)
from chaincode.roundkey.frame import digest, frame
from chaincode.roundkey.parameters import (
    BOX_BYTES,
    POLYNOMIAL_BYTES,
    RING_DEGREE,
    SEALING_KEY_BYTES,
    SHARE_BYTES,
)

KEY_BYTES: Final = 2 * RING_DEGREE  # signed 16-bit coefficients
CHUNK_BYTES: Final = 4 * 1024 * 1024
BLOCK_POLYNOMIALS: Final = CHUNK_BYTES // POLYNOMIAL_BYTES

Members = Annotated[tuple[MspId, ...], Length(0, 779)]


class RoundState(StrEnum):
    """Where a round is; `chaincode.records.states` says how it moves."""

    OPEN = "OPEN"
    SUBMITTING = "SUBMITTING"
    SUMMED = "SUMMED"
    OPENED = "OPENED"
    PUBLISHED = "PUBLISHED"
    REJECTED = "REJECTED"
    ABANDONED = "ABANDONED"


StateName = Annotated[str, Text("OPEN|SUBMITTING|SUMMED|OPENED|PUBLISHED|REJECTED|ABANDONED", 10)]


@dataclass(frozen=True, slots=True)
class Approval(Record):
    """A hospital's agreement to a study: the SHA-256 of the text it agreed to."""

    study: StudyId
    msp: MspId
    study_sha256: Sha256


@dataclass(frozen=True, slots=True)
class Withdrawal(Record):
    """The proposer took a study back that nobody else had approved; its name stays taken."""

    study: StudyId
    msp: MspId


@dataclass(frozen=True, slots=True)
class Suspension(Record):
    """One hospital's vote to keep another one out of later rounds."""

    study: StudyId
    msp: MspId
    voter: MspId
    reason: Line


@dataclass(frozen=True, slots=True)
class Round(Record):
    """A round: its state, its times, its joined hospitals and what came out.

    Attributes:
        study: Study.
        round: Number, from 1; never used twice.
        state: A `RoundState` by name.
        opened_at_s: Proposal time of its opening, seconds since 1970 UTC.
        changed_at_s: Proposal time of its last change of state; never goes back.
        deadline_s: When the present state need wait no longer; 0 once the round has ended.
        parent_sha256: Digest of the model it starts from.
        published_before: Rounds of the study published before it.
        opened_before: Sums opened from this same parent by earlier rounds that published nothing.
        contributors_before: The most updates in one of those sums; 0 where there is none.
        joined: Hospitals that joined, in MSP order; empty until joins close.
        joined_sha256: `joined_digest` of them; empty until joins close.
        model_sha256: Digest of the model published; empty otherwise.
        reason: Why it was rejected or abandoned; empty otherwise.
    """

    FORMAT: ClassVar[int] = 2

    study: StudyId
    round: RoundNumber
    state: StateName
    opened_at_s: Seconds
    changed_at_s: Seconds
    deadline_s: Seconds
    parent_sha256: Sha256
    published_before: Count
    opened_before: Count
    contributors_before: Count
    joined: Members
    joined_sha256: Sha256OrNone
    model_sha256: Sha256OrNone
    reason: Line


@dataclass(frozen=True, slots=True)
class JoinSignature:
    """What join_round takes as JSON: the signer's certificate and its signature (DER, hex)."""

    certificate_pem: Pem
    signature: Hex


@dataclass(frozen=True, slots=True)
class Join(Record):
    """A hospital joined a round: the key that shares are sealed to, signed by its identity.

    Attributes:
        study: Study.
        round: Number of the round.
        msp: The hospital.
        point: Its evaluation point.
        sealing_key: 1216 bytes: ML-KEM-768, then X25519.
        certificate_pem: The signer's certificate, the creator's own.
        signature: ECDSA over `join_statement`, DER, hex.
    """

    study: StudyId
    round: RoundNumber
    msp: MspId
    point: Annotated[int, Range(1, 779)]
    sealing_key: Annotated[bytes, Base64((SEALING_KEY_BYTES,))]
    certificate_pem: Pem
    signature: Hex


@dataclass(frozen=True, slots=True)
class JoinReport(Record):
    """A hospital says that the join in its name is not its own.

    Attributes:
        study: Study.
        round: Number of the round.
        msp: The hospital that reports, and in whose name the join stands.
        sealing_key_sha256: SHA-256 of the sealing key that it did not make.
    """

    study: StudyId
    round: RoundNumber
    msp: MspId
    sealing_key_sha256: Sha256


@dataclass(frozen=True, slots=True)
class Use(Record):
    """A one-time thing (a ciphertext or a sealing key, by SHA-256) was used here."""

    study: StudyId
    round: RoundNumber
    msp: MspId


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of an upload: SHA-256 of its bytes, and how many they are."""

    sha256: Sha256
    bytes: Annotated[int, Range(1, CHUNK_BYTES)]


@dataclass(frozen=True, slots=True)
class Manifest(Record):
    """The public record of an update.

    Attributes:
        study: Study.
        round: Number of the round.
        msp: The hospital.
        joined_sha256: The joined hospitals it was sealed for.
        ciphertext_sha256: SHA-256 of the ciphertext alone, without the sealed boxes.
        upload_bytes: Bytes of the whole upload.
        chunks: Its pieces in order.
    """

    study: StudyId
    round: RoundNumber
    msp: MspId
    joined_sha256: Sha256
    ciphertext_sha256: Sha256
    upload_bytes: Count
    chunks: Annotated[tuple[Chunk, ...], Length(1, 100_000)]


@dataclass(frozen=True, slots=True)
class Contributor:
    """A hospital in the sum, and the ciphertext that was added."""

    msp: MspId
    ciphertext_sha256: Sha256


@dataclass(frozen=True, slots=True)
class Aggregate(Record):
    """The round's one sum, by digests.

    Attributes:
        study: Study.
        round: Number of the round.
        contributors: S, in MSP order.
        refused: Hospitals whose update was left out, with ``RuleName: sentence``.
        polynomials: Polynomials of the sum without the key check.
        block_sha256: SHA-256 of each block of at most 128 polynomials of the sum, the key check
            being the last polynomial; little-endian residues in NTT order.
        check_sha256: SHA-256 of the summed key-check polynomial alone (32768 bytes).
        cheating_max: Hospitals that may cheat and still learn nothing but the sum
            (`chaincode.roundkey.safety`).
        pooling_max: Hospitals that may pool what they have and still learn nothing but the sum.
        cheating_max_masks: The first for the tensors that hospitals with masks average: others send
            zeros there, so only the contributors with masks hide each other. -1 when fewer than
            two of them contributed: whoever opens the sum then learns that part of an update.
        pooling_max_masks: The second for those tensors.
        digest: D, what every answer of the round names (`aggregate_digest`).
    """

    FORMAT: ClassVar[int] = 2

    study: StudyId
    round: RoundNumber
    contributors: Annotated[tuple[Contributor, ...], Length(1, 779)]
    refused: Annotated[Mapping[MspId, Line], Length(0, 779)]
    polynomials: Annotated[int, Range(1)]
    block_sha256: Annotated[tuple[Sha256, ...], Length(1, 100_000)]
    check_sha256: Sha256
    cheating_max: Annotated[int, Range(0, 779)]
    pooling_max: Annotated[int, Range(0, 779)]
    cheating_max_masks: Annotated[int, Range(-1, 779)]
    pooling_max_masks: Annotated[int, Range(-1, 779)]
    digest: Sha256


@dataclass(frozen=True, slots=True)
class ShareSum(Record):
    """A hospital's one answer of a round.

    Attributes:
        study: Study.
        round: Number of the round.
        msp: The hospital.
        point: Its evaluation point.
        digest: D of the aggregate it answers for.
        share_sum: Sum modulo 65521 of the shares it holds from the contributors, 4096 uint16
            little-endian; empty when boxes did not open.
        unopened: Dealers whose boxes did not open, in MSP order; empty in an answer.
    """

    study: StudyId
    round: RoundNumber
    msp: MspId
    point: Annotated[int, Range(1, 779)]
    digest: Sha256
    share_sum: Annotated[bytes, Base64((0, SHARE_BYTES))]
    unopened: Members


@dataclass(frozen=True, slots=True)
class RoundKey(Record):
    """The opened round: sum of the contributors' round secrets.

    Attributes:
        study: Study.
        round: Number of the round.
        digest: D of the aggregate it opens.
        key: 4096 int16 little-endian coefficients.
        senders: The T hospitals whose share sums gave it, in MSP order.
        false_senders: Hospitals whose share sums lie off the senders' polynomial, in MSP order.
        colluders_to_frame: The fewest hospitals that, lying in agreement, could make honest share
            sums look false (`chaincode.roundkey.shares.colluders_to_frame`); at least 2.
    """

    study: StudyId
    round: RoundNumber
    digest: Sha256
    key: Annotated[bytes, Base64((KEY_BYTES,))]
    senders: Members
    false_senders: Members
    colluders_to_frame: Annotated[int, Range(2, 779)]


MetricName = Annotated[str, Text("[a-z][a-z0-9_]{0,39}", 40)]
#: Empty where a class has too few validation patients for a figure to leave the hospital.
Metrics = Annotated[Mapping[MetricName, Annotated[int, Range(-(10**12), 10**12)]], Length(0, 64)]


@dataclass(frozen=True, slots=True)
class ConfirmationClaim:
    """What confirm_model takes as JSON.

    Attributes:
        model_sha256: Digest of the model the hospital computed.
        parent_sha256: Digest of the model it started from.
        metrics_ppm: Metrics on its own held-back patients, in millionths and no sharper than two
            decimals; ``auc_before`` and ``auc_after`` give its vote. Empty where a class has fewer
            than ten patients.
        vote: 1 for the model, 0 against it; with metrics it must be what they give.
    """

    model_sha256: Sha256
    parent_sha256: Sha256
    metrics_ppm: Metrics
    vote: Flag


@dataclass(frozen=True, slots=True)
class Confirmation(Record):
    """A hospital's one confirmation of a round: claim and vote (1 for, 0 against)."""

    FORMAT: ClassVar[int] = 2

    study: StudyId
    round: RoundNumber
    msp: MspId
    model_sha256: Sha256
    parent_sha256: Sha256
    metrics_ppm: Metrics
    vote: Flag


@dataclass(frozen=True, slots=True)
class GiveUpVote(Record):
    """One hospital's vote to give up a round whose key cannot be found."""

    study: StudyId
    round: RoundNumber
    msp: MspId
    reason: Line


@dataclass(frozen=True, slots=True)
class UploadLayout:
    """Where everything of an upload lies.

    The ciphertext's polynomials come first (the key check last among them), then one sealed box
    for each joined hospital in MSP order; the whole is cut into chunks of 4 MiB.

    Attributes:
        polynomials: Polynomials without the key check.
        boxes: Joined hospitals.

    >>> layout = UploadLayout(polynomials=49, boxes=4)
    >>> layout.ciphertext_bytes, layout.upload_bytes, layout.chunks
    (1638400, 1675712, 1)
    """

    polynomials: int
    boxes: int

    @property
    def ciphertext_bytes(self) -> int:
        """Bytes of the ciphertext with its key check."""
        return (self.polynomials + 1) * POLYNOMIAL_BYTES

    @property
    def upload_bytes(self) -> int:
        """Bytes of the whole upload."""
        return self.ciphertext_bytes + self.boxes * BOX_BYTES

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return -(-self.upload_bytes // CHUNK_BYTES)

    @property
    def blocks(self) -> int:
        """Number of chunks that hold ciphertext."""
        return -(-self.ciphertext_bytes // CHUNK_BYTES)

    def chunk_bytes(self, index: int) -> int:
        """Return the length of a chunk."""
        return min(CHUNK_BYTES, self.upload_bytes - index * CHUNK_BYTES)

    def ciphertext_in_chunk(self, index: int) -> int:
        """Return how many bytes at the start of a chunk are ciphertext; a multiple of 32768."""
        return max(0, min(CHUNK_BYTES, self.ciphertext_bytes - index * CHUNK_BYTES))

    def box_slice(self, position: int) -> slice:
        """Return where the box of the joined hospital at `position` lies in the upload."""
        start = self.ciphertext_bytes + position * BOX_BYTES
        return slice(start, start + BOX_BYTES)


def join_statement(
    genesis_sha256: str,
    channel: str,
    study: str,
    number: int,
    *,
    msp: str,
    point: int,
    sealing_key: bytes,
) -> bytes:
    """Return the bytes that a hospital's identity signs when it joins a round."""
    genesis = bytes.fromhex(genesis_sha256)
    return frame("roundkey/join/v2", genesis, channel, study, number, msp, point, sealing_key)


def joined_digest(
    genesis_sha256: str, channel: str, study: str, number: int, joins: Sequence[Join]
) -> str:
    """Bind the hospitals of a round, their points and sealing keys.

    SHA-256 of frame("roundkey/joined/v2", SHA-256 of the channel's first block, channel, study,
    round, then msp, point and sealing key of each, in MSP order), 64 hex digits.
    """
    genesis = bytes.fromhex(genesis_sha256)
    parts: list[str | int | bytes] = ["roundkey/joined/v2", genesis, channel, study, number]
    for join in sorted(joins, key=lambda join: join.msp):
        parts += [join.msp, join.point, join.sealing_key]
    return digest(*parts).hex()


def aggregate_digest(
    genesis_sha256: str,
    channel: str,
    study: str,
    number: int,
    *,
    study_sha256: str,
    joined_sha256: str,
    contributors: Sequence[Contributor],
    block_sha256: Sequence[str],
) -> str:
    """Compute D: what is summed, by whom, under which terms (docs/security.md, rule 3).

    SHA-256 of frame("roundkey/S/v2", SHA-256 of the channel's first block, channel, study, round,
    SHA-256 of the study record, joined digest, number of contributors, then msp and ciphertext
    SHA-256 of each in MSP order, then the SHA-256 of each block of the sum), hashes as 32 bytes;
    64 hex digits.
    """
    parts: list[str | int | bytes] = [
        "roundkey/S/v2",
        bytes.fromhex(genesis_sha256),
        channel,
        study,
        number,
        bytes.fromhex(study_sha256),
        bytes.fromhex(joined_sha256),
        len(contributors),
    ]
    for contributor in sorted(contributors, key=lambda contributor: contributor.msp):
        parts += [contributor.msp, bytes.fromhex(contributor.ciphertext_sha256)]
    parts += [bytes.fromhex(value) for value in block_sha256]
    return digest(*parts).hex()
