"""The real server over real gRPC on loopback, against the fake peer."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator

import grpc
import pytest

from network.shim.errors import PeerHungUpError, ShimError
from network.shim.server import ChaincodeServer, PlainTextForTests, ServerTls, check_loopback
from network.shim.stub import LedgerStub
from tests.support.certificate_authority import Authority
from tests.support.fake_peer import DialledPeer, FakePeer

Serve = Callable[..., DialledPeer]


class VoteError(Exception):
    """A contract's ordinary way to say no, in these tests."""


def contract(ledger: LedgerStub) -> bytes:
    """Do what the first argument says."""
    function, *args = ledger.args
    if function == b"count":
        value = int(ledger.get_state(args[0].decode()) or b"0") + 1
        ledger.put_state(args[0].decode(), b"%d" % value)
        return b"%d" % value
    if function == b"echo":
        return args[0]
    if function == b"store":
        ledger.put_private("updates_NorthMSP", "chunk", ledger.transient["chunk"])
        ledger.set_event("stored", b"{}")
        return b""
    if function == b"refuse":
        ledger.put_state("a", b"never")
        ledger.set_event("never", b"")
        raise VoteError("round 4 is closed")
    if function == b"exit":
        raise SystemExit("contracts do not end the service")
    if function == b"text":
        return "text"  # type: ignore[return-value]
    raise LookupError(f"unknown function {function!r}")


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve a contract and dial it; everything is stopped afterwards."""
    opened: list[DialledPeer | ChaincodeServer] = []

    def start(
        handler: Callable[[LedgerStub], bytes] = contract,
        peer: FakePeer | None = None,
        workers: int = 8,
        **more: object,
    ) -> DialledPeer:
        server = ChaincodeServer(
            handler,
            package_id="federation_1:abc",
            address="127.0.0.1:0",
            tls=PlainTextForTests(),
            workers=workers,
            refusals=(VoteError,),
        )
        opened.append(server)
        port = server.start()
        dialled = DialledPeer(peer or FakePeer(), f"127.0.0.1:{port}", **more)  # type: ignore[arg-type]
        opened.append(dialled)
        dialled.wait_for(lambda: dialled.peer.package_id != "")
        return dialled

    yield start
    for one in reversed(opened):
        if isinstance(one, DialledPeer):
            one.close()
        else:
            one.stop(grace_s=0)


def test_a_transaction_runs_to_its_answer_and_its_writes(serve: Serve) -> None:
    dialled = serve()

    first = dialled.run("tx1", "count", "votes")
    second = dialled.run("tx2", "count", "votes")

    assert (first.status, first.payload) == (200, b"1")
    assert (second.status, second.payload) == (200, b"2")
    assert dialled.peer.state == {"votes": b"2"}


def test_transient_data_go_to_private_state_and_the_event_travels_with_the_answer(
    serve: Serve,
) -> None:
    dialled = serve()

    outcome = dialled.run("tx1", "store", transient={"chunk": bytes(range(256)) * 4096})

    assert outcome.event == ("stored", b"{}")
    assert dialled.peer.private == {("updates_NorthMSP", "chunk"): bytes(range(256)) * 4096}


def test_an_exception_in_a_contract_refuses_with_its_class_and_text_and_writes_nothing(
    serve: Serve,
) -> None:
    dialled = serve()

    outcome = dialled.run("tx1", "refuse")

    assert (outcome.status, outcome.message) == (500, "VoteError: round 4 is closed")
    assert outcome.event is None
    assert dialled.peer.state == {}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("exit", "SystemExit: contracts do not end the service"),
        ("text", "LocalProtocolError: the contract answered str, not bytes"),
        ("nothing like it", "LookupError: unknown function b'nothing like it'"),
    ],
)
def test_whatever_a_contract_does_the_transaction_gets_an_answer_and_the_service_lives(
    serve: Serve, function: str, message: str
) -> None:
    dialled = serve(workers=1)

    assert dialled.run("tx1", function).message == message
    assert dialled.run("tx2", "echo", "alive").payload == b"alive"


@pytest.mark.parametrize("new", [True, False], ids=["fabric 3", "fabric 2.5"])
def test_two_hundred_transactions_interleave_on_one_stream(serve: Serve, new: bool) -> None:
    # Every answer is held back until all 200 wait for one, then sent in a shuffled order: each
    # contract must get its own.
    peer = FakePeer(write_batch=new, get_multiple=new)
    peer.state = {f"key {n}": b"%d" % n for n in range(200)}
    dialled = serve(peer=peer, workers=200, hold=200, rng=random.Random(1))

    for number in range(200):
        dialled.start(f"tx{number}", "count", f"key {number}")
    payloads = [dialled.outcome(f"tx{number}").payload for number in range(200)]

    assert payloads == [b"%d" % (number + 1) for number in range(200)]
    assert peer.state == {f"key {n}": b"%d" % (n + 1) for n in range(200)}


def test_more_transactions_than_workers_wait_for_their_turn(serve: Serve) -> None:
    dialled = serve(workers=2)

    for number in range(20):
        dialled.start(f"tx{number}", "count", f"key {number}")

    assert {dialled.outcome(f"tx{number}").payload for number in range(20)} == {b"1"}


def test_a_keepalive_is_echoed(serve: Serve) -> None:
    dialled = serve()

    dialled.send(dialled.peer.keepalive())

    dialled.wait_for(lambda: dialled.peer.keepalives == 1)


def test_large_arguments_and_answers_pass(serve: Serve) -> None:
    # Python's gRPC would stop at 4 MB unless told otherwise.
    dialled = serve()
    large = bytes(9_000_000)

    assert dialled.run("tx1", "echo", large).payload == large


def test_a_peer_that_hangs_up_wakes_every_waiting_transaction(serve: Serve) -> None:
    woken: list[type[BaseException]] = []
    all_woken = threading.Semaphore(0)

    def waiting(ledger: LedgerStub) -> bytes:
        try:
            return ledger.get_state("never answered")
        except BaseException as error:
            woken.append(type(error))
            raise
        finally:
            all_woken.release()

    dialled = serve(waiting, hold=1_000)
    for number in range(5):
        dialled.start(f"tx{number}")
    dialled.wait_for(lambda: len(dialled.peer.asked) == 5)

    dialled.hang_up()

    for _ in range(5):
        assert all_woken.acquire(timeout=10)
    assert woken == [PeerHungUpError] * 5


def test_a_peer_may_dial_again_after_it_hung_up(serve: Serve) -> None:
    dialled = serve()
    dialled.hang_up()

    again = DialledPeer(FakePeer(), dialled.target)

    assert again.run("tx1", "count", "votes").payload == b"1"
    again.close()


def test_two_peers_share_a_service_and_see_only_their_own_ledger(serve: Serve) -> None:
    first = serve()
    second = DialledPeer(FakePeer(), first.target)

    first.run("tx1", "count", "votes")
    outcome = second.run("tx1", "count", "votes")

    assert outcome.payload == b"1"
    second.close()


def test_a_peer_that_breaks_the_rules_loses_its_stream(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    dialled = serve()

    dialled.send(b"\xff\xff no message")

    dialled.wait_for(lambda: dialled.ended)
    assert dialled.error is None  # ended in good order, as a hint to dial again
    assert "gave up a peer's stream" in caplog.text
    assert "no message" not in caplog.text


def test_payloads_and_exception_texts_are_never_logged(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    dialled = serve()

    dialled.run("tx1", "store", transient={"chunk": b"s3cret"})
    dialled.run("tx2", "s3cret function")
    dialled.run("tx3", "echo", "s3cret")

    assert "a contract failed with LookupError at" in caplog.text
    assert "s3cret" not in caplog.text


def test_an_ordinary_refusal_is_not_logged_as_a_failure(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    dialled = serve()

    dialled.run("tx1", "refuse")

    assert "failed" not in caplog.text


def tls_server(server_name: str = "chaincode") -> tuple[Authority, ChaincodeServer]:
    authority = Authority()
    issued = authority.issue(server_name)
    server = ChaincodeServer(
        contract,
        package_id="federation_1:abc",
        address="127.0.0.1:0",
        tls=ServerTls(issued.certificate_pem, issued.key_pem, authority.root_pem),
    )
    return authority, server


def test_a_peer_with_a_certificate_of_the_members_ca_is_served() -> None:
    authority, server = tls_server()
    port = server.start()
    peer = authority.issue("peer")
    credentials = grpc.ssl_channel_credentials(
        authority.root_pem, peer.key_pem, peer.certificate_pem
    )

    dialled = DialledPeer(FakePeer(), f"127.0.0.1:{port}", credentials=credentials)

    assert dialled.run("tx1", "echo", "hello").payload == b"hello"
    dialled.close()
    server.stop(0)


@pytest.mark.parametrize("certificate", ["none", "foreign"])
def test_a_peer_without_a_certificate_of_the_members_ca_is_not_served(certificate: str) -> None:
    authority, server = tls_server()
    port = server.start()
    stranger = Authority("stranger").issue("peer")
    key, chain = (
        (None, None) if certificate == "none" else (stranger.key_pem, stranger.certificate_pem)
    )

    dialled = DialledPeer(
        FakePeer(),
        f"127.0.0.1:{port}",
        credentials=grpc.ssl_channel_credentials(authority.root_pem, key, chain),
    )

    dialled.wait_for(lambda: dialled.ended)
    assert dialled.error is not None
    assert dialled.error.code() is grpc.StatusCode.UNAVAILABLE
    assert dialled.peer.package_id == ""
    dialled.close()
    server.stop(0)


@pytest.mark.parametrize("missing", ["certificate_pem", "key_pem", "client_roots_pem"])
def test_a_missing_part_of_tls_is_refused_and_never_a_weaker_connection(missing: str) -> None:
    parts = {"certificate_pem": b"c", "key_pem": b"k", "client_roots_pem": b"r", missing: b""}

    with pytest.raises(ValueError, match=missing):
        ServerTls(**parts)


def test_a_key_is_not_in_the_repr_of_tls_settings() -> None:
    assert "s3cret" not in repr(ServerTls(b"c", b"s3cret", b"r"))


@pytest.mark.parametrize("address", ["0.0.0.0:7052", "[::]:7052", "192.0.2.1:7052", "north:7052"])
def test_plain_text_is_refused_on_an_address_that_is_not_loopback(address: str) -> None:
    with pytest.raises(ValueError, match="plain text is for tests on loopback"):
        check_loopback(address)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:7052", "localhost:7052"])
def test_plain_text_may_be_served_on_loopback(address: str) -> None:
    assert check_loopback(address) == address


def test_an_address_in_use_is_an_error_that_names_it(serve: Serve) -> None:
    dialled = serve()
    address = dialled.target
    second = ChaincodeServer(contract, package_id="p", address=address, tls=PlainTextForTests())

    with pytest.raises(ShimError, match=address):
        second.start()


def test_stopping_the_service_ends_its_streams() -> None:
    server = ChaincodeServer(
        contract, package_id="p", address="127.0.0.1:0", tls=PlainTextForTests()
    )
    dialled = DialledPeer(FakePeer(), f"127.0.0.1:{server.start()}")
    dialled.wait_for(lambda: dialled.peer.package_id != "")

    server.stop()

    dialled.wait_for(lambda: dialled.ended)
    dialled.close()
