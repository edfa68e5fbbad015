"""What a gateway says becomes what a round understands."""

from __future__ import annotations

import pytest

from chaincode.errors import SecondJoinError
from network.gateway.errors import EndorseError, EvaluateError, PeerDetail
from network.wire.block import Block, TransactionRow
from peer_client.fabric_ledger import _translated, ledger_block
from peer_client.ledger import PrivateDataError


def endorse_error(message: str) -> EndorseError:
    return EndorseError(
        "ABORTED",
        "failed to endorse transaction, see attached details for more info",
        details=[PeerDetail("127.0.0.1:1", "AMSP", message)],
    )


def test_the_chaincodes_refusal_is_the_rules_own_error() -> None:
    error = endorse_error("chaincode response 500, SecondJoinError: AMSP has joined")

    found = _translated(error)

    assert isinstance(found, SecondJoinError)
    assert found.sentence == "AMSP has joined"


@pytest.mark.parametrize(
    "message",
    [
        "tx creator does not have read access permission on privatedata in chaincodeName:x",
        "private data matching public hash version is not available. Public hash version = 1",
    ],
)
def test_private_data_that_cannot_be_read_has_an_error_of_its_own(message: str) -> None:
    error = EvaluateError("UNKNOWN", f"chaincode response 500, PeerError: {message}")

    assert isinstance(_translated(error), PrivateDataError)


def test_anything_else_stays_the_gateways_error() -> None:
    error = endorse_error("connection refused")

    assert _translated(error) is error


def test_a_block_keeps_its_place_its_hashes_and_what_was_called() -> None:
    row = TransactionRow(
        transaction_id="t",
        type="ENDORSER_TRANSACTION",
        creator_msp="AMSP",
        creator_certificate_pem=b"",
        timestamp_s=7,
        validation_code="MVCC_READ_CONFLICT",
        function="join_round",
        args=(b"study", b"3"),
    )
    block = Block(5, b"p", b"d", b"h", b"r", (row,), (), 99)

    found = ledger_block(block)

    assert (found.number, found.previous_hash, found.data_hash) == (5, b"p", b"d")
    assert (found.header_hash, found.recomputed_data_hash, found.size_bytes) == (b"h", b"r", 99)
    assert found.transactions[0].arguments == ("study", "3")
    assert not found.transactions[0].valid
