"""A hospital's way into a round: join, train, seal, submit. Each step can be taken up again.

Order of what must not be lost (docs/security.md, rules 3 and 4): every joined hospital's sealing
key is proved to be signed by it; the update is encrypted once; the upload is written to the store,
then to the journal, both with fsync; only then is any of it sent. A retry sends the stored bytes.
If the journal knows of an upload whose bytes are gone, the hospital contributes nothing in that
round.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import numpy as np

from chaincode.records.canonical import encode, plain, sha256_hex
from chaincode.records.errors import ChunkAbsentError, ChunkHashError
from chaincode.records.round import CHUNK_BYTES, Chunk, JoinSignature, Manifest, Round
from network.errors import NetworkError
from peer_client.errors import SumMismatchError
from peer_client.rounds import lineage
from peer_client.rounds.context import Notice, RoundContext, TrainingTask
from peer_client.rounds.deadline import train_alone_in_time
from peer_client.rounds.records import RoundRecords, read_joins
from peer_client.rounds.seen_records import SeenRound
from peer_client.sealing.errors import MemoryStorageError
from peer_client.sealing.joining import sign_join, verify_join
from peer_client.sealing.transcript import RoundTranscript
from peer_client.sealing.upload import seal_update_once
from peer_client.update import (
    own_groups,
    quantisation_report,
    quantise,
    shared_tensors,
    update_digest,
    weight_difference,
)

logger = logging.getLogger(__name__)

#: Chunks sent at a time: two keep a peer busy, more only queue there.
CHUNKS_AT_ONCE = 2
#: The largest last chunk that goes with its manifest, to a majority's peers. It must reach each of
#: them within the time that a gateway waits for an endorsement.
ALONG_BYTES = 2 * 1024 * 1024
#: A manifest can reach endorsers a moment before the chunks it names.
SUBMIT_ATTEMPTS = 6
#: How often a training hospital looks whether the round has gone on without it, seconds.
LOOK_UP_S = 5.0


def is_trained(context: RoundContext, number: int) -> bool:
    """Return whether this hospital has something to submit in a round, or has sealed it."""
    if context.journal.upload(context.study.study, number) is not None:
        return not is_spent(context, number)
    return context.store.has_trained(number)


def is_spent(context: RoundContext, number: int) -> bool:
    """Return whether an upload was recorded whose bytes are no longer here."""
    recorded = context.journal.upload(context.study.study, number) is not None
    return recorded and not context.store.has_upload(number)


def has_sealing_keys(context: RoundContext, number: int) -> bool:
    """Return whether the private sealing key of a round is still in memory-backed storage."""
    try:
        context.sealing_keys.load(number).wipe()
    except MemoryStorageError:
        return False
    return True


def forget(context: RoundContext, number: int) -> None:
    """Wipe a round's sealing key and remove its upload, once the round has ended."""
    context.sealing_keys.wipe_all_before(number + 1)
    context.store.forget_upload(number)
    context.recall.trained = None


def join(context: RoundContext, records: RoundRecords, seen: SeenRound) -> None:
    """Join a round with a fresh sealing key signed by this hospital's identity.

    Which key that is, is written down first: a join with another one is somebody else's.

    Raises:
        NotApprovedHereError: This hospital has not approved the study's text.
        ChannelChangedError: The channel has changed since a person accepted it.
    """
    context.check_agreed()
    number = records.record.round
    sealing_key = context.sealing_keys.create(number)
    seen.add_own_key(sha256_hex(sealing_key))
    signature = sign_join(
        context.signer.sign,
        genesis_sha256=context.study.genesis_sha256,
        channel=context.ledger.channel,
        study=context.study.study,
        round_number=number,
        msp_id=context.msp_id,
        point=context.hospital.point,
        sealing_key=sealing_key,
    )
    signed = JoinSignature(context.signer.certificate_pem.decode("ascii"), signature.hex())
    context.ledger.submit(
        "join_round",
        context.study.study,
        str(number),
        encode(plain(signed)).decode(),
        transient={"sealing_key": sealing_key},
    )


def training_task(context: RoundContext, records: RoundRecords) -> TrainingTask:
    """Return what the trainer is asked for: the parent model, and how far the study has come."""
    parent = lineage.parent_model(context, records.record)
    return TrainingTask(records.record.round, records.record.published_before, parent.weights)


def train(context: RoundContext, records: RoundRecords, look_up: Callable[[], None]) -> None:
    """Train from the parent model and keep the result; then the hospital's own model, if any.

    The shared result is kept first: whoever is stopped afterwards has something to submit.

    Args:
        context: The hospital.
        records: The round.
        look_up: Called now and then; raises where training on is in vain.

    Raises:
        NotApprovedHereError: This hospital has not approved the study's text.
    """
    context.agreement.check_approved(context.study)
    number = records.record.round
    looked_s = context.now_s()

    def progress(text: str, done: int, total: int) -> None:
        nonlocal looked_s
        context.watch(Notice(number, "train", text, done, total))
        if context.now_s() - looked_s > LOOK_UP_S:
            look_up()
            looked_s = context.now_s()

    task = training_task(context, records)
    vector = context.trainer.train(task, lambda done, total: progress("train", done, total))
    context.store.write_trained(number, vector)
    context.recall.trained = (number, vector)
    train_alone_in_time(context, records, task, progress)


def sealed_upload(context: RoundContext, records: RoundRecords) -> bytes:
    """Return this hospital's upload: the stored one, else the update sealed now, once."""
    stored = stored_upload(context, records.record.round)
    return stored if stored is not None else _seal(context, records)


def send(context: RoundContext, records: RoundRecords, payload: bytes) -> Manifest:
    """Put an upload on the ledger: its chunks into the own collection, its manifest for all to see.

    A small last chunk goes with the manifest: one transaction instead of two, and every endorser
    has its bytes at once, so that they are not lost with the own peer. Where that takes the
    network too long, it goes before the manifest like the others, to the own peer alone.

    Raises:
        NotApprovedHereError: This hospital has not approved the study's text.
        ChannelChangedError: The channel has changed since a person accepted it.
    """
    context.check_agreed()
    number = records.record.round
    manifest = manifest_of(context, records, payload)
    *before, last = chunks_of(payload)
    if len(last) > ALONG_BYTES:
        _put_chunks(context, number, [*before, last])
        _submit_manifest(context, number, manifest, None)
    else:
        _put_chunks(context, number, before)
        try:
            _submit_manifest(context, number, manifest, last)
        except NetworkError as error:
            logger.info("the last chunk goes before its manifest: %s", error)
            _put_chunks(context, number, [last], first=len(before))
            _submit_manifest(context, number, manifest, None)
    context.store.write_facts(number, {"upload_bytes": len(payload)})
    return manifest


def _submit_manifest(
    context: RoundContext, number: int, manifest: Manifest, last: bytes | None
) -> None:
    text = manifest.to_bytes().decode("ascii")
    transient = None if last is None else {"chunk": last}
    for attempt in range(1, SUBMIT_ATTEMPTS + 1):
        try:
            context.ledger.submit(
                "submit_update", context.study.study, str(number), text, transient=transient
            )
            return
        except (ChunkAbsentError, ChunkHashError):
            if attempt == SUBMIT_ATTEMPTS:
                raise
            context.ledger.wait_change(0.2 * attempt)


def stored_upload(context: RoundContext, number: int) -> bytes | None:
    """Return the sealed upload of a round, proved to be the one the journal names, or nothing.

    Raises:
        SumMismatchError: The file was changed after it was sealed.
    """
    payload = context.store.read_upload(number)
    if payload is None:
        return None
    recorded = context.journal.upload(context.study.study, number)
    if recorded is None:
        return None  # stopped between the two writes: nothing of it was sent
    if recorded["upload_sha256"] != hashlib.sha256(payload).hexdigest():
        raise SumMismatchError(f"the stored upload of round {number} is not the one sealed")
    return payload


def _seal(context: RoundContext, records: RoundRecords) -> bytes:
    """Encrypt this hospital's update, once, and write it down before anything is sent."""
    number = records.record.round
    known = context.recall.trained
    trained = known[1] if known and known[0] == number else context.store.read_trained(number)
    if trained is None:  # pragma: no cover - the decision table asks for training first
        raise SumMismatchError(f"nothing was trained in round {number}")
    parent = lineage.parent_model(context, records.record)
    difference = weight_difference(parent.weights, trained)
    tensors = shared_tensors(context.study.weights)
    groups = own_groups(context.study, context.msp_id, records.joined)
    levels = context.parameters.levels
    rng = np.random.default_rng(int.from_bytes(context.entropy(16), "little"))
    values = quantise(difference, parent.scales, levels, rng, tensors=tensors, groups=groups)
    report = quantisation_report(
        difference, values, parent.scales, levels, tensors=tensors, groups=groups
    )
    sealed = seal_update_once(
        values,
        parameters=context.parameters,
        round=transcript(context, records),
        entropy=context.entropy,
        journal=context.journal,
        update_sha256=update_digest(difference),
        store=lambda payload: context.store.write_upload(number, payload),
    )
    context.store.write_facts(
        number,
        {"quantisation_error": report.relative_error, "clipped_share": report.clipped},
    )
    return sealed.payload


def transcript(context: RoundContext, records: RoundRecords) -> RoundTranscript:
    """Return the joined hospitals with their sealing keys, each proved to be signed by its owner.

    Raises:
        JoinSignatureError: A key is not signed by the hospital it is said to be of, as far as the
            roots in this hospital's own directory tell.
        SumMismatchError: The joins do not give the digest that the round records, or are not those
            that the round's summary named.
    """
    number = records.record.round
    known = context.recall.transcript
    if known is not None and _is_of(known, records.record):
        return known
    joins = read_joins(context.ledger, context.study.study, number)
    known_to_all = set(joins) & set(context.study.msps)
    if strangers := [msp for msp in records.record.joined if msp not in known_to_all]:
        raise SumMismatchError(
            f"round {number} names {', '.join(strangers)} as joined without a join of a hospital "
            "of the study"
        )
    points = context.points(records.record.joined)
    at = datetime.fromtimestamp(context.now_s(), UTC)
    found = RoundTranscript(
        genesis_sha256=context.study.genesis_sha256,
        channel=context.ledger.channel,
        study=context.study.study,
        round_number=number,
        joined=tuple(
            verify_join(
                genesis_sha256=context.study.genesis_sha256,
                channel=context.ledger.channel,
                study=context.study.study,
                round_number=number,
                msp_id=msp,
                point=points[msp],
                sealing_key=joins[msp].sealing_key,
                certificate_pem=joins[msp].certificate_pem.encode("ascii"),
                signature=bytes.fromhex(joins[msp].signature),
                roots_pem=context.roots(msp),
                at=at,
            )
            for msp in records.record.joined
        ),
        own_msp=context.msp_id,
    )
    for member in found.joined:
        if sha256_hex(member.sealing_key) != records.joins.get(member.msp_id):
            raise SumMismatchError(
                f"the join of {member.msp_id} in round {number} is not the one shown before"
            )
    if found.joined_sha256.hex() != records.record.joined_sha256:
        raise SumMismatchError(f"the joins of round {number} are not those that were closed")
    context.recall.transcript = found
    return found


def _is_of(known: RoundTranscript, record: Round) -> bool:
    """Return whether a transcript proved before is the one that a round's record names."""
    return (
        known.round_number == record.round
        and tuple(member.msp_id for member in known.joined) == record.joined
        and known.joined_sha256.hex() == record.joined_sha256
    )


def manifest_of(context: RoundContext, records: RoundRecords, payload: bytes) -> Manifest:
    """Return the public record of an upload."""
    return Manifest(
        study=context.study.study,
        round=records.record.round,
        msp=context.msp_id,
        joined_sha256=records.record.joined_sha256,
        ciphertext_sha256=hashlib.sha256(
            payload[: context.parameters.ciphertext_bytes]
        ).hexdigest(),
        upload_bytes=len(payload),
        chunks=tuple(
            Chunk(hashlib.sha256(part).hexdigest(), len(part)) for part in chunks_of(payload)
        ),
    )


def chunks_of(payload: bytes) -> list[bytes]:
    """Cut an upload into chunks of 4 MiB.

    >>> [len(part) for part in chunks_of(bytes(CHUNK_BYTES + 1))]
    [4194304, 1]
    """
    return [payload[at : at + CHUNK_BYTES] for at in range(0, len(payload), CHUNK_BYTES)]


def _put_chunks(
    context: RoundContext, number: int, chunks: Sequence[bytes], *, first: int = 0
) -> None:
    """Put chunks, numbered from `first`, into the own collection; the own peer alone endorses."""

    def put(item: tuple[int, bytes]) -> str:
        index, part = item
        done = context.ledger.submit(
            "put_chunk",
            context.study.study,
            str(number),
            str(index),
            transient={"chunk": part},
            own_peer_only=True,
        )
        return done.transaction_id

    with ThreadPoolExecutor(max_workers=CHUNKS_AT_ONCE) as pool:
        transactions = list(pool.map(put, enumerate(chunks, first)))
    for transaction_id in transactions:
        context.ledger.wait_everywhere(transaction_id, context.level_s)
