"""A sum made again is compared with every word of the ledger's record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peer_client.errors import BundleMissingError, SumMismatchError
from peer_client.rounds.records import RoundRecords
from peer_client.rounds.sums import (
    add_contributions,
    check_sum,
    is_upload_of,
    read_contributions,
    sum_from_bytes,
)
from tests.support.hospitals import MSPS, MemoryConsortium, play_up_to


@pytest.fixture(scope="module")
def summed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    consortium = MemoryConsortium(tmp_path_factory.mktemp("summing"))
    consortium.agree()
    play_up_to(consortium, consortium.parts(1), "SUMMED")
    context = consortium.context(MSPS[0])
    records = consortium.records(1)
    uploads = read_contributions(context.ledger, records, context.parameters)
    yield context, records, add_contributions(uploads, context.parameters)
    consortium.close()


def test_the_chaincodes_sum_and_the_clients_are_one(summed: Any) -> None:
    context, records, total = summed

    aggregate = check_sum(total, records, context.study, "hospitals")

    assert aggregate == records.aggregate


def changed(records: RoundRecords, **fields: Any) -> RoundRecords:
    assert records.aggregate is not None
    return replace(records, aggregate=replace(records.aggregate, **fields))


def test_a_single_other_residue_is_refused(summed: Any) -> None:
    context, records, total = summed
    other = total.copy()
    other[0, 0] ^= np.uint64(1)

    with pytest.raises(SumMismatchError, match="digests"):
        check_sum(other, records, context.study, "hospitals")


def test_fewer_contributors_than_k_are_refused(summed: Any) -> None:
    context, records, total = summed
    few = changed(records, contributors=records.aggregate.contributors[:2])

    with pytest.raises(SumMismatchError, match="sums 2 updates; the study asks for 3"):
        check_sum(total, few, context.study, "hospitals")


def test_a_contributor_twice_is_refused(summed: Any) -> None:
    context, records, total = summed
    first, *others = records.aggregate.contributors
    twice = changed(records, contributors=(first, first, *others))

    with pytest.raises(SumMismatchError, match="not hospitals of it"):
        check_sum(total, twice, context.study, "hospitals")


def test_another_ciphertext_than_submitted_is_refused(summed: Any) -> None:
    context, records, total = summed
    first, *others = records.aggregate.contributors
    swapped = changed(records, contributors=(replace(first, ciphertext_sha256="0" * 64), *others))

    with pytest.raises(SumMismatchError, match="another ciphertext"):
        check_sum(total, swapped, context.study, "hospitals")


def test_a_digest_that_does_not_follow_is_refused(summed: Any) -> None:
    context, records, total = summed

    with pytest.raises(SumMismatchError, match="digest D"):
        check_sum(total, changed(records, digest="0" * 64), context.study, "hospitals")
    with pytest.raises(SumMismatchError, match="digest D"):
        check_sum(total, records, context.study, "another channel")


def test_a_round_without_an_aggregate_is_refused(summed: Any) -> None:
    context, records, total = summed

    with pytest.raises(SumMismatchError, match="no aggregate"):
        check_sum(total, replace(records, aggregate=None), context.study, "hospitals")


def test_a_damaged_stored_sum_is_refused(summed: Any) -> None:
    context, _, total = summed

    with pytest.raises(SumMismatchError, match="damaged"):
        sum_from_bytes(total.tobytes()[:-8], context.parameters)


def test_the_own_stored_upload_is_taken_only_where_the_manifest_names_it(summed: Any) -> None:
    context, records, _ = summed
    uploads = read_contributions(context.ledger, records, context.parameters)
    stored = uploads[context.msp_id]
    manifest = records.updates[context.msp_id]

    assert is_upload_of(manifest, stored)
    assert not is_upload_of(manifest, stored[:-1])
    assert not is_upload_of(manifest, stored[:-1] + bytes([stored[-1] ^ 1]))
    assert not is_upload_of(manifest, stored + b"\0")
    damaged = read_contributions(context.ledger, records, context.parameters, stored=stored[:-1])
    assert damaged == uploads


def test_a_chunk_that_is_not_there_is_missing_and_a_changed_one_is_refused(
    tmp_path: Path,
) -> None:
    consortium = MemoryConsortium(tmp_path)
    consortium.agree()
    play_up_to(consortium, consortium.parts(1), "SUMMED")
    context, records = consortium.context(MSPS[0]), consortium.records(1)
    manifest = records.updates[MSPS[1]]
    chunk = replace(manifest.chunks[0], sha256="0" * 64)
    other = {**records.updates, MSPS[1]: replace(manifest, chunks=(chunk,))}

    with pytest.raises(SumMismatchError, match="not the one that its manifest names"):
        read_contributions(context.ledger, replace(records, updates=other), context.parameters)
    consortium.channel._private.clear()
    with pytest.raises(BundleMissingError, match="chunk 0"):
        read_contributions(context.ledger, records, context.parameters)
    consortium.close()
