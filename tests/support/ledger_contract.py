"""A small contract for tests of the network: `python -m tests.support.ledger_contract SETTINGS`.

Text functions `put KEY VALUE`, `get KEY`, `who`; `put_private COLLECTION KEY` takes its value from
the transient map; `get_private`, `private_hash`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from network.shim.server import ServerTls, serve
from network.shim.stub import LedgerStub


def invoke(ledger: LedgerStub) -> bytes:
    """Call the function named by the first argument."""
    name, *args = (argument.decode() for argument in ledger.args)
    if name == "put":
        key, value = args
        ledger.put_state(key, value.encode())
        ledger.set_event("put", key.encode())
        return value.encode()
    if name == "get":
        return ledger.get_state(*args)
    if name == "who":
        return json.dumps({"msp": ledger.creator.msp_id, "args": args}).encode()
    if name == "put_private":
        collection, key = args
        ledger.put_private(collection, key, ledger.transient["value"])
        return b""
    if name == "get_private":
        return ledger.get_private(*args)
    if name == "private_hash":
        return ledger.private_hash(*args).hex().encode()
    raise ValueError(f"no function {name}")


def main() -> None:
    """Serve until stopped."""
    settings = json.loads(Path(sys.argv[1]).read_text())
    tls = settings["tls"]
    serve(
        invoke,
        package_id=settings["package_id"],
        address=settings["address"],
        tls=ServerTls(
            Path(tls["certificate"]).read_bytes(),
            Path(tls["key"]).read_bytes(),
            Path(tls["client_root"]).read_bytes(),
        ),
    )


if __name__ == "__main__":
    main()
