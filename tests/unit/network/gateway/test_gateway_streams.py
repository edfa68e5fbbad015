"""Events and blocks from scripted gateways: no gap, no repeat, an end."""

from __future__ import annotations

import threading
import time

import grpc
import pytest

from network.gateway import CommitError, StreamError
from tests.support.fake_chain import MVCC
from tests.support.fake_gateway import CHAINCODE, Failure
from tests.unit.network.gateway.scripted import UNAVAILABLE, Network


def vote(network: Network, *names: str) -> None:
    contract = network.connect(network.gateways[0].address).contract(CHAINCODE)
    for name in names:
        contract.submit(name)


def wait_subscribed(network: Network) -> None:
    """Wait until the first gateway was asked for events, at most 5 s."""
    deadline = time.monotonic() + 5
    while not network.gateways[0].made("ChaincodeEvents") and time.monotonic() < deadline:
        time.sleep(0.005)


def test_events_come_from_a_block_on_with_block_and_transaction(network: Network) -> None:
    network.add()
    vote(network, "a", "b", "c")

    with network.connect().contract(CHAINCODE).events(start_block=2) as events:
        got = [next(events), next(events)]

    assert [(one.block_number, one.name, one.payload) for one in got] == [
        (2, "b", b"payload of b"),
        (3, "c", b"payload of c"),
    ]
    assert got[0].transaction_id in network.chain.placed


def test_events_from_now_on_miss_nothing_that_is_submitted_after_the_call(
    network: Network,
) -> None:
    network.add()
    vote(network, "before")

    events = network.connect().contract(CHAINCODE).events()
    vote(network, "after")

    assert next(events).name == "after"
    events.close()


def test_an_invalid_transactions_event_is_not_delivered(network: Network) -> None:
    peer = network.add()
    peer.next_codes.append(MVCC)
    contract = network.connect().contract(CHAINCODE)
    with pytest.raises(CommitError):
        contract.submit("lost")
    contract.submit("won")

    with contract.events(start_block=0) as events:
        assert next(events).name == "won"


def test_a_broken_event_stream_goes_on_without_gap_or_repeat(network: Network) -> None:
    peer = network.add()
    vote(network, "a", "b", "c", "d", "e")
    peer.break_after.extend([3, 1, 2, None])

    with network.connect().contract(CHAINCODE).events(start_block=0) as events:
        names = [next(events).name for _ in range(5)]

    assert names == ["a", "b", "c", "d", "e"]


def test_a_broken_event_stream_is_taken_up_at_the_own_peer_and_no_other(network: Network) -> None:
    own, other = network.add(), network.add()
    vote(network, "a", "b")
    own.break_after.extend([2, None])

    with network.connect().contract(CHAINCODE).events(start_block=0) as events:
        names = [next(events).name for _ in range(2)]

    assert names == ["a", "b"]
    assert len(own.made("ChaincodeEvents")) == 2
    assert other.made("ChaincodeEvents") == []


def test_closing_from_another_thread_ends_a_waiting_iteration(network: Network) -> None:
    network.add()
    events = network.connect().contract(CHAINCODE).events()
    got: list[object] = []
    reader = threading.Thread(target=lambda: got.extend(events))
    reader.start()
    wait_subscribed(network)

    events.close()
    reader.join(5)

    assert not reader.is_alive()
    assert got == []


def test_closing_the_gateway_ends_a_waiting_iteration_with_our_own_error(
    network: Network,
) -> None:
    network.add()
    gateway = network.connect()
    events = gateway.contract(CHAINCODE).events(start_block=5)
    errors: list[BaseException] = []

    def read() -> None:
        try:
            next(events)
        except BaseException as error:
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    wait_subscribed(network)
    gateway.close()
    reader.join(5)

    assert isinstance(errors[0], StreamError)


def test_a_stream_that_stays_broken_is_given_up(network: Network) -> None:
    peer = network.add()
    peer.script("ChaincodeEvents", *[Failure(UNAVAILABLE, "down")] * 3)

    with (
        network.connect(attempts=3).contract(CHAINCODE).events(start_block=0) as events,
        pytest.raises(StreamError, match="down"),
    ):
        next(events)


def test_a_stream_that_is_refused_is_not_tried_again(network: Network) -> None:
    peer = network.add()
    peer.script("ChaincodeEvents", Failure(grpc.StatusCode.PERMISSION_DENIED, "no"))

    with (
        network.connect().contract(CHAINCODE).events(start_block=0) as events,
        pytest.raises(StreamError),
    ):
        next(events)

    assert len(peer.made("ChaincodeEvents")) == 1


def test_blocks_are_read_from_start_to_stop(network: Network) -> None:
    network.add()
    vote(network, "a", "b", "c")

    blocks = list(network.connect().blocks(1, 2))

    assert [(one.number, one.transactions[0].function) for one in blocks] == [(1, "a"), (2, "b")]


def test_a_broken_block_stream_goes_on_without_gap_or_repeat(network: Network) -> None:
    peer = network.add()
    vote(network, "a", "b", "c", "d")
    peer.break_after.extend([2, 1, None])

    numbers = [block.number for block in network.connect().blocks(0, 4)]

    assert numbers == [0, 1, 2, 3, 4]


def test_blocks_without_a_stop_follow_the_chain_until_closed(network: Network) -> None:
    network.add()
    blocks = network.connect().blocks(1)

    vote(network, "a")
    assert next(blocks).number == 1
    vote(network, "b")
    assert next(blocks).number == 2
    blocks.close()

    assert list(blocks) == []


def test_a_refused_block_stream_says_so(network: Network) -> None:
    network.add().script("Deliver", Failure(UNAVAILABLE, "forbidden"))

    with pytest.raises(StreamError) as caught:
        next(network.connect().blocks(0, 1))

    assert caught.value.code == "FORBIDDEN"


def test_the_height_is_the_own_peers(network: Network) -> None:
    network.add()
    vote(network, "a", "b")

    assert network.connect().height() == 3
