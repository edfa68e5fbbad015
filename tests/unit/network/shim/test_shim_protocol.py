"""The peer conversation, message by message, without I/O."""

from __future__ import annotations

import contextlib

import pytest
from fabric_protos.peer import chaincode_pb2, chaincode_shim_pb2, proposal_response_pb2
from hypothesis import example, given, settings
from hypothesis import strategies as st

from network.shim import requests
from network.shim.errors import LocalProtocolError, RemoteProtocolError
from network.shim.protocol import (
    MAX_MESSAGE_BYTES,
    MAX_REFUSAL_CHARACTERS,
    TRANSITIONS,
    Answered,
    KeepAlive,
    PeerAbilities,
    PeerReady,
    Refused,
    Registered,
    ShimConnection,
    State,
    TransactionKey,
    TransactionStarted,
)
from tests.support.fake_peer import CHANNEL, FakePeer

T = chaincode_shim_pb2.ChaincodeMessage
KEY = TransactionKey(CHANNEL, "tx1")


def ready_pair(**abilities: bool) -> tuple[ShimConnection, FakePeer]:
    peer = FakePeer(**abilities)
    connection = ShimConnection("federation_1:abc")
    for message in peer.take(connection.register()):
        connection.receive(message)
    return connection, peer


def running_pair(transaction_id: str = "tx1") -> tuple[ShimConnection, FakePeer]:
    connection, peer = ready_pair()
    connection.receive(peer.begin(transaction_id, "vote"))
    return connection, peer


def message(kind: int, transaction_id: str = "tx1", payload: bytes = b"") -> bytes:
    return T(
        type=kind, txid=transaction_id, channel_id=CHANNEL, payload=payload
    ).SerializeToString()


def test_the_chaincode_speaks_first_and_names_its_package() -> None:
    connection = ShimConnection("federation_1:abc")

    sent = T.FromString(connection.register())

    assert sent.type == T.REGISTER
    assert chaincode_pb2.ChaincodeID.FromString(sent.payload).name == "federation_1:abc"
    assert connection.state is State.REGISTERING


def test_registered_then_ready_makes_the_conversation_ready_with_the_peers_abilities() -> None:
    connection = ShimConnection("federation_1:abc")
    registered, ready = FakePeer(batch_max=7).take(connection.register())

    assert connection.receive(registered) == Registered()
    assert connection.state is State.ESTABLISHED
    assert connection.receive(ready) == PeerReady(PeerAbilities(True, 7, True, 7))
    assert connection.state is State.READY


def test_a_peer_of_fabric_2_that_sends_no_abilities_has_none() -> None:
    connection = ShimConnection("federation_1:abc")
    connection.register()
    connection.receive(message(T.REGISTERED))

    assert connection.receive(message(T.READY)) == PeerReady(PeerAbilities())


def test_registering_twice_is_refused_here() -> None:
    connection = ShimConnection("federation_1:abc")
    connection.register()

    with pytest.raises(LocalProtocolError, match="cannot register"):
        connection.register()


def test_a_transaction_brings_arguments_creator_time_and_transient_data() -> None:
    connection, peer = ready_pair()

    event = connection.receive(
        peer.begin("tx1", "put", b"\xff\x00", transient={"chunk": b"\x00\x01"}, msp_id="SouthMSP")
    )

    assert isinstance(event, TransactionStarted)
    assert event.key == KEY
    assert event.args == (b"put", b"\xff\x00")
    assert (event.creator.msp_id, event.creator.certificate_pem) == ("SouthMSP", b"a certificate")
    assert event.timestamp_s == 1_795_564_800
    assert event.transient == {"chunk": b"\x00\x01"}


def test_payloads_are_not_in_the_repr_of_an_event() -> None:
    connection, peer = ready_pair()

    event = connection.receive(peer.begin("tx1", "s3cret-arg", transient={"k": b"s3cret-chunk"}))

    assert "s3cret" not in repr(event)


def test_a_request_is_answered_once_and_then_another_may_be_sent() -> None:
    connection, peer = running_pair()
    peer.state["a"] = b"1"

    (answer,) = peer.take(connection.request(KEY, requests.get_state("a")))

    assert connection.receive(answer) == Answered(KEY, b"1")
    (answer,) = peer.take(connection.request(KEY, requests.get_state("b")))
    assert connection.receive(answer) == Answered(KEY, b"")


def test_a_second_request_before_the_answer_is_refused_here() -> None:
    connection, _ = running_pair()
    connection.request(KEY, requests.get_state("a"))

    with pytest.raises(LocalProtocolError, match="still waits for GET_STATE"):
        connection.request(KEY, requests.get_state("b"))


def test_transactions_of_two_channels_with_one_id_are_two() -> None:
    connection, peer = ready_pair()
    connection.receive(peer.begin("tx1", "a"))
    connection.receive(peer.begin("tx1", "a", channel="other"))

    connection.request(KEY, requests.get_state("a"))
    connection.request(TransactionKey("other", "tx1"), requests.get_state("a"))


def test_an_error_of_the_peer_names_what_was_asked() -> None:
    connection, peer = running_pair()
    peer.foreign_collections.add("updates_SouthMSP")

    (answer,) = peer.take(connection.request(KEY, requests.get_state("a", "updates_SouthMSP")))

    event = connection.receive(answer)
    assert isinstance(event, Refused)
    assert event.message.startswith("GET_STATE: private data matching public hash version")


def test_a_keepalive_is_answered_with_the_same_message_in_every_state_but_the_first() -> None:
    connection = ShimConnection("federation_1:abc")
    registered, ready = FakePeer().take(connection.register())
    alive = message(T.KEEPALIVE, "")

    assert connection.receive(alive) == KeepAlive(alive)
    connection.receive(registered)
    assert connection.receive(alive) == KeepAlive(alive)
    connection.receive(ready)
    assert connection.receive(alive) == KeepAlive(alive)


def test_completing_carries_status_200_the_answer_and_the_event() -> None:
    connection, _ = running_pair()

    sent = T.FromString(connection.complete(KEY, b"answer", ("round.closed", b"{}")))

    response = proposal_response_pb2.Response.FromString(sent.payload)
    assert (sent.type, sent.txid, sent.channel_id) == (T.COMPLETED, "tx1", CHANNEL)
    assert (response.status, response.payload) == (200, b"answer")
    assert sent.chaincode_event.event_name == "round.closed"
    assert sent.chaincode_event.payload == b"{}"


def test_refusing_is_completed_with_status_500_and_no_event() -> None:
    connection, _ = running_pair()

    sent = T.FromString(connection.refuse(KEY, "RoundClosed: round 4 is closed"))

    response = proposal_response_pb2.Response.FromString(sent.payload)
    assert sent.type == T.COMPLETED
    assert (response.status, response.message) == (500, "RoundClosed: round 4 is closed")
    assert not sent.HasField("chaincode_event")


def test_a_long_or_undecodable_refusal_still_travels() -> None:
    connection, _ = running_pair()

    sent = T.FromString(connection.refuse(KEY, "half a pair \ud800 " + "x" * 10_000))

    response = proposal_response_pb2.Response.FromString(sent.payload)
    assert len(response.message) == MAX_REFUSAL_CHARACTERS


def test_a_completed_transaction_is_over() -> None:
    connection, _ = running_pair()
    connection.complete(KEY, b"")

    with pytest.raises(LocalProtocolError, match="is not running"):
        connection.request(KEY, requests.get_state("a"))
    with pytest.raises(LocalProtocolError, match="is not running"):
        connection.complete(KEY, b"")


def test_a_request_above_the_peers_limit_is_refused_here_and_the_transaction_goes_on() -> None:
    connection, peer = running_pair()
    large = requests.Request(T.PUT_STATE, bytes(MAX_MESSAGE_BYTES))

    with pytest.raises(LocalProtocolError, match="PUT_STATE has 104857600 bytes"):
        connection.request(KEY, large)

    (answer,) = peer.take(connection.request(KEY, requests.get_state("a")))
    assert connection.receive(answer) == Answered(KEY, b"")


def test_an_answer_above_the_peers_limit_is_refused_here_and_can_still_be_refused_there() -> None:
    connection, _ = running_pair()

    with pytest.raises(LocalProtocolError, match="the answer has"):
        connection.complete(KEY, bytes(MAX_MESSAGE_BYTES))

    connection.refuse(KEY, "too large")


OUT_OF_TURN = [
    (state, kind)
    for state in (State.REGISTERING, State.ESTABLISHED, State.READY)
    for kind in T.Type.values()
    if (state, kind) not in TRANSITIONS
]


@pytest.mark.parametrize(("state", "kind"), OUT_OF_TURN)
def test_a_message_out_of_turn_ends_the_conversation(state: State, kind: int) -> None:
    connection = ShimConnection("federation_1:abc")
    registered, ready = FakePeer().take(connection.register())
    if state is not State.REGISTERING:
        connection.receive(registered)
    if state is State.READY:
        connection.receive(ready)

    with pytest.raises(RemoteProtocolError, match=T.Type.Name(kind)):
        connection.receive(message(kind))

    assert connection.state is State.CLOSED


def test_an_answer_to_nothing_ends_the_conversation() -> None:
    connection, _ = running_pair()

    with pytest.raises(RemoteProtocolError, match="asked nothing"):
        connection.receive(message(T.RESPONSE))


def test_an_answer_for_an_unknown_transaction_ends_the_conversation() -> None:
    connection, _ = running_pair()

    with pytest.raises(RemoteProtocolError, match="asked nothing"):
        connection.receive(message(T.ERROR, "tx2"))


def test_a_transaction_started_twice_ends_the_conversation() -> None:
    connection, peer = running_pair()

    with pytest.raises(RemoteProtocolError, match="running already"):
        connection.receive(peer.begin("tx1", "vote"))


def test_a_transaction_without_a_creator_ends_the_conversation() -> None:
    connection, _ = ready_pair()

    with pytest.raises(RemoteProtocolError, match="without a creator"):
        connection.receive(message(T.TRANSACTION))


def test_nothing_is_understood_after_the_end() -> None:
    connection, peer = running_pair()
    assert connection.close() == (KEY,)

    with pytest.raises(RemoteProtocolError, match="while the conversation is closed"):
        connection.receive(peer.keepalive())
    with pytest.raises(LocalProtocolError, match="conversation is closed"):
        connection.request(KEY, requests.get_state("a"))


def _some_messages() -> list[bytes]:
    peer = FakePeer()
    return [
        *peer.take(ShimConnection("p").register()),
        peer.begin("tx1", "put", b"\xff", transient={"chunk": b"\x00"}),
        peer.keepalive(),
        message(T.RESPONSE),
        message(T.ERROR),
    ]


SOME_MESSAGES = _some_messages()


@st.composite
def damaged_messages(draw: st.DrawFn) -> bytes:
    """A message that was right once, with bytes changed, cut or put in."""
    damaged = bytearray(draw(st.sampled_from(SOME_MESSAGES)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(damaged)))
        damaged[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(damaged)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200) | damaged_messages() | st.sampled_from(SOME_MESSAGES)))
@example([b"\xff"])
@example([b"\x2a\x03\x0a\x01\xff"])
def test_whatever_a_peer_sends_is_understood_or_refused_and_nothing_else(
    messages: list[bytes],
) -> None:
    connection = ShimConnection("federation_1:abc")
    connection.register()

    for encoded in messages:
        try:
            connection.receive(encoded)
        except RemoteProtocolError:
            assert connection.state is State.CLOSED
            break


@settings(deadline=None)
@given(damaged_messages())
def test_a_damaged_message_in_the_ready_state_is_understood_or_refused(damaged: bytes) -> None:
    connection, _ = running_pair("tx9")

    with contextlib.suppress(RemoteProtocolError):
        connection.receive(damaged)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_whatever_a_peer_answers_is_read_or_refused_and_nothing_else(answer: bytes) -> None:
    for read in (requests.read_page, requests.read_pair, requests.read_modification):
        with contextlib.suppress(RemoteProtocolError):
            read(answer)
    with contextlib.suppress(RemoteProtocolError):
        assert len(requests.read_values(answer, 3)) == 3
