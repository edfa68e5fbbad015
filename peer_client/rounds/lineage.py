"""From the initial model to the one in force: each round's model, recomputed from its sum.

A model follows from its parent, the opened sum and the study's terms, bit for bit, so whoever has
the sums can recompute all of them and compare each with the digest on the ledger. A hospital that
missed rounds catches up this way; an auditor checks this way (peer_client/audit/recomputation.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chaincode.records.canonical import sha256_hex
from chaincode.records.round import Round, RoundKey, RoundState
from chaincode.records.study import Study
from chaincode.roundkey.parameters import RoundParameters
from chaincode.roundkey.shares import read_round_key
from peer_client.errors import ChainBrokenError, StudyClaimError
from peer_client.rounds import records as round_records
from peer_client.rounds.kept_sum import checked_sum
from peer_client.rounds.records import RoundRecords
from peer_client.rounds.seen_records import SeenRound
from peer_client.rounds.sums import Residues
from peer_client.sealing.opening import open_sum
from peer_client.storage.study_store import ModelState
from peer_client.update import (
    apply_update,
    dequantise_mean,
    first_scales,
    model_digest,
    next_scales,
    part_holders,
    shared_tensors,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from peer_client.rounds.context import RoundContext

PUBLISHED = RoundState.PUBLISHED.value


def initial_model(study: Study, weights: NDArray[np.float32]) -> ModelState:
    """Return the model before round 1, proved to be the one of the study's record.

    Args:
        study: The study's terms.
        weights: Shared weights drawn from the study's seed, float32, shape `(parameters,)`.

    Raises:
        StudyClaimError: The digest is another: proposer and this program differ in the network.
    """
    if model_digest(weights) != study.initial_model_sha256:
        raise StudyClaimError(
            f"the initial model made here is not the one of study {study.study}'s record"
        )
    return ModelState(0, weights, first_scales(study.weights))


def opened_model(
    study: Study,
    parameters: RoundParameters,
    records: RoundRecords,
    key: RoundKey,
    total: Residues,
    parent: ModelState,
) -> ModelState:
    """Return the model of an opened round.

    Args:
        study: The study's terms.
        parameters: The encryption's numbers.
        records: The round.
        key: Its recorded key.
        total: Its sum, compared with the ledger already, shape `(polynomials + 1, 4096)`.
        parent: The model it started from.

    Raises:
        OpeningError: The key is not the sum's, or a field is out of range.
        ChainBrokenError: The parent is not the one the round names.
    """
    number = records.record.round
    if model_digest(parent.weights) != records.record.parent_sha256:
        raise ChainBrokenError(
            f"round {number} starts from model {records.record.parent_sha256[:16]}, and the "
            f"model after round {parent.round_number} here is another"
        )
    if records.round_key is None or sha256_hex(key.key) != records.round_key.key_sha256:
        raise ChainBrokenError(f"the key of round {number} is not the one that the round shows")
    sums = open_sum(
        total,
        read_round_key(key.key),
        study=study.study,
        round_number=number,
        parameters=parameters,
        contributors=len(records.contributors),
    )
    return next_model(study, parameters, parent, number, records.contributors, sums)


def next_model(
    study: Study,
    parameters: RoundParameters,
    parent: ModelState,
    number: int,
    contributors: tuple[str, ...],
    sums: NDArray[np.int64],
) -> ModelState:
    """Return the model that opened sums make of their parent.

    Args:
        study: The study's terms.
        parameters: The encryption's numbers.
        parent: The model the round started from.
        number: The round.
        contributors: MSPs whose updates are in the sums.
        sums: Field sums, int64, shape `(parameters,)`.
    """
    tensors = shared_tensors(study.weights)
    holders = part_holders(study, contributors)
    mean = dequantise_mean(
        sums,
        holders,
        parent.scales,
        parameters.levels,
        tensors=tensors,
        contributors=len(contributors),
        contributors_min=study.contributors_min,
    )
    scales = next_scales(
        sums,
        holders,
        parent.scales,
        parameters.levels,
        tensors=tensors,
        contributors=len(contributors),
        contributors_min=study.contributors_min,
    )
    return ModelState(number, apply_update(parent.weights, mean), scales)


def parent_model(context: RoundContext, record: Round) -> ModelState:
    """Return the model that a round starts from, catching up with rounds this hospital missed.

    Raises:
        BundleMissingError: A missed round's sum can no longer be made here.
        ChainBrokenError: A model made here is not the one published.
        RecordChangedError: A round that was seen to end has another outcome now.
    """
    known = context.recall.parent
    if known is not None and known[:2] == (record.parent_sha256, record.published_before):
        return known[2]
    published = [
        each
        for each in round_records.read_rounds(context.ledger, context.study.study)
        if each.state == PUBLISHED and each.round < record.round
    ]
    for each in published:
        SeenRound(context.store, each.round).check_outcome(each)
    model = catch_up(context, published)
    if model_digest(model.weights) != record.parent_sha256:
        raise ChainBrokenError(
            f"round {record.round} names the parent {record.parent_sha256[:16]}, and the published "
            f"rounds before it give {model_digest(model.weights)[:16]}"
        )
    model.weights.flags.writeable = False
    context.recall.parent = (model_digest(model.weights), len(published), model)
    return model


def catch_up(context: RoundContext, published: list[Round]) -> ModelState:
    """Return the model after these published rounds, making those that are not here yet.

    Args:
        context: The hospital.
        published: Records of published rounds, ascending.
    """
    start = len(published)
    model: ModelState | None = None
    while start > 0 and model is None:
        model = _stored(context, published[start - 1])
        start -= model is None
    if model is None:
        model = initial_model(context.study, context.initial())
    for each in published[start:]:
        records = round_records.read_round(context.ledger, context.study.study, each.round)
        if records is None:  # pragma: no cover - it was in the list a moment ago
            raise ChainBrokenError(f"round {each.round} of {context.study.study} is gone")
        total = checked_sum(context, records)
        key = round_records.read_round_key(context.ledger, context.study.study, each.round)
        model = opened_model(context.study, context.parameters, records, key, total, model)
        check_published(model, each)
        context.store.write_model(model)
    return model


def _stored(context: RoundContext, record: Round) -> ModelState | None:
    """Return a published round's model from the store, where it is the one published."""
    model = context.store.read_model(record.round)
    if model is None or model_digest(model.weights) != record.model_sha256:
        return None
    return model


def check_published(model: ModelState, record: Round) -> None:
    """Refuse a model that is not the one its round published.

    Raises:
        ChainBrokenError: The digests differ.
    """
    digest = model_digest(model.weights)
    if digest != record.model_sha256:
        raise ChainBrokenError(
            f"round {record.round} published model {record.model_sha256[:16]}; its sum and parent "
            f"give {digest[:16]}"
        )
