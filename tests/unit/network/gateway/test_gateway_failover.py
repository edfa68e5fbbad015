"""Which gateway the client goes to, and which it does not speak to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from network.gateway import EvaluateError, Gateway, GatewayAddress
from network.gateway.endpoints import Endpoint, Endpoints
from network.gateway.errors import CommitStatusError, EndorseError
from tests.support.certificate_authority import Authority
from tests.support.fake_gateway import CHAINCODE, Failure, client_tls
from tests.unit.network.gateway.scripted import UNAVAILABLE, Network, dead_address


def test_an_endorsement_may_go_to_another_gateway_but_no_answer_is_taken_from_it(
    network: Network,
) -> None:
    other = network.add()
    gateway = network.connect(dead_address(network), other.address)

    transaction = gateway.contract(CHAINCODE).propose("vote").endorse()
    transaction.submit()

    assert other.made("Endorse") == [transaction.transaction_id]
    with pytest.raises(CommitStatusError):
        gateway.commit_status(transaction.transaction_id, timeout_s=5)
    with pytest.raises(EvaluateError):
        gateway.contract(CHAINCODE).evaluate("studies")
    assert other.made("CommitStatus") == other.made("Evaluate") == []


def test_secret_bytes_are_not_shown_to_another_members_gateway(network: Network) -> None:
    other = network.add()
    gateway = network.connect(dead_address(network), other.address)
    proposal = gateway.contract(CHAINCODE).propose("answer", transient={"share_sum": b"secret"})

    with pytest.raises(EndorseError) as caught:
        proposal.endorse(own_gateway_only=True)

    assert caught.value.code == "UNAVAILABLE"
    assert other.calls == []


def test_switched_off_rule_shows_secret_bytes_to_another_members_gateway(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = network.add()
    gateway = network.connect(dead_address(network), other.address)
    proposal = gateway.contract(CHAINCODE).propose("answer", transient={"share_sum": b"secret"})
    monkeypatch.setattr(Endpoints, "call_at", lambda self, endpoint, call: self.call_any_of(call))

    def call_any_of(self: Endpoints, call: Callable[[Endpoint], Any]) -> Any:
        return call(self.in_order()[1])

    monkeypatch.setattr(Endpoints, "call_any_of", call_any_of, raising=False)

    proposal.endorse(own_gateway_only=True)

    assert other.made("Endorse") == [proposal.transaction_id]


def test_a_refusal_by_the_own_peer_is_not_taken_to_another(network: Network) -> None:
    own, other = network.add(), network.add()
    own.script("Evaluate", Failure(grpc.StatusCode.UNKNOWN, "chaincode response 500, No: no"))

    with pytest.raises(EvaluateError):
        network.connect().contract(CHAINCODE).evaluate("study")

    assert other.calls == []


def test_a_lost_submit_is_looked_for_at_the_own_peer_alone(network: Network) -> None:
    own, other = network.add(), network.add()
    own.script("Submit", Failure(UNAVAILABLE, "connection reset", ordered=True))

    committed = network.connect().contract(CHAINCODE).submit("vote")

    assert committed.block_number == 1
    assert own.made("CommitStatus") == [committed.transaction_id]
    assert other.made("CommitStatus") == other.made("Submit") == []


def test_a_question_that_the_own_peer_did_not_answer_is_asked_of_nobody_else(
    network: Network,
) -> None:
    own, other = network.add(), network.add()
    contract = network.connect().contract(CHAINCODE)
    own.script("Evaluate", Failure(UNAVAILABLE, "restarting"))

    with pytest.raises(EvaluateError):
        contract.evaluate("a")
    contract.evaluate("b")

    assert len(own.made("Evaluate")) == 2
    assert other.made("Evaluate") == []


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
