"""What a gateway says becomes what a round understands."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Collection

import pytest

from chaincode.records.errors import SecondJoinError
from network.gateway.errors import EndorseError, EvaluateError, PeerDetail
from network.gateway.events import ChaincodeEvent
from network.wire.block import Block
from network.wire.row import KeyWrite, TransactionRow
from peer_client.ledgers.fabric import FabricLedger, _translated, ledger_block
from peer_client.ledgers.ledger import PrivateDataError


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
        writes=(
            KeyWrite("rounds", "a", b"1", False),
            KeyWrite("rounds", "b", b"", True),
            KeyWrite("_lifecycle", "c", b"1", False),
        ),
    )
    block = Block(5, b"p", b"d", b"h", b"r", (row,), (), 99)

    found = ledger_block(block, "rounds")

    assert (found.number, found.previous_hash, found.data_hash) == (5, b"p", b"d")
    assert (found.header_hash, found.recomputed_data_hash, found.size_bytes) == (b"h", b"r", 99)
    assert found.transactions[0].arguments == ("study", "3")
    assert found.transactions[0].writes == (("a", b"1"), ("b", None))
    assert not found.transactions[0].valid
    assert found.proof is None


@pytest.fixture
def listening() -> FabricLedger:
    """A ledger of EastMSP that follows events from a queue in place of a peer."""
    ledger = object.__new__(FabricLedger)
    ledger._msp_id = "EastMSP"
    ledger._newest = ""
    ledger._changed = threading.Condition()
    ledger._pending = set()
    ledger._follower = threading.current_thread()
    return ledger


def event(name: str, msp: str) -> ChaincodeEvent:
    payload = json.dumps({"study": "s", "round": 1, "state": "OPEN", "msp": msp}).encode()
    return ChaincodeEvent(7, "transaction", name, payload)


def test_an_event_that_does_not_count_wakes_nobody(listening: FabricLedger) -> None:
    listening._follow([event("round.joined", "WestMSP")])
    begin = time.monotonic()

    listening.wait_change(0.05, {"round.summed"})

    assert time.monotonic() - begin >= 0.05


@pytest.mark.parametrize("events", [(), {"round.summed"}])
def test_an_event_since_the_last_call_ends_the_wait(
    listening: FabricLedger, events: Collection[str]
) -> None:
    listening._follow([event("round.summed", "WestMSP")])
    begin = time.monotonic()

    listening.wait_change(30.0, events)

    assert time.monotonic() - begin < 10


def test_own_events_wake_nobody_but_are_what_others_must_have(listening: FabricLedger) -> None:
    listening._follow([event("round.summed", "EastMSP")])
    begin = time.monotonic()

    listening.wait_change(0.05)

    assert time.monotonic() - begin >= 0.05
    assert listening._newest == "transaction"
