"""A client is stopped anywhere and started again; it goes on where the ledger stands."""

from __future__ import annotations

from typing import Any

import pytest

from network.gateway.errors import EndorseError
from peer_client.ledgers.ledger import LedgerCommit
from peer_client.rounds import submission
from peer_client.rounds.decision import Act
from peer_client.sealing.errors import UpdateSealedBeforeError
from tests.support.hospitals import MSPS, Consortium, digests, play, play_up_to
from tests.support.wrapped_ledger import WrappedLedger

FUNCTIONS = ["join_round", "put_chunk", "submit_update", "submit_share_sum", "confirm_model"]


class StoppedError(Exception):
    """The client was stopped."""


class StoppingLedger(WrappedLedger):
    """A hospital's ledger that stops the client before or after one kind of transaction."""

    def __init__(self, ledger: Any, function: str, *, after: bool) -> None:
        super().__init__(ledger)
        self._function = function
        self._after = after
        self._armed = True

    def submit(self, function: str, *args: str, **how: Any) -> LedgerCommit:
        stop = self._armed and function == self._function
        if stop:
            self._armed = False
        if stop and not self._after:
            raise StoppedError
        done = super().submit(function, *args, **how)
        if stop:
            raise StoppedError
        return done


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_client_stopped_at_a_transaction_finishes_the_round(
    memory: Consortium, monkeypatch: pytest.MonkeyPatch, function: str, after: bool
) -> None:
    if function == "put_chunk":
        monkeypatch.setattr(submission, "ALONG_BYTES", 0)  # small uploads have no such transaction
    stopped = MSPS[1]
    parts = memory.parts(1)
    ledger = StoppingLedger(memory.ledger(stopped), function, after=after)
    parts[stopped] = memory.part(stopped, 1, ledger=ledger)
    with pytest.raises(StoppedError):
        play(memory, parts)
    before = memory.store(stopped).read_upload(1)
    parts[stopped] = memory.part(stopped, 1)

    play(memory, parts)

    records = memory.records(1)
    assert records.record.state == "PUBLISHED"
    assert records.contributors == MSPS
    assert digests(memory, 1) == {records.record.model_sha256}
    assert memory.trainers[stopped].trained == [1]
    if before is not None:
        chunk = memory.ledger(stopped).evaluate("chunk", memory.study.study, "1", stopped, "0")
        assert chunk == before  # the stored bytes were sent, not others


class NarrowLedger(WrappedLedger):
    """A hospital's ledger whose links are too slow for a chunk to reach the other endorsers."""

    def __init__(self, ledger: Any) -> None:
        super().__init__(ledger)
        self.sent: list[str] = []

    def submit(self, function: str, *args: str, **how: Any) -> LedgerCommit:
        self.sent.append(function)
        if "chunk" in (how.get("transient") or {}) and not how.get("own_peer_only"):
            raise EndorseError("ABORTED", "failed to collect enough transaction endorsements")
        return super().submit(function, *args, **how)


def test_a_chunk_that_does_not_reach_the_other_endorsers_goes_before_its_manifest(
    consortium: Consortium,
) -> None:
    slow = MSPS[1]
    parts = consortium.parts(1)
    ledger = NarrowLedger(consortium.ledger(slow))
    parts[slow] = consortium.part(slow, 1, ledger=ledger)

    play(consortium, parts)

    records = consortium.records(1)
    assert records.record.state == "PUBLISHED"
    assert records.contributors == MSPS
    assert [f for f in ledger.sent if "chunk" in f or "update" in f] == [
        "submit_update", "put_chunk", "submit_update",
    ]  # fmt: skip


def test_every_client_restarts_before_every_step_on_either_ledger(consortium: Consortium) -> None:
    acts: list[Act] = []
    idle = 0
    for _ in range(600):
        moved = False
        for msp in MSPS:
            act = consortium.part(msp, 1).step()
            acts.append(act)
            moved |= act not in (Act.WAIT, Act.DONE)
        if acts[-len(MSPS) :] == [Act.DONE] * len(MSPS):
            break
        idle = 0 if moved else idle + 1
        if idle > 3:
            consortium.clock.forward(1.0)

    records = consortium.records(1)
    assert records.record.state == "PUBLISHED"
    assert records.contributors == MSPS
    assert [acts.count(act) for act in (Act.JOIN, Act.TRAIN, Act.SUBMIT)] == [4, 4, 4]
    assert digests(consortium, 1) == {records.record.model_sha256}


def test_a_power_cut_loses_the_sealing_key_and_costs_one_answer(memory: Consortium) -> None:
    parts = memory.parts(1)
    play_up_to(memory, parts, "SUMMED")
    memory.context(MSPS[0]).sealing_keys.wipe_all_before(2)
    parts[MSPS[0]] = memory.part(MSPS[0], 1)

    acts = play(memory, parts)

    assert Act.ANSWER not in acts[MSPS[0]]
    assert memory.records(1).record.state == "PUBLISHED"


def test_an_upload_whose_bytes_are_gone_is_not_encrypted_again(memory: Consortium) -> None:
    parts = memory.parts(1)
    ledger = StoppingLedger(memory.ledger(MSPS[0]), "submit_update", after=False)
    parts[MSPS[0]] = memory.part(MSPS[0], 1, ledger=ledger)
    with pytest.raises(StoppedError):
        play(memory, parts)
    (memory.store(MSPS[0]).round_folder(1) / "upload.bin").unlink()
    parts[MSPS[0]] = memory.part(MSPS[0], 1)

    play(memory, parts)

    records = memory.records(1)
    assert records.record.state == "PUBLISHED"
    assert records.contributors == MSPS[1:]


def test_the_journal_refuses_a_second_encryption_after_a_restart(memory: Consortium) -> None:
    play_up_to(memory, memory.parts(1), "SUMMED")
    journal = memory.context(MSPS[0]).journal

    with pytest.raises(UpdateSealedBeforeError):
        journal.check_unspent(memory.study.study, 1, "f" * 64)


def test_a_stop_while_training_trains_again_and_submits_once(memory: Consortium) -> None:
    parts = memory.parts(1)

    class Interrupted(type(memory.trainers[MSPS[0]])):  # type: ignore[misc]
        def train(self, task: Any, progress: Any) -> Any:
            raise KeyboardInterrupt

    trainer = Interrupted(0.0)
    parts[MSPS[0]] = memory.part(MSPS[0], 1, trainer=trainer)
    with pytest.raises(KeyboardInterrupt):
        play(memory, parts)
    parts[MSPS[0]] = memory.part(MSPS[0], 1)

    play(memory, parts)

    assert memory.records(1).contributors == MSPS
