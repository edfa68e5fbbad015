"""A share sum offered to another member's gateway is known to that member, whatever becomes of it.

The proposal carries it in its transient map, which the gateway reads before any peer endorses. So
a share sum leaves through the own peer's gateway alone. Over Fabric the ledger holds the same rule
(tests/unit/network/gateway); here it is held that the client asks for it.
"""

from __future__ import annotations

from typing import Any

import pytest

from peer_client.ledgers.ledger import LedgerCommit
from tests.support.hospitals import MSPS, MemoryConsortium, play
from tests.support.wrapped_ledger import WrappedLedger


class FallingBack(WrappedLedger):
    """A hospital's ledger whose own gateway is away: what may go elsewhere goes to a colluder's."""

    def __init__(self, ledger: Any, *, own_gateway_kept: bool = True) -> None:
        super().__init__(ledger)
        self._own_gateway_kept = own_gateway_kept
        self.seen_by_the_colluder: list[tuple[str, str]] = []

    def submit(self, function: str, *args: str, **how: Any) -> LedgerCommit:
        kept = how.get("own_gateway_only") and self._own_gateway_kept
        stays = how.get("own_peer_only") or kept
        if not stays:
            self.seen_by_the_colluder += [(function, name) for name in how.get("transient") or {}]
        return super().submit(function, *args, **how)


@pytest.fixture
def consortium(memory: MemoryConsortium) -> MemoryConsortium:
    return memory


def played_by(consortium: MemoryConsortium, ledger: FallingBack) -> list[tuple[str, str]]:
    parts = consortium.parts(1)
    parts[MSPS[0]] = consortium.part(MSPS[0], 1, ledger=ledger)
    play(consortium, parts)
    assert consortium.records(1).record.state == "PUBLISHED"
    return ledger.seen_by_the_colluder


def test_of_what_a_client_sends_another_gateway_sees_nothing_secret(
    consortium: MemoryConsortium,
) -> None:
    seen = played_by(consortium, FallingBack(consortium.ledger(MSPS[0])))

    # The public sealing key, encrypted chunks, the summed key check: all of them public.
    assert {name for _, name in seen} <= {"sealing_key", "chunk", "check_sum"}
    assert ("join_round", "sealing_key") in seen


def test_switched_off_own_gateway_shows_the_share_sum_to_a_colluder(
    consortium: MemoryConsortium,
) -> None:
    ledger = FallingBack(consortium.ledger(MSPS[0]), own_gateway_kept=False)

    assert ("submit_share_sum", "share_sum") in played_by(consortium, ledger)
