"""The chaincode's side of Fabric: a contract as a service that peers dial.

def contract(ledger: LedgerStub) -> bytes: ...

serve(contract, package_id="federation_1:...", address="127.0.0.1:9999", tls=ServerTls(...))
"""

from network.shim.errors import (
    LocalProtocolError,
    PeerError,
    PeerHungUpError,
    RemoteProtocolError,
    ShimError,
)
from network.shim.server import ChaincodeServer, serve
from network.shim.settings import PlainTextForTests, ServerTls
from network.shim.stub import LedgerStub

__all__ = [
    "ChaincodeServer",
    "LedgerStub",
    "LocalProtocolError",
    "PeerError",
    "PeerHungUpError",
    "PlainTextForTests",
    "RemoteProtocolError",
    "ServerTls",
    "ShimError",
    "serve",
]
