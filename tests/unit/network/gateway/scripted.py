"""A network of scripted gateways over real gRPC with mutual TLS, and what they are made to say."""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc

from network.gateway import Gateway, GatewayAddress, Retry, Timeouts
from tests.support.certificate_authority import Authority
from tests.support.fake_chain import FakeChain
from tests.support.fake_gateway import Failure, FakeGateway, client_tls

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


def dead_address(network: Network) -> GatewayAddress:
    """Where nobody listens."""
    gateway = FakeGateway(network.chain, network.authority)
    address = gateway.start()
    gateway.close()
    return address
