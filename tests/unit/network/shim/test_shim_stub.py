"""The stub's calls against the fake peer, without I/O."""

from __future__ import annotations

import hashlib

import pytest

from network.shim.errors import LocalProtocolError, PeerError
from network.shim.protocol import Answered, Refused, ShimConnection, TransactionStarted
from network.shim.requests import Request
from network.shim.stub import BATCH_BYTES, LedgerStub
from network.shim.written import SMALLEST_BYTES, WrittenValues
from tests.support.fake_peer import FakePeer


class Conversation:
    """A connection and a peer with nothing between them."""

    def __init__(self, peer: FakePeer) -> None:
        self.peer = peer
        self.connection = ShimConnection("federation_1:abc")
        self.asked: list[str] = []
        for message in peer.take(self.connection.register()):
            self.connection.receive(message)

    def begin(
        self,
        transaction_id: str,
        batch_bytes: int = BATCH_BYTES,
        written: WrittenValues | None = None,
    ) -> LedgerStub:
        started = self.connection.receive(self.peer.begin(transaction_id, "f"))
        assert isinstance(started, TransactionStarted)
        key = started.key

        def ask(request: Request) -> bytes:
            self.asked.append(request.name)
            (answer,) = self.peer.take(self.connection.request(key, request))
            event = self.connection.receive(answer)
            if isinstance(event, Refused):
                raise PeerError(event.message)
            assert isinstance(event, Answered)
            return event.payload

        return LedgerStub(
            started, self.connection.abilities, ask, written=written, batch_bytes=batch_bytes
        )

    def complete(self, stub: LedgerStub) -> None:
        stub.flush()
        key = stub._started.key
        self.peer.take(self.connection.complete(key, b"", stub.event))


@pytest.fixture(params=["fabric 3.1", "fabric 2.5"])
def conversation(request: pytest.FixtureRequest) -> Conversation:
    new = request.param == "fabric 3.1"
    return Conversation(FakePeer(write_batch=new, get_multiple=new))


def composite(*parts: str) -> str:
    return "\x00" + "".join(part + "\x00" for part in parts)


def test_a_read_does_not_see_the_transactions_own_write(conversation: Conversation) -> None:
    conversation.peer.state["a"] = b"old"
    stub = conversation.begin("tx1")

    stub.put_state("a", b"new")
    stub.put_state("b", b"new")
    stub.flush()

    assert stub.get_state("a") == b"old"
    assert stub.get_state("b") == b""


def test_writes_are_on_the_ledger_once_completed(conversation: Conversation) -> None:
    conversation.peer.state["gone"] = b"1"
    stub = conversation.begin("tx1")

    stub.put_state("a", b"\x00\xff")
    stub.put_state("a", b"last")
    stub.delete_state("gone")
    conversation.complete(stub)

    assert conversation.peer.state == {"a": b"last"}


def test_several_keys_are_read_in_order_with_empty_for_absent(conversation: Conversation) -> None:
    conversation.peer.state.update(a=b"1", c=b"3")

    assert conversation.begin("tx1").get_states(["c", "b", "a"]) == [b"3", b"", b"1"]


def test_keys_and_writes_are_cut_to_what_the_peer_takes_in_one_message() -> None:
    conversation = Conversation(FakePeer(batch_max=3))
    stub = conversation.begin("tx1")

    for number in range(7):
        stub.put_state(f"key {number}", b"%d" % number)
    conversation.complete(stub)

    assert conversation.peer.asked == ["WRITE_BATCH_STATE"] * 3
    assert conversation.begin("tx2").get_states([f"key {n}" for n in range(7)]) == [
        b"%d" % n for n in range(7)
    ]
    assert conversation.peer.asked[3:] == ["GET_STATE_MULTIPLE"] * 3


def test_large_writes_are_sent_in_parts_before_a_message_grows_too_large() -> None:
    conversation = Conversation(FakePeer())
    stub = conversation.begin("tx1", batch_bytes=100)

    for number in range(5):
        stub.put_private("updates", str(number), bytes(34))
    conversation.complete(stub)

    assert conversation.peer.asked == ["WRITE_BATCH_STATE"] * 3
    assert len(conversation.peer.private) == 5


def test_a_composite_prefix_yields_its_keys_in_order_and_no_others(
    conversation: Conversation,
) -> None:
    for study in ("lungs", "lungs2", "hearts"):
        for number in (2, 1, 10):
            conversation.peer.state[composite("round", study, f"{number:06d}")] = b"%d" % number
    conversation.peer.state["lungs"] = b"a plain key"

    rows = list(conversation.begin("tx1").states("round", "lungs"))

    assert rows == [(composite("round", "lungs", f"{n:06d}"), b"%d" % n) for n in (1, 2, 10)]


def test_own_writes_are_not_merged_into_a_prefix(conversation: Conversation) -> None:
    stub = conversation.begin("tx1")
    stub.put_state(composite("round", "lungs", "000001"), b"1")

    assert list(stub.states("round", "lungs")) == []


def test_a_range_may_be_read_while_other_keys_are_read_in_between(
    conversation: Conversation,
) -> None:
    for number in range(5):
        conversation.peer.state[composite("k", str(number))] = b"%d" % number
    stub = conversation.begin("tx1")

    values = [(value, stub.get_state(key)) for key, value in stub.states("k")]

    assert values == [(b"%d" % n, b"%d" % n) for n in range(5)]


def test_an_iterator_given_up_early_is_closed_at_the_peer_before_the_next_request(
    conversation: Conversation,
) -> None:
    for number in range(5):
        conversation.peer.state[composite("k", str(number))] = b""
    stub = conversation.begin("tx1")

    rows = stub.states("k")
    next(rows)
    rows.close()
    stub.get_state("a")

    assert conversation.peer.asked[-2:] == ["QUERY_STATE_CLOSE", "GET_STATE"]


def test_pages_follow_each_other_by_bookmark_until_it_is_empty(conversation: Conversation) -> None:
    for number in range(7):
        conversation.peer.state[composite("k", str(number))] = b"%d" % number
    stub = conversation.begin("tx1")

    pages, bookmark = [], ""
    while True:
        rows, bookmark = stub.states_page("k", page_size=3, bookmark=bookmark)
        pages.append([value for _, value in rows])
        if not bookmark:
            break

    assert pages == [[b"0", b"1", b"2"], [b"3", b"4", b"5"], [b"6"]]


def test_a_page_without_rows_is_refused(conversation: Conversation) -> None:
    with pytest.raises(LocalProtocolError, match="at least 1 row, not 0"):
        conversation.begin("tx1").states_page("k", page_size=0)


def test_an_empty_range_start_skips_the_composite_keys(conversation: Conversation) -> None:
    conversation.peer.state.update({composite("k", "1"): b"c", "b": b"2", "a": b"1"})

    rows = list(conversation.begin("tx1").simple_states())

    assert rows == [("a", b"1"), ("b", b"2")]


def test_history_is_newest_first_with_time_and_deletion(conversation: Conversation) -> None:
    for transaction_id, value in (("tx1", b"1"), ("tx2", b"2")):
        stub = conversation.begin(transaction_id)
        stub.put_state("a", value)
        conversation.complete(stub)
    stub = conversation.begin("tx3")
    stub.delete_state("a")
    conversation.complete(stub)

    changes = list(conversation.begin("tx4").history("a"))

    assert [(c.transaction_id, c.value, c.is_delete, c.timestamp_s) for c in changes] == [
        ("tx3", b"", True, 1_795_564_800),
        ("tx2", b"2", False, 1_795_564_800),
        ("tx1", b"1", False, 1_795_564_800),
    ]


def test_private_values_have_hashes_and_can_be_purged(conversation: Conversation) -> None:
    stub = conversation.begin("tx1")
    stub.put_private("updates_NorthMSP", "chunk", b"\x00\x01")
    conversation.complete(stub)

    stub = conversation.begin("tx2")
    assert stub.get_private("updates_NorthMSP", "chunk") == b"\x00\x01"
    assert stub.get_privates("updates_NorthMSP", ["chunk", "x"]) == [b"\x00\x01", b""]
    digest = stub.private_hash("updates_NorthMSP", "chunk")
    assert digest == hashlib.sha256(b"\x00\x01").digest()
    assert stub.private_hash("updates_NorthMSP", "x") == b""
    stub.purge_private("updates_NorthMSP", "chunk")
    conversation.complete(stub)

    assert conversation.peer.private == {}
    assert conversation.peer.state == {}


def test_a_private_value_written_before_is_asked_for_by_its_hash_alone(
    conversation: Conversation,
) -> None:
    written, chunk = WrittenValues(bytes_max=2**20), bytes(SMALLEST_BYTES)
    first = conversation.begin("tx1", written=written)
    first.put_private("updates_NorthMSP", "chunk", chunk)
    conversation.complete(first)
    conversation.asked.clear()

    second = conversation.begin("tx2", written=written)

    assert second.get_private("updates_NorthMSP", "chunk") == chunk
    assert conversation.asked == ["GET_PRIVATE_DATA_HASH"]


def test_a_private_value_of_another_hash_than_was_written_comes_from_the_peer(
    conversation: Conversation,
) -> None:
    written = WrittenValues(bytes_max=2**20)
    never_committed = conversation.begin("tx1", written=written)
    never_committed.put_private("updates_NorthMSP", "chunk", bytes(SMALLEST_BYTES))
    conversation.peer.private["updates_NorthMSP", "chunk"] = b"another's"

    stub = conversation.begin("tx2", written=written)

    assert stub.get_private("updates_NorthMSP", "chunk") == b"another's"
    assert stub.get_private("updates_NorthMSP", "absent") == b""


def test_a_purged_private_value_is_not_found_again(conversation: Conversation) -> None:
    written = WrittenValues(bytes_max=2**20)
    first = conversation.begin("tx1", written=written)
    first.put_private("updates_NorthMSP", "chunk", bytes(SMALLEST_BYTES))
    conversation.complete(first)
    second = conversation.begin("tx2", written=written)
    second.purge_private("updates_NorthMSP", "chunk")
    conversation.complete(second)

    third = conversation.begin("tx3", written=written)

    assert third.get_private("updates_NorthMSP", "chunk") == b""


def test_a_private_delete_reaches_the_collection(conversation: Conversation) -> None:
    conversation.peer.private["c", "k"] = b"1"
    stub = conversation.begin("tx1")

    stub.delete_private("c", "k")
    conversation.complete(stub)

    assert conversation.peer.private == {}


def test_what_the_peer_refuses_is_raised_with_its_words(conversation: Conversation) -> None:
    conversation.peer.foreign_collections.add("updates_SouthMSP")
    stub = conversation.begin("tx1")

    with pytest.raises(PeerError, match="private data matching public hash version"):
        stub.get_private("updates_SouthMSP", "chunk")

    assert stub.get_state("a") == b""  # the transaction can go on


def test_a_keys_own_policy_is_written_as_its_metadata(conversation: Conversation) -> None:
    stub = conversation.begin("tx1")

    stub.set_key_policy("a", b"policy")
    conversation.complete(stub)

    assert conversation.peer.metadata == {("a", "VALIDATION_PARAMETER"): b"policy"}


def test_the_last_event_set_is_the_transactions_event(conversation: Conversation) -> None:
    stub = conversation.begin("tx1")

    stub.set_event("first", b"1")
    stub.set_event("second", b"2")
    conversation.complete(stub)

    assert conversation.peer.outcomes["tx1"].event == ("second", b"2")


@pytest.mark.parametrize(
    "write",
    [
        lambda stub: stub.put_state("", b"1"),
        lambda stub: stub.put_state(b"key", b"1"),
        lambda stub: stub.put_state("key", "text"),
        lambda stub: stub.put_state("key", None),
        lambda stub: stub.put_private("", "key", b"1"),
        lambda stub: stub.purge_private("", "key"),
        lambda stub: stub.private_hash("", "key"),
        lambda stub: stub.set_event("", b""),
        lambda stub: stub.set_event("name", "text"),
        lambda stub: stub.get_state("half a pair \ud800"),
        lambda stub: list(stub.states("a\x00b")),
    ],
)
def test_what_cannot_be_sent_is_refused_before_it_is(
    conversation: Conversation, write: object
) -> None:
    stub = conversation.begin("tx1")

    with pytest.raises(LocalProtocolError):
        write(stub)  # type: ignore[operator]

    assert conversation.peer.asked == []
