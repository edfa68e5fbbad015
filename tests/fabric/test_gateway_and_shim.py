"""Shim and gateway on real Fabric: what the fakes claim, asked of the real peers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from network.gateway import (
    ClientTls,
    CommitError,
    EndorseError,
    EvaluateError,
    Gateway,
    GatewayAddress,
    PeerRefusedError,
    SubmitError,
)
from network.gateway.contract import Contract
from network.gateway.errors import CommitStatusError
from network.wire.block import check_link
from network.wire.block_signature import check_signatures, read_consenters
from tests.support.fabric_network import FabricNetwork

pytestmark = pytest.mark.fabric
CHAINCODE = "rounds"


@pytest.fixture
def gateway(consortium: FabricNetwork) -> Iterator[Gateway]:
    with consortium.member("ucsd").connect() as gateway:
        yield gateway


@pytest.fixture
def contract(gateway: Gateway) -> Contract:
    return gateway.contract(CHAINCODE)


def test_binary_arguments_and_answers_of_nine_megabytes_pass(contract: Contract) -> None:
    sent = os.urandom(9_000_000)

    assert contract.evaluate("echo", sent) == sent


def test_a_transaction_does_not_see_its_own_write(contract: Contract) -> None:
    contract.submit("put", "unread", "old")

    assert contract.submit("unread", "unread", "new").payload == b"old"
    assert contract.evaluate("get", "unread") == b"new"


def test_a_write_batch_and_an_iterator_over_many_messages(contract: Contract) -> None:
    contract.submit("many", "batch", "1500")

    assert contract.evaluate("count", "batch") == b"1500"


def test_pages_follow_each_other_to_the_end(contract: Contract) -> None:
    contract.submit("many", "paged", "7")

    pages, bookmark = [], ""
    while True:
        rows, bookmark = json.loads(contract.evaluate("page", "paged", "3", bookmark))
        pages.append(rows)
        if not bookmark:
            break

    assert [row for page in pages for row in page] == [str(number) for number in range(7)]
    assert [len(page) for page in pages][:2] == [3, 3]


def test_several_keys_are_read_at_once(contract: Contract) -> None:
    contract.submit("put", "several", "1")

    answer = contract.evaluate("get_several", "several", "absent", "several")

    assert json.loads(answer) == ["1", "", "1"]


def test_history_is_newest_first(contract: Contract) -> None:
    contract.submit("put", "aged", "1")
    contract.submit("put", "aged", "2")

    changes = json.loads(contract.evaluate("history", "aged"))

    assert [value for value, _, _ in changes] == ["2", "1"]
    assert abs(changes[0][2] - time.time()) < 120


def test_a_private_value_has_a_hash_and_is_gone_after_a_purge(contract: Contract) -> None:
    own = ["ucsdMSP"]
    contract.submit(
        "put_private",
        "updates_ucsdMSP",
        "purged",
        transient={"value": b"\x00\xff"},
        organisations=own,
    )
    digest = contract.evaluate("private_hash", "updates_ucsdMSP", "purged")
    assert digest == hashlib.sha256(b"\x00\xff").hexdigest().encode()

    contract.submit("purge_private", "updates_ucsdMSP", "purged", organisations=own)

    assert contract.evaluate("get_private", "updates_ucsdMSP", "purged", organisations=own) == b""
    assert contract.evaluate("private_hash", "updates_ucsdMSP", "purged") == b""


def test_a_refusal_reaches_the_caller_with_class_and_text(contract: Contract) -> None:
    with pytest.raises(EvaluateError) as queried:
        contract.evaluate("nothing")
    with pytest.raises(EndorseError) as submitted:
        contract.submit("nothing")

    assert queried.value.refusal == "ValueError: no function nothing"
    assert submitted.value.refusal == "ValueError: no function nothing"
    assert submitted.value.details[0].msp_id.endswith("MSP")
    assert submitted.value.code == "ABORTED"


def test_the_second_of_two_increments_of_one_value_is_a_conflict(contract: Contract) -> None:
    first = contract.propose("increment", "hot").endorse()
    second = contract.propose("increment", "hot").endorse()

    first.submit().status()
    with pytest.raises(CommitError) as caught:
        second.submit().status()

    assert caught.value.code == "MVCC_READ_CONFLICT"
    assert contract.evaluate("get", "hot") == b"1"


def test_the_same_envelope_sent_twice_is_committed_once(
    gateway: Gateway, contract: Contract
) -> None:
    transaction = contract.propose("increment", "twice").endorse()

    committed = transaction.submit().status()
    with contextlib.suppress(SubmitError):  # ordering nodes may refuse the copy at once
        transaction.submit()
    again = gateway.commit_status(committed.transaction_id)

    assert again == committed.block_number
    assert contract.evaluate("get", "twice") == b"1"


def test_events_are_replayed_from_a_block_and_followed(contract: Contract) -> None:
    first = contract.submit("put", "event-1", "1")
    events = contract.events(start_block=first.block_number)
    got = [next(events)]
    waiting = threading.Thread(target=lambda: got.append(next(events)))
    waiting.start()

    contract.submit("put", "event-2", "1")
    waiting.join(10)
    events.close()

    assert [one.payload for one in got] == [b"event-1", b"event-2"]
    assert got[0].transaction_id == first.transaction_id


def test_another_members_gateway_endorses_when_the_own_peer_is_gone_and_is_believed_nothing(
    consortium: FabricNetwork, gateway: Gateway
) -> None:
    directory = consortium.member("ucsd")
    certificate, key = directory.tls("client")
    own, another = directory.description()["gateways"][:2]
    gone = GatewayAddress("127.0.0.1:1", (directory.path / own["tls_root"]).read_bytes())
    living = GatewayAddress(
        another["target"],
        (directory.path / another["tls_root"]).read_bytes(),
        another["server_name"],
    )

    with Gateway.connect(
        [gone, living],
        gateway.identity,
        client_tls=ClientTls(certificate.read_bytes(), key.read_bytes()),
        channel=gateway.channel,
    ) as cut_off:
        transaction = cut_off.contract(CHAINCODE).propose("put", "via", "another").endorse()
        transaction.submit()
        with pytest.raises(CommitStatusError):
            cut_off.commit_status(transaction.transaction_id, timeout_s=10)
        with pytest.raises(EvaluateError):
            cut_off.contract(CHAINCODE).evaluate("get", "via")

    others = directory.other_gateways()
    spread = gateway.contract(CHAINCODE).wait_committed(
        transaction.transaction_id, [gateway, *others], 20
    )
    for other in others:
        other.close()
    assert gateway.target in spread.committed
    assert spread.unreachable == ()


def test_the_whole_chain_links_and_every_block_is_signed_by_a_quorum(
    consortium: FabricNetwork, gateway: Gateway
) -> None:
    directory = consortium.member("ucsd")
    roots = {msp_id: directory.roots_pem(msp_id) for msp_id in directory.description()["roots"]}
    previous = None
    numbers = []

    height = gateway.height()
    genesis = directory.genesis_block.read_bytes()
    consenters = read_consenters(genesis)
    for block in gateway.blocks(0, height - 1):
        previous = check_link(block, previous)
        numbers.append(block.number)
        if block.number:
            proved = check_signatures(block, consenters, roots_pem=roots, at=datetime.now(UTC))
            assert len(proved) >= 3

    assert numbers == list(range(height))


def test_a_peers_own_refusal_is_told_from_a_chaincodes(gateway: Gateway) -> None:
    with pytest.raises(PeerRefusedError):
        gateway.process("qscc", ["GetBlockByNumber", gateway.channel, "999999"], gateway.channel)
