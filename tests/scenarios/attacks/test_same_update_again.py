"""A round repeated with the same update and other contributors: the sums differ by the update."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from chaincode.memory_ledger import MemoryEndorseError
from chaincode.roundkey.shares import interpolate
from peer_client.sealing import (
    Journal,
    SealedUpload,
    UpdateSealedBeforeError,
    open_sum,
    seal_update_once,
)
from peer_client.update import update_digest
from tests.support.sealed_round import GENESIS_SHA256, SealedRound, entropy_of
from tests.unit.chaincode.contract.played import Played

VICTIM = "H001MSP"


@pytest.fixture
def journals(tmp_path: Path) -> Iterator[dict[str, Journal]]:
    with ExitStack() as stack:
        msps = SealedRound(4).msps
        yield {msp: stack.enter_context(Journal(tmp_path / msp, GENESIS_SHA256)) for msp in msps}


def _seal(played: SealedRound, msp: str, journal: Journal) -> SealedUpload:
    """What a client does: the update has a digest from before it was rounded."""
    change = np.random.default_rng(played.point_of[msp]).normal(0, 1, played.count)
    rounded = np.clip(np.rint(change * 40).astype(np.int64) + 159, 0, 318)
    played.values[msp] = rounded
    played.uploads[msp] = seal_update_once(
        rounded,
        parameters=played.parameters,
        round=played.transcript(msp),
        entropy=entropy_of((msp, played.number)),
        journal=journal,
        update_sha256=update_digest(change.astype(np.float32)),
        store=lambda payload: None,
    )
    return played.uploads[msp]


def _opened_sum(played: SealedRound, contributors: tuple[str, ...]) -> np.ndarray:
    senders = played.msps[-played.parameters.threshold :]
    return open_sum(
        played.sum_of(contributors),
        interpolate(played.share_sums(senders, contributors)),
        study=played.study,
        round_number=played.number,
        parameters=played.parameters,
        contributors=len(contributors),
    )


def test_a_spent_update_is_not_encrypted_for_another_round(journals: dict[str, Journal]) -> None:
    first, second = SealedRound(4, number=1), SealedRound(4, number=2)
    for msp in first.msps:
        _seal(first, msp, journals[msp])

    for msp in second.msps:
        with pytest.raises(
            UpdateSealedBeforeError, match="encrypted for round 1 of lungs and is spent"
        ):
            _seal(second, msp, journals[msp])


def test_switched_off_journal_shows_the_update_although_all_keys_are_fresh(
    journals: dict[str, Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Journal, "check_unspent", lambda *args: None)
    first, second = SealedRound(4, number=1), SealedRound(4, number=2, seed=9)
    for msp in first.msps:
        _seal(first, msp, journals[msp])
        _seal(second, msp, journals[msp])

    with_victim = _opened_sum(first, first.msps)
    without = _opened_sum(second, second.msps[1:])

    assert (with_victim - without == first.values[VICTIM]).all()


def test_a_restart_does_not_forget_what_is_spent(tmp_path: Path) -> None:
    played = SealedRound(4, number=1)
    with Journal(tmp_path / "journal", GENESIS_SHA256) as journal:
        _seal(played, VICTIM, journal)

    with (
        Journal(tmp_path / "journal", GENESIS_SHA256) as journal,
        pytest.raises(UpdateSealedBeforeError),
    ):
        _seal(SealedRound(4, number=2), VICTIM, journal)


def test_the_ledger_refuses_a_second_update_of_a_hospital() -> None:
    submitted = Played().to_submitting().update()

    with pytest.raises(MemoryEndorseError, match="SecondUpdateError"):
        submitted.put("EastMSP", submitted.uploads["EastMSP"])
