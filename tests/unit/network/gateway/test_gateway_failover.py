"""Which gateway the client goes to, and which it does not speak to."""

from __future__ import annotations

import grpc
import pytest

from network.gateway import EvaluateError, Gateway, GatewayAddress, Timeouts
from tests.support.certificate_authority import Authority
from tests.support.fake_gateway import CHAINCODE, Failure, client_tls
from tests.unit.network.gateway.scripted import UNAVAILABLE, Network, dead_address


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
