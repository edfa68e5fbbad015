"""The client's side of Fabric: calls through peers' gateways, events and blocks.

with Gateway.connect(addresses, identity, client_tls=tls, channel="consortium") as gateway:
    contract = gateway.contract("federation")
    answer = contract.evaluate("studies")
    committed = contract.submit("open_round", "lungs", "1")
"""

from network.gateway.contract import Commit, Committed, Contract, Proposal, Spread, Transaction
from network.gateway.errors import (
    ClockError,
    CommitError,
    CommitStatusError,
    EndorseError,
    EvaluateError,
    GatewayCallError,
    PeerDetail,
    PeerRefusedError,
    StreamError,
    SubmitError,
)
from network.gateway.events import ChaincodeEvent, ChaincodeEventStream
from network.gateway.gateway import Gateway
from network.gateway.settings import ClientTls, GatewayAddress, Retry, Timeouts

__all__ = [
    "ChaincodeEvent",
    "ChaincodeEventStream",
    "ClientTls",
    "ClockError",
    "Commit",
    "CommitError",
    "CommitStatusError",
    "Committed",
    "Contract",
    "EndorseError",
    "EvaluateError",
    "Gateway",
    "GatewayAddress",
    "GatewayCallError",
    "PeerDetail",
    "PeerRefusedError",
    "Proposal",
    "Retry",
    "Spread",
    "StreamError",
    "SubmitError",
    "Timeouts",
    "Transaction",
]
