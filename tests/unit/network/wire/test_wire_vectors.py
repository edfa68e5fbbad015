"""Blocks recorded from a real Fabric: hashes and signatures that its Go code computed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fabric_protos.common import common_pb2

from network.errors import CertificateError
from network.wire.block import check_link, read_block
from network.wire.block_signature import check_signatures, read_consenters
from network.wire.proposal import transaction_id

VECTORS = Path(__file__).parent / "vectors"
GENESIS, BLOCK_12, BLOCK_13 = (
    (VECTORS / f"block-{number}.pb").read_bytes() for number in (0, 12, 13)
)
ROOTS = {
    msp_id: (root.encode(),)
    for msp_id, root in json.loads((VECTORS / "roots.json").read_text()).items()
}
AT = datetime(2026, 12, 1, tzinfo=UTC)


def test_our_hash_of_a_header_is_the_one_that_fabric_put_into_the_next_block() -> None:
    first, second = read_block(BLOCK_12), read_block(BLOCK_13)

    assert check_link(second, first).previous_hash == first.header_hash
    assert first.header_hash.hex() == (
        "ef50c7da987b67eeab3780679b9ba0876a1aa175ee76d8885b56a761c648b8e7"
    )


@pytest.mark.parametrize("encoded", [GENESIS, BLOCK_12, BLOCK_13])
def test_our_hash_of_the_transactions_is_the_one_in_fabrics_header(encoded: bytes) -> None:
    block = read_block(encoded)

    assert block.recomputed_data_hash == block.data_hash


def test_the_ordering_nodes_are_read_from_a_genesis_block() -> None:
    consenters = read_consenters(GENESIS)

    assert [(one.identifier, one.msp_id) for one in consenters] == [
        (1, "ucsdMSP"),
        (2, "saopauloMSP"),
        (3, "moscow1MSP"),
        (4, "moscow2MSP"),
    ]


@pytest.mark.parametrize("encoded", [BLOCK_12, BLOCK_13])
def test_three_of_four_bft_ordering_nodes_are_proved_to_have_signed(encoded: bytes) -> None:
    consenters = read_consenters(GENESIS)

    proved = check_signatures(read_block(encoded), consenters, roots_pem=ROOTS, at=AT)

    assert len(proved) == 3


def test_one_wrong_signature_of_a_real_block_is_one_too_few() -> None:
    block = read_block(BLOCK_12)
    first, *others = block.signatures
    damaged = replace(first, signed=first.signed + b"\x00")

    with pytest.raises(CertificateError, match="has 2 valid signatures"):
        check_signatures(
            replace(block, signatures=(damaged, *others)),
            read_consenters(GENESIS),
            roots_pem=ROOTS,
            at=AT,
        )


def test_a_real_transaction_is_read_as_it_was() -> None:
    row = read_block(BLOCK_12).transactions[0]

    assert (row.chaincode, row.function, row.creator_msp) == ("rounds", "join_round", "ucsdMSP")
    assert row.args[:2] == (b"s1", b"1")
    assert row.validation_code == "VALID"
    assert row.timestamp_s == 1_795_570_215
    assert row.endorser_msps == ("moscow1MSP", "moscow2MSP", "ucsdMSP")
    assert row.event_name == "round.joined"
    assert row.writes[0].key == "\x00join\x00s1\x00000001\x00ucsdMSP\x00"


def test_the_id_that_fabric_accepted_is_the_hash_of_nonce_and_creator() -> None:
    block = common_pb2.Block.FromString(BLOCK_12)
    payload = common_pb2.Payload.FromString(
        common_pb2.Envelope.FromString(block.data.data[0]).payload
    )
    header = common_pb2.SignatureHeader.FromString(payload.header.signature_header)

    computed = transaction_id(header.nonce, header.creator)

    assert computed == read_block(BLOCK_12).transactions[0].transaction_id
    assert computed == hashlib.sha256(header.nonce + header.creator).hexdigest()
