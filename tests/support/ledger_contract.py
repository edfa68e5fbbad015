"""A small contract for tests of the network: `python -m tests.support.ledger_contract SETTINGS`.

Text functions `put KEY VALUE`, `get KEY`, `who`; `put_private COLLECTION KEY` takes its value from
the transient map; `get_private`, `private_hash`, `purge_private`. For what a shim must be able to
do: `increment KEY` reads and writes, `many KIND COUNT` writes composite keys, `count KIND`, `page
KIND SIZE BOOKMARK` and `history KEY` read them back, `echo` answers its bytes, `unread KEY VALUE`
shows that a transaction does not see its own write.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from network.shim.server import ServerTls, serve
from network.shim.stub import LedgerStub


def invoke(ledger: LedgerStub) -> bytes:
    """Call the function named by the first argument."""
    if ledger.args[0] == b"echo":
        return ledger.args[1]
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
    if name == "purge_private":
        ledger.purge_private(*args)
        return b""
    return read_and_write(ledger, name, args)


def read_and_write(ledger: LedgerStub, name: str, args: list[str]) -> bytes:
    """Call what reads before it writes, or reads more than one key."""
    if name == "increment":
        value = int(ledger.get_state(args[0]) or b"0") + 1
        ledger.put_state(args[0], b"%d" % value)
        return b"%d" % value
    if name == "unread":
        ledger.put_state(args[0], args[1].encode())
        ledger.flush()
        return ledger.get_state(args[0])
    if name == "many":
        for number in range(int(args[1])):
            ledger.put_state(f"\0{args[0]}\0{number:06d}\0", b"%d" % number)
        return b""
    if name == "count":
        return b"%d" % sum(1 for _ in ledger.states(args[0]))
    if name == "page":
        rows, bookmark = ledger.states_page(args[0], page_size=int(args[1]), bookmark=args[2])
        return json.dumps([[value.decode() for _, value in rows], bookmark]).encode()
    if name == "history":
        return json.dumps(
            [
                [one.value.decode(), one.is_delete, one.timestamp_s]
                for one in ledger.history(args[0])
            ]
        ).encode()
    if name == "get_several":
        return json.dumps([value.decode() for value in ledger.get_states(args)]).encode()
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
