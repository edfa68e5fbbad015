"""Calls of the client against scripted gateways over real gRPC with mutual TLS."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import pytest

from network.errors import NetworkError
from network.gateway import (
    ClockError,
    CommitError,
    CommitStatusError,
    EndorseError,
    EvaluateError,
    Gateway,
    PeerDetail,
    PeerRefusedError,
    SubmitError,
)
from tests.support.fake_chain import MVCC, Result
from tests.support.fake_gateway import CHAINCODE, Failure
from tests.unit.network.gateway.scripted import ABORTED, REFUSED, UNAVAILABLE, Network, dead_address


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


#: A peer of Fabric 3.1.1 said so to a client an hour behind; the others say it after a prefix.
OFF_CLOCK = (
    "request unauthorized due to incorrect timestamp 2026-12-01T10:27:28Z, peer time "
    "2026-12-01T11:27:28Z, peer.authentication.timewindow 30s"
)


@pytest.mark.parametrize("call", ["Evaluate", "Endorse"])
def test_a_clock_that_is_off_is_named_at_once_with_whose_and_how_far(
    network: Network, call: str
) -> None:
    peer = network.add()
    details = (
        ("ucsd:1", "ucsdMSP", OFF_CLOCK),
        ("north:1", "northMSP", f"rpc error: code = Unknown desc = {OFF_CLOCK}"),
    )
    peer.script(call, Failure(ABORTED, "failed, see attached details", details))
    contract = network.connect().contract(CHAINCODE)

    with pytest.raises(ClockError, match="3600 s behind that of ucsdMSP, 3600 s behind") as raised:
        (contract.evaluate if call == "Evaluate" else contract.submit)("vote")

    assert raised.value.ahead_s == {"ucsdMSP": -3600.0, "northMSP": -3600.0}
    assert len(peer.made(call)) == 1


def test_a_peer_asked_directly_names_a_clock_that_is_off(network: Network) -> None:
    peer = network.add()
    peer.script("ProcessProposal", Failure(grpc.StatusCode.UNKNOWN, OFF_CLOCK))

    with pytest.raises(ClockError, match="3600 s behind"):
        network.connect().height()
