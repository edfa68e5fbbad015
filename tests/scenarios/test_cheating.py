"""A hospital that cheats is named, and changes nothing for the others."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from chaincode.records.errors import (
    FalseShareSumError,
    ForeignCertificateError,
    NotAMemberError,
    RoundStateError,
    SecondUpdateError,
    SpentUpdateError,
    UnknownStudyError,
)
from chaincode.records.terms import round_parameters
from chaincode.roundkey.parameters import MODULUS
from peer_client.errors import NotOfStudyError
from peer_client.ledgers.memory_identity import new_member, roots_of
from peer_client.rounds import submission
from peer_client.rounds.decision import Act
from peer_client.rounds.records import RoundRecords, read_round
from peer_client.rounds.round import HospitalRound
from peer_client.sealing import upload
from peer_client.sealing.errors import SealingKeySignatureError
from peer_client.studies.study import read_study
from tests.scenarios.conftest import Make
from tests.support.hospitals import MSPS, Consortium, digests, play, play_up_to, played_round

CHEAT = MSPS[1]


class Cheating(HospitalRound):
    """Does not look whether what stands in its name is what it would have sent."""

    def records(self) -> RoundRecords | None:
        return read_round(self.context.ledger, self.context.study.study, self.number)


class Tampering(Cheating):
    """Sends an upload with one residue that is no residue, and a manifest that fits it."""

    def _do(self, act: Act, records: RoundRecords | None) -> None:
        if records is None or act is not Act.SUBMIT:
            super()._do(act, records)
            return
        payload = bytearray(submission._seal(self.context, records))
        payload[8000:8008] = (MODULUS + 5).to_bytes(8, "little")
        manifest = submission.manifest_of(self.context, records, bytes(payload))
        submission._put_chunks(self.context, self.number, submission.chunks_of(bytes(payload)))
        text = manifest.to_bytes().decode()
        self.context.ledger.submit(
            "submit_update", self.context.study.study, str(self.number), text
        )


def test_a_tampered_ciphertext_is_refused_by_name_and_the_others_publish(
    consortium: Consortium,
) -> None:
    cheat = Tampering(consortium.context(CHEAT), 1, consortium.active())

    play(consortium, {**consortium.parts(1, without=[CHEAT]), CHEAT: cheat})

    records = consortium.records(1)
    assert records.record.state == "PUBLISHED"
    assert records.contributors == tuple(msp for msp in MSPS if msp != CHEAT)
    assert records.aggregate is not None
    assert records.aggregate.refused[CHEAT].startswith("ResidueError: ")


class Lying(Cheating):
    """Answers with numbers of its own."""

    def _do(self, act: Act, records: RoundRecords | None) -> None:
        if records is None or act is not Act.ANSWER:
            super()._do(act, records)
            return
        assert records.aggregate is not None
        false = np.random.default_rng(1).integers(0, 65521, 4096).astype("<u2").tobytes()
        self.context.ledger.submit(
            "submit_share_sum",
            self.context.study.study,
            str(self.number),
            records.aggregate.digest,
            "[]",
            transient={"share_sum": false},
        )


def test_a_false_share_sum_is_named_and_changes_nothing(consortium: Consortium) -> None:
    # First of all: its answer is among the three that are tried first.
    liar = Lying(consortium.context(MSPS[0]), 1, consortium.active())
    parts = {MSPS[0]: liar, **consortium.parts(1, without=[MSPS[0]])}

    play(consortium, parts)

    records = consortium.records(1)
    assert records.record.state == "PUBLISHED"
    assert records.round_key is not None
    assert records.round_key.false_senders == (MSPS[0],)
    assert MSPS[0] not in records.round_key.senders
    honest = [msp for msp in MSPS if msp != MSPS[0]]
    assert {consortium.store(msp).read_model(1) is None for msp in honest} == {False}
    assert digests(consortium, 1) == {records.record.model_sha256}


def test_a_late_false_answer_is_refused(memory: Consortium) -> None:
    liar = Lying(memory.context(MSPS[0]), 1, memory.active())
    honest = memory.parts(1, without=[MSPS[0]])
    parts = {MSPS[0]: liar, **honest}
    play_up_to(memory, parts, "SUMMED")
    play_up_to(memory, honest, "OPENED")

    with pytest.raises(FalseShareSumError):
        play(memory, {MSPS[0]: liar})


def test_a_second_update_is_refused(consortium: Consortium) -> None:
    parts = consortium.parts(1)
    play_up_to(consortium, parts, "SUMMED")
    records = consortium.records(1)
    other = replace(records.updates[CHEAT], ciphertext_sha256="0" * 64)
    text = other.to_bytes().decode()

    with pytest.raises(SecondUpdateError):
        consortium.ledger(CHEAT).submit("submit_update", consortium.study.study, "1", text)
    assert consortium.records(1).updates[CHEAT] == records.updates[CHEAT]


def test_a_copy_of_anothers_ciphertext_is_refused(memory: Consortium) -> None:
    parts = memory.parts(1)
    first, copier = MSPS[0], MSPS[1]
    waits = {msp: part for msp, part in parts.items() if msp != copier}
    play_up_to(memory, parts, "SUBMITTING")
    play(memory, waits, until=lambda: first in memory.records(1).updates)
    records = memory.records(1)
    stolen = memory.store(first).read_upload(1)
    assert stolen is not None
    context = memory.context(copier)
    submission._put_chunks(context, 1, submission.chunks_of(stolen))
    text = submission.manifest_of(context, records, stolen).to_bytes().decode()

    with pytest.raises(SpentUpdateError):
        context.ledger.submit("submit_update", memory.study.study, "1", text)


def test_a_stale_round_is_refused_and_a_client_of_it_is_done(consortium: Consortium) -> None:
    played_round(consortium, 1)
    ledger = consortium.ledger(MSPS[0])

    with pytest.raises(RoundStateError):
        ledger.submit("close_joins", consortium.study.study, "1")
    assert consortium.part(MSPS[0], 1).step() is Act.DONE


def test_a_join_with_a_strangers_certificate_is_refused(memory: Consortium) -> None:
    play_up_to(memory, memory.parts(1), "OPEN")
    stranger = new_member(MSPS[0], _now(memory))
    part = memory.part(MSPS[0], 1, signer=stranger)

    with pytest.raises(ForeignCertificateError):
        play(memory, {MSPS[0]: part})


def test_a_key_not_signed_by_its_hospital_stops_the_dealer_before_it_encrypts(
    memory: Consortium,
) -> None:
    parts = memory.parts(1)
    # This hospital's own directory knows another root for one member than that member joins with.
    others = [memory.signer(msp) for msp in MSPS if msp != MSPS[3]]
    roots = roots_of([*others, new_member(MSPS[3], _now(memory))])  # type: ignore[list-item]
    parts[MSPS[0]] = memory.part(MSPS[0], 1, roots=roots)

    with pytest.raises(SealingKeySignatureError, match=MSPS[3]):
        play(memory, parts)
    assert memory.store(MSPS[0]).read_upload(1) is None
    assert memory.context(MSPS[0]).journal.upload(memory.study.study, 1) is None


def test_a_hospital_that_is_not_of_the_study_can_do_nothing(make: Make) -> None:
    consortium = make(msps=MSPS[:3])
    consortium.agree()
    inside = consortium.ledger(MSPS[0])
    opened = inside.submit("open_round", consortium.study.study, "1")
    inside.wait_everywhere(opened.transaction_id, 20.0)
    outside = consortium.ledger(MSPS[3])

    with pytest.raises(NotAMemberError):
        outside.submit("close_joins", consortium.study.study, "1")
    with pytest.raises(NotOfStudyError):
        consortium.approve(MSPS[3])


def test_an_unknown_study_is_named_with_those_there_are(consortium: Consortium) -> None:
    with pytest.raises(UnknownStudyError, match=consortium.study.study):
        read_study(consortium.ledger(MSPS[0]), "nowhere")


def test_unopened_boxes_are_reported_with_the_dealers_name(memory: Consortium) -> None:
    parts = memory.parts(1, without=[CHEAT])

    class Spoiling(HospitalRound):
        """Sends boxes that do not open."""

        def step(self) -> Act:
            records = self.records()
            if records is None or self._decide(records) is not Act.SUBMIT:
                return super().step()
            payload = bytearray(submission._seal(self.context, records))
            payload[-9328 * len(MSPS) :] = bytes(9328 * len(MSPS))
            # It journals what it sends, as an honest client does.
            manifest = submission.manifest_of(self.context, records, bytes(payload))
            submission._put_chunks(self.context, self.number, submission.chunks_of(bytes(payload)))
            self.context.ledger.submit(
                "submit_update", self.context.study.study, "1", manifest.to_bytes().decode()
            )
            return Act.SUBMIT

    parts[CHEAT] = Spoiling(memory.context(CHEAT), 1, memory.active())

    play(memory, parts)

    records = memory.records(1)
    assert records.record.state == "ABANDONED"
    reporters = [msp for msp, each in records.answers.items() if each.unopened == (CHEAT,)]
    assert len(reporters) >= 3


def _now(consortium: Consortium) -> datetime:
    return datetime.fromtimestamp(consortium.clock(), UTC)


def test_a_well_formed_update_out_of_range_costs_the_round_and_never_the_model(
    memory: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = memory.parts(1)
    play_up_to(memory, parts, "SUBMITTING")
    honest, too_far = submission.quantise, round_parameters(memory.study).field_base // 2

    def reaching_too_far(*args: Any, **more: Any) -> Any:
        return np.full_like(honest(*args, **more), too_far)

    with monkeypatch.context() as patched:
        patched.setattr(submission, "quantise", reaching_too_far)
        patched.setattr(submission, "quantisation_report", lambda *_, **__: Nothing)
        patched.setattr(upload, "_check_values", lambda *_: None)
        parts[CHEAT] = memory.part(CHEAT, 1)
        assert parts[CHEAT].step() is Act.SUBMIT

    play(memory, parts)

    record = memory.records(1).record
    assert record.state == "REJECTED"
    assert digests(memory, 1) == set()
    assert played_round(memory, 2).record.parent_sha256 == memory.study.initial_model_sha256


class Nothing:
    """A quantisation that is not looked at."""

    relative_error = clipped = 0.0
