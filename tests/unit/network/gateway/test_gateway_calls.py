"""The client against scripted gateways over real gRPC with mutual TLS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import grpc
import pytest

from network.errors import NetworkError
from network.gateway import (
    CommitError,
    CommitStatusError,
    EndorseError,
    EvaluateError,
    Gateway,
    GatewayAddress,
    PeerDetail,
    PeerRefusedError,
    Retry,
    StreamError,
    SubmitError,
    Timeouts,
)
from tests.support.certificate_authority import Authority
from tests.support.fake_chain import MVCC, FakeChain, Result
from tests.support.fake_gateway import CHAINCODE, Failure, FakeGateway, client_tls

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
ABORTED = grpc.StatusCode.ABORTED

REFUSED = Failure(
    ABORTED,
    "failed to endorse transaction, see attached details for more info",
    (("south:7051", "SouthMSP", "chaincode response 500, RoundClosed: round 4 is closed"),),
)


@dataclass
class Network:
    """Gateways of one channel and what a client needs for them."""

    authority: Authority = field(default_factory=Authority)
    chain: FakeChain = field(default_factory=FakeChain)
    gateways: list[FakeGateway] = field(default_factory=list)
    opened: list[Gateway] = field(default_factory=list)
    pauses_s: list[float] = field(default_factory=list)

    def add(self) -> FakeGateway:
        gateway = FakeGateway(self.chain, self.authority)
        gateway.start()
        self.gateways.append(gateway)
        return gateway

    def connect(self, *addresses: GatewayAddress, attempts: int = 4) -> Gateway:
        client = self.authority.issue("client")
        gateway = Gateway.connect(
            addresses or [one.address for one in self.gateways],
            client.identity("NorthMSP"),
            client_tls=client_tls(client),
            channel="consortium",
            timeouts=Timeouts(
                evaluate_s=5, endorse_s=5, submit_s=5, commit_status_s=1, commit_check_s=0.3
            ),
            retry=Retry(attempts=attempts, first_s=0.01),
            sleep=self.pauses_s.append,
        )
        self.opened.append(gateway)
        return gateway


@pytest.fixture
def network() -> Iterator[Network]:
    network = Network()
    yield network
    for opened in network.opened:
        opened.close()
    for gateway in network.gateways:
        gateway.close()


def dead_address(network: Network) -> GatewayAddress:
    """Where nobody listens."""
    gateway = FakeGateway(network.chain, network.authority)
    address = gateway.start()
    gateway.close()
    return address


def test_evaluate_returns_the_chaincodes_answer_and_writes_nothing(network: Network) -> None:
    network.add()

    assert network.connect().contract(CHAINCODE).evaluate("studies", "a") == b"did studies"

    assert len(network.chain.blocks) == 1


def test_submit_climbs_the_ladder_and_returns_where_the_transaction_is(network: Network) -> None:
    peer = network.add()

    committed = network.connect().contract(CHAINCODE).submit("open_round", "lungs", b"\xff")

    assert committed.payload == b"did open_round"
    assert committed.block_number == 1
    assert network.chain.placed[committed.transaction_id] == (1, 0)
    assert [call for call, _, _ in peer.calls] == ["Endorse", "Submit", "CommitStatus"]
    assert {one for _, one, _ in peer.calls} == {committed.transaction_id}


def test_the_rungs_can_be_climbed_one_by_one(network: Network) -> None:
    peer = network.add()

    proposal = network.connect().contract(CHAINCODE).propose("vote", transient={"k": b"v"})
    transaction = proposal.endorse()
    assert transaction.payload == b"did vote"
    assert peer.made("Submit") == []
    commit = transaction.submit()
    committed = commit.status()

    assert committed.transaction_id == proposal.transaction_id
    assert len(network.chain.blocks) == 2


def test_transient_data_are_in_the_proposal_and_not_on_the_chain(network: Network) -> None:
    peer = network.add()

    network.connect().contract(CHAINCODE).submit("put_chunk", transient={"chunk": b"s3cret"})

    assert b"s3cret" in peer.calls[0][2]
    assert all(b"s3cret" not in one.SerializeToString() for one in network.chain.blocks)


def test_organisations_are_named_to_the_gateway(network: Network) -> None:
    peer = network.add()

    network.connect().contract(CHAINCODE).submit("put_chunk", organisations=["NorthMSP"])

    assert b"NorthMSP" in peer.calls[0][2]


def test_a_chaincodes_refusal_is_raised_at_once_with_its_words(network: Network) -> None:
    peer = network.add()
    peer.script("Endorse", REFUSED)

    with pytest.raises(EndorseError) as caught:
        network.connect().contract(CHAINCODE).submit("submit_update")

    error = caught.value
    assert error.refusal == "RoundClosed: round 4 is closed"
    assert error.code == "ABORTED"
    assert error.transaction_id == peer.made("Endorse")[0]
    assert error.details == (
        PeerDetail(
            "south:7051", "SouthMSP", "chaincode response 500, RoundClosed: round 4 is closed"
        ),
    )
    assert "SouthMSP at south:7051" in str(error)
    assert network.pauses_s == []


def test_a_refused_query_is_raised_with_the_chaincodes_words(network: Network) -> None:
    network.add().script(
        "Evaluate",
        Failure(
            grpc.StatusCode.UNKNOWN,
            "evaluate call to endorser returned error: chaincode response 500, "
            "UnknownStudy: there is no study hearts",
        ),
    )

    with pytest.raises(EvaluateError) as caught:
        network.connect().contract(CHAINCODE).evaluate("study", "hearts")

    assert caught.value.refusal == "UnknownStudy: there is no study hearts"


@pytest.mark.parametrize(
    "passing",
    [
        Failure(ABORTED, "failed to collect enough transaction endorsements"),
        Failure(ABORTED, "ProposalResponsePayloads do not match"),
        Failure(UNAVAILABLE, "a peer went away", (("south:7051", "SouthMSP", "gone"),)),
        Failure(
            grpc.StatusCode.FAILED_PRECONDITION,
            "no combination of peers can be derived which satisfy the endorsement policy",
        ),
    ],
)
def test_an_endorsement_that_fails_in_passing_is_proposed_anew_with_growing_pauses(
    network: Network, passing: Failure
) -> None:
    peer = network.add()
    peer.script("Endorse", passing, passing)

    committed = network.connect().contract(CHAINCODE).submit("aggregate")

    assert committed.block_number == 1
    assert len(set(peer.made("Endorse"))) == 3
    assert network.pauses_s == pytest.approx([0.01, 0.017])


def test_a_passing_failure_that_does_not_pass_is_raised_after_all_attempts(
    network: Network,
) -> None:
    peer = network.add()
    peer.script("Endorse", *[Failure(ABORTED, "heights differ")] * 4)

    with pytest.raises(EndorseError, match="heights differ"):
        network.connect(attempts=4).contract(CHAINCODE).submit("aggregate")

    assert len(peer.made("Endorse")) == 4


def test_a_single_rung_does_not_retry(network: Network) -> None:
    peer = network.add()
    peer.script("Endorse", Failure(ABORTED, "heights differ"))

    with pytest.raises(EndorseError):
        network.connect().contract(CHAINCODE).propose("aggregate").endorse()

    assert len(peer.made("Endorse")) == 1


def test_a_failure_that_will_not_pass_is_raised_at_once(network: Network) -> None:
    peer = network.add()
    peer.script("Endorse", Failure(grpc.StatusCode.PERMISSION_DENIED, "access denied"))

    with pytest.raises(EndorseError, match="access denied"):
        network.connect().contract(CHAINCODE).submit("aggregate")

    assert len(peer.made("Endorse")) == 1


LOST = Failure(
    UNAVAILABLE,
    "insufficient number of orderers could successfully process transaction to satisfy quorum "
    "requirement",
    (("orderer2:7050", "SouthMSP", "request already processed"),),
)


def test_after_a_lost_submit_the_commit_status_is_asked_before_anything_is_sent_again(
    network: Network,
) -> None:
    peer = network.add()
    peer.script("Submit", Failure(LOST.code, LOST.message, LOST.details, ordered=True))

    committed = network.connect().contract(CHAINCODE).submit("vote")

    assert committed.block_number == 1
    assert [call for call, _, _ in peer.calls] == ["Endorse", "Submit", "CommitStatus"]
    assert len(network.chain.blocks) == 2
    assert network.pauses_s == []


def test_a_submit_that_was_not_ordered_is_sent_again_as_the_same_bytes(network: Network) -> None:
    peer = network.add()
    peer.script("Submit", LOST)

    network.connect().contract(CHAINCODE).submit("vote")

    assert [call for call, _, _ in peer.calls] == [
        "Endorse",
        "Submit",
        "CommitStatus",
        "Submit",
        "CommitStatus",
    ]
    sent = [request for call, _, request in peer.calls if call == "Submit"]
    assert sent[0] == sent[1]
    assert len(network.chain.blocks) == 2


def test_a_lost_commit_status_resends_the_same_envelope_and_a_second_copy_changes_nothing(
    network: Network,
) -> None:
    peer = network.add()
    peer.script("CommitStatus", Failure(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer"))

    committed = network.connect().contract(CHAINCODE).submit("vote")

    sent = [request for call, _, request in peer.calls if call == "Submit"]
    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert committed.block_number == 1  # the first copy; the second is DUPLICATE_TXID in block 2
    assert network.chain.blocks[2].metadata.metadata[2] == bytes([9])


def test_a_submit_that_stays_lost_is_raised_with_what_the_ordering_nodes_said(
    network: Network,
) -> None:
    network.add().script("Submit", *[LOST] * 2)

    with pytest.raises(SubmitError) as caught:
        network.connect(attempts=2).contract(CHAINCODE).submit("vote")

    assert caught.value.details[0].message == "request already processed"
    assert caught.value.transaction_id


def test_a_submit_that_is_refused_outright_is_raised_at_once(network: Network) -> None:
    peer = network.add()
    peer.script("Submit", Failure(grpc.StatusCode.INVALID_ARGUMENT, "too large"))

    with pytest.raises(SubmitError, match="too large"):
        network.connect().contract(CHAINCODE).submit("vote")

    assert peer.made("CommitStatus") == []


def test_a_commit_status_that_never_comes_is_raised_with_the_id_to_ask_again(
    network: Network,
) -> None:
    peer = network.add()
    failure = Failure(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer")
    peer.script("CommitStatus", failure, failure)

    with pytest.raises(CommitStatusError) as caught:
        network.connect(attempts=2).contract(CHAINCODE).submit("vote")

    assert caught.value.transaction_id == peer.made("Submit")[0]


def test_an_invalid_transaction_is_raised_with_its_code_for_the_caller_to_decide(
    network: Network,
) -> None:
    peer = network.add()
    peer.next_codes.append(MVCC)

    with pytest.raises(CommitError) as caught:
        network.connect().contract(CHAINCODE).submit("vote")

    error = caught.value
    assert (error.code, error.block_number) == ("MVCC_READ_CONFLICT", 1)
    assert error.transaction_id == peer.made("Submit")[0]
    assert error.details == ()
    assert len(peer.made("Endorse")) == 1


def test_calls_fail_over_to_the_next_gateway_when_the_own_peer_is_down(network: Network) -> None:
    other = network.add()
    gateway = network.connect(dead_address(network), other.address)

    committed = gateway.contract(CHAINCODE).submit("vote")

    assert committed.block_number == 1
    assert gateway.contract(CHAINCODE).evaluate("studies") == b"did studies"


def test_a_refusal_by_the_own_peer_is_not_taken_to_another(network: Network) -> None:
    own, other = network.add(), network.add()
    own.script("Evaluate", Failure(grpc.StatusCode.UNKNOWN, "chaincode response 500, No: no"))

    with pytest.raises(EvaluateError):
        network.connect().contract(CHAINCODE).evaluate("study")

    assert other.calls == []


def test_a_submit_lost_with_its_gateway_is_looked_for_at_the_next_one(network: Network) -> None:
    own, other = network.add(), network.add()
    own.script("Submit", Failure(UNAVAILABLE, "connection reset", ordered=True))

    committed = network.connect().contract(CHAINCODE).submit("vote")

    assert committed.block_number == 1
    assert other.made("CommitStatus") == [committed.transaction_id]
    assert other.made("Submit") == []


def test_the_own_peer_is_asked_again_once_it_is_back(network: Network) -> None:
    own, other = network.add(), network.add()
    clock = [0.0]
    client = network.authority.issue("client")
    gateway = Gateway.connect(
        [own.address, other.address],
        client.identity("NorthMSP"),
        client_tls=client_tls(client),
        channel="consortium",
        timeouts=Timeouts(unreachable_s=10),
        monotonic=lambda: clock[0],
    )
    network.opened.append(gateway)
    contract = gateway.contract(CHAINCODE)

    own.script("Evaluate", Failure(UNAVAILABLE, "restarting"))
    contract.evaluate("a")
    contract.evaluate("b")
    clock[0] = 11.0
    contract.evaluate("c")

    assert len(own.made("Evaluate")) == 2
    assert len(other.made("Evaluate")) == 2


def test_when_no_gateway_answers_the_error_names_the_own_one(network: Network) -> None:
    own, other = dead_address(network), dead_address(network)

    with pytest.raises(EvaluateError) as caught:
        network.connect(own, other).contract(CHAINCODE).evaluate("studies")

    assert caught.value.code == "UNAVAILABLE"
    assert own.target in str(caught.value)


def test_a_gateway_with_a_foreign_certificate_is_not_spoken_to(network: Network) -> None:
    peer = network.add()
    impostor = GatewayAddress(peer.address.target, Authority("other").root_pem, "localhost")

    with pytest.raises(EvaluateError) as caught:
        network.connect(impostor).contract(CHAINCODE).evaluate("studies", "s3cret")

    assert caught.value.code == "UNAVAILABLE"
    assert peer.calls == []


def test_a_client_without_a_tls_certificate_is_refused_by_a_gateway_that_wants_one(
    network: Network,
) -> None:
    peer = network.add()
    gateway = Gateway.connect(
        [peer.address],
        network.authority.issue("client").identity("NorthMSP"),
        client_tls=None,
        channel="consortium",
    )
    network.opened.append(gateway)

    with pytest.raises(EvaluateError):
        gateway.contract(CHAINCODE).evaluate("studies")

    assert peer.calls == []


def test_an_identity_of_a_foreign_ca_is_refused_and_the_error_says_so(network: Network) -> None:
    peer = network.add()
    gateway = Gateway.connect(
        [peer.address],
        Authority("other").issue("mallory").identity("NorthMSP"),
        client_tls=client_tls(network.authority.issue("client")),
        channel="consortium",
    )
    network.opened.append(gateway)

    with pytest.raises(EvaluateError) as caught:
        gateway.contract(CHAINCODE).evaluate("studies")

    assert caught.value.code == "PERMISSION_DENIED"


def test_error_details_that_do_not_parse_are_reported_as_such(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = network.add()
    monkeypatch.setattr("tests.support.fake_gateway.encode_status", lambda _: b"\x1a\xff")
    peer.script("Evaluate", REFUSED)

    with pytest.raises(EvaluateError, match="do not parse"):
        network.connect().contract(CHAINCODE).evaluate("study")


def test_a_call_after_close_raises_the_rungs_own_error(network: Network) -> None:
    network.add()
    gateway = network.connect()
    gateway.close()

    with pytest.raises(EvaluateError, match="closed"):
        gateway.contract(CHAINCODE).evaluate("studies")


def test_process_asks_the_own_peer_without_a_channel(network: Network) -> None:
    network.add()

    assert network.connect().process("cscc", ["JoinChain", b"\x00\xff"]) == b"|JoinChain|\x00\xff"


def test_process_raises_what_the_peer_said(network: Network) -> None:
    network.add()

    with pytest.raises(PeerRefusedError, match="the peer does not want to") as caught:
        network.connect().process("cscc", ["refuse"])

    assert caught.value.code == "status 500"


def test_process_does_not_go_to_another_peer(network: Network) -> None:
    other = network.add()

    with pytest.raises(PeerRefusedError):
        network.connect(dead_address(network), other.address).process("cscc", ["JoinChain"])

    assert other.calls == []


def test_wait_committed_returns_once_every_members_peer_has_it(network: Network) -> None:
    peers = [network.add(), network.add(), network.add()]
    gateways = [network.connect(peer.address) for peer in peers]
    contract = gateways[0].contract(CHAINCODE)
    transaction_id = contract.submit("vote").transaction_id

    spread = contract.wait_committed(transaction_id, gateways, 2)

    assert spread.committed == tuple(peer.address.target for peer in peers)
    assert spread.unreachable == ()


def test_wait_committed_names_a_peer_that_lags(network: Network) -> None:
    own, slow = network.add(), network.add()
    slow.lags = True
    gateways = [network.connect(own.address), network.connect(slow.address)]
    contract = gateways[0].contract(CHAINCODE)
    transaction_id = contract.submit("vote").transaction_id

    with pytest.raises(CommitStatusError, match="1 of 2 peers") as caught:
        contract.wait_committed(transaction_id, gateways, 0.3)

    assert [detail.address for detail in caught.value.details] == [slow.address.target]


def test_wait_committed_reports_an_unreachable_peer_and_asks_no_other_in_its_place(
    network: Network,
) -> None:
    own = network.add()
    gone = dead_address(network)
    gateways = [network.connect(own.address), network.connect(gone, own.address)]
    contract = gateways[0].contract(CHAINCODE)
    transaction_id = contract.submit("vote").transaction_id

    spread = contract.wait_committed(transaction_id, gateways, 2)

    assert spread.committed == (own.address.target,)
    assert spread.unreachable == (gone.target,)


def vote(network: Network, *names: str) -> None:
    contract = network.connect(network.gateways[0].address).contract(CHAINCODE)
    for name in names:
        contract.submit(name)


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


def test_a_broken_event_stream_goes_on_at_another_gateway(network: Network) -> None:
    own, other = network.add(), network.add()
    vote(network, "a", "b")
    own.break_after.append(2)

    with network.connect().contract(CHAINCODE).events(start_block=0) as events:
        names = [next(events).name for _ in range(2)]

    assert names == ["a", "b"]
    assert len(other.made("ChaincodeEvents")) == 1


def test_closing_from_another_thread_ends_a_waiting_iteration(network: Network) -> None:
    network.add()
    events = network.connect().contract(CHAINCODE).events()
    got: list[object] = []
    reader = threading.Thread(target=lambda: got.extend(events))
    reader.start()
    deadline = time.monotonic() + 5
    while not network.gateways[0].made("ChaincodeEvents") and time.monotonic() < deadline:
        time.sleep(0.005)

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
    deadline = time.monotonic() + 5
    while not network.gateways[0].made("ChaincodeEvents") and time.monotonic() < deadline:
        time.sleep(0.005)
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


CALLS: list[Callable[[Gateway], object]] = [
    lambda gateway: gateway.contract(CHAINCODE).evaluate("f"),
    lambda gateway: gateway.contract(CHAINCODE).submit("f"),
    lambda gateway: gateway.contract(CHAINCODE).events(),
    lambda gateway: gateway.process("cscc", ["f"]),
    lambda gateway: gateway.commit_status("tx"),
    lambda gateway: list(gateway.blocks(0, 1)),
    lambda gateway: list(gateway.contract(CHAINCODE).events(0)),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("code", [one for one in grpc.StatusCode if one is not grpc.StatusCode.OK])
def test_no_exception_of_grpc_leaves_the_gateway(
    network: Network, call: Callable[[Gateway], object], code: grpc.StatusCode
) -> None:
    peer = network.add()
    for name in (
        "Evaluate",
        "Endorse",
        "ProcessProposal",
        "CommitStatus",
        "ChaincodeEvents",
        "Deliver",
    ):
        peer.script(name, Failure(code, "scripted"))

    with pytest.raises(NetworkError) as caught:
        call(network.connect(attempts=1))

    assert isinstance(caught.value.exit_code, int)
    assert caught.value.hint


def test_large_results_pass(network: Network) -> None:
    # Python's gRPC would stop at 4 MB unless told otherwise.
    peer = network.add()
    peer.chaincode = lambda args: Result(payload=bytes(9_000_000))

    assert len(network.connect().contract(CHAINCODE).evaluate("chunk")) == 9_000_000
