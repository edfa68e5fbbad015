"""The round's one sum: the submitted updates, validated and added from the own peer's chunks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from chaincode.contract.rules import arguments, members, turns, uploads
from chaincode.contract.telling import tell_round
from chaincode.contract.writing import check_first_time, put_new, put_round
from chaincode.ledger import Ledger
from chaincode.records import keys, register, states, sums
from chaincode.records.canonical import sha256_hex
from chaincode.records.errors import ChunkAbsentError, SecondAggregateError
from chaincode.records.round import Aggregate, Contributor, Manifest, Round, aggregate_digest
from chaincode.records.states import RoundEvent
from chaincode.records.study import GROUP_MASKS, Study
from chaincode.records.terms import round_parameters


def aggregate(ledger: Ledger, study: bytes, number: bytes) -> bytes:
    """Validate and add the submitted updates; record the sum's digests and who is not in it."""
    terms, round_record = arguments.read_study_and_round(ledger, study, number)
    members.check_member(ledger, terms)
    key = keys.aggregate(terms.study, round_record.round)
    check_first_time(
        ledger, key, SecondAggregateError, f"round {round_record.round} has its one aggregate"
    )
    states.after(round_record, RoundEvent.AGGREGATE)
    reports = register.join_reports(ledger, terms.study, round_record.round)
    turns.check_no_join_reports(round_record, reports)
    updates = register.updates(ledger, terms.study, round_record.round)
    turns.check_updates_addable(round_record, tuple(updates), ledger.timestamp_s)
    turns.check_enough_contributors(terms, round_record.round, len(updates))
    total = valid_sum(ledger, terms, round_record, updates)
    turns.check_enough_contributors(
        terms, round_record.round, len(total.contributors), total.refused
    )
    record = _aggregate_record(ledger, terms, round_record, total)
    put_new(ledger, {key: record})
    summed = states.moved(round_record, RoundEvent.AGGREGATE, terms, ledger.timestamp_s)
    put_round(ledger, round_record, summed)
    return tell_round(ledger, "round.summed", summed)


def _aggregate_record(
    ledger: Ledger, terms: Study, round_record: Round, total: sums.Sum
) -> Aggregate:
    parameters = round_parameters(terms)
    safety = parameters.safety(len(total.contributors))
    masks = parameters.safety(_hiding_masks(terms, total.contributors))
    return Aggregate(
        study=terms.study,
        round=round_record.round,
        contributors=total.contributors,
        refused=total.refused,
        polynomials=parameters.polynomials,
        block_sha256=total.block_sha256,
        check_sha256=sha256_hex(total.check),
        cheating_max=safety.cheating,
        pooling_max=safety.pooling,
        cheating_max_masks=masks.cheating,
        pooling_max_masks=masks.pooling,
        digest=aggregate_digest(
            terms.genesis_sha256,
            ledger.channel,
            terms.study,
            round_record.round,
            study_sha256=terms.sha256,
            joined_sha256=round_record.joined_sha256,
            contributors=total.contributors,
            block_sha256=total.block_sha256,
        ),
    )


def _hiding_masks(terms: Study, contributors: Sequence[Contributor]) -> int:
    """Return how many contributors hide each other in the tensors of hospitals with masks."""
    if not any(weight.group == GROUP_MASKS for weight in terms.weights):
        return len(contributors)
    present = {contributor.msp for contributor in contributors}
    return sum(hospital.has_masks for hospital in terms.hospitals if hospital.msp in present)


def valid_sum(
    ledger: Ledger, terms: Study, round_record: Round, updates: Mapping[str, Manifest]
) -> sums.Sum:
    """Validate the updates of a round and add those that are valid."""
    layout = uploads.upload_layout(terms, round_record)
    return sums.sum_updates(partial(read_chunk, ledger), tuple(updates.values()), layout)


def read_chunk(ledger: Ledger, manifest: Manifest, index: int) -> bytes:
    """Read a chunk from the own peer's store.

    The hash on the ledger is the same for every endorser, so a difference from the manifest
    refuses the update; that this peer lacks the bytes refuses nothing.

    Raises:
        ChunkHashError: The owner replaced the chunk, or it has expired.
        ChunkAbsentError: This peer lacks the chunk.
    """
    place = (keys.collection(manifest.msp), keys.chunk(manifest.study, manifest.round, index))
    uploads.check_chunk_hash(
        manifest.chunks[index],
        ledger.private_hash(*place),
        f"chunk {index} on the ledger is no longer the manifest's",
    )
    chunk = ledger.get_private(*place)
    if not chunk:
        raise ChunkAbsentError(
            f"this peer does not have chunk {index} of {manifest.msp} yet; send this again"
        )
    return chunk
