"""A hospital's ledger with something between it and the client; tests say what."""

from __future__ import annotations

from typing import Any

from peer_client.ledgers.ledger import LedgerCommit


class WrappedLedger:
    """Passes everything on; a test overrides what should differ."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def submit(self, function: str, *args: str, **how: Any) -> LedgerCommit:
        done: LedgerCommit = self._ledger.submit(function, *args, **how)
        return done
