from __future__ import annotations

import os
from pathlib import Path

import pytest

from peer_client.sealing import (
    Journal,
    JournalError,
    ReceivedBox,
    ShareRefusedError,
    UpdateSealedBeforeError,
    answer_once,
    seal_update_once,
)
from tests.support.sealed_round import GENESIS_SHA256, SealedRound, entropy_of

HASHES = {"update_sha256": "aa", "ciphertext_sha256": "bb", "upload_sha256": "cc"}


def test_second_upload_of_a_round_is_refused_also_after_a_restart(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal", GENESIS_SHA256) as journal:
        journal.record_upload("lungs", 1, **HASHES)
        with pytest.raises(UpdateSealedBeforeError, match="round 1 of lungs has had"):
            journal.record_upload("lungs", 1, **HASHES | {"update_sha256": "dd"})

    with (
        Journal(tmp_path / "journal", GENESIS_SHA256) as journal,
        pytest.raises(UpdateSealedBeforeError, match="round 1 of lungs has had"),
    ):
        journal.check_unspent("lungs", 1, "dd")


def test_spent_update_is_refused_in_every_other_round_also_after_a_restart(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal", GENESIS_SHA256) as journal:
        journal.record_upload("lungs", 1, **HASHES)

    with Journal(tmp_path / "journal", GENESIS_SHA256) as journal:
        with pytest.raises(
            UpdateSealedBeforeError, match="encrypted for round 1 of lungs and is spent"
        ):
            journal.record_upload("lungs", 2, **HASHES)
        with pytest.raises(UpdateSealedBeforeError):
            journal.record_upload("brains", 1, **HASHES)
        journal.record_upload("lungs", 2, **HASHES | {"update_sha256": "dd"})


def test_second_answer_for_another_sum_is_refused_also_after_a_restart(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal", GENESIS_SHA256) as journal:
        journal.record_answer("lungs", 1, aggregate_sha256="aa")
        journal.record_answer("lungs", 1, aggregate_sha256="aa")  # lost on its way: said again

    with Journal(tmp_path / "journal", GENESIS_SHA256) as journal:
        assert journal.answer("lungs", 1) is not None
        with pytest.raises(ShareRefusedError, match="answered round 1 of lungs for another sum"):
            journal.record_answer("lungs", 1, aggregate_sha256="bb")
        journal.record_answer("lungs", 2, aggregate_sha256="bb")


def test_entry_is_on_the_disk_when_recording_returns(tmp_path: Path, monkeypatch) -> None:
    synced: list[int] = []
    really = os.fsync

    def fsync(descriptor: int) -> None:
        really(descriptor)
        synced.append(os.fstat(descriptor).st_size)

    with Journal(tmp_path / "journal", GENESIS_SHA256) as journal:
        monkeypatch.setattr(os, "fsync", fsync)
        journal.record_answer("lungs", 1, aggregate_sha256="aa")

    assert synced == [(tmp_path / "journal").stat().st_size]


def test_line_cut_off_by_a_crash_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, GENESIS_SHA256) as journal:
        journal.record_answer("lungs", 1, aggregate_sha256="aa")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])

    with Journal(path, GENESIS_SHA256) as journal:
        assert journal.answer("lungs", 1) is not None
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"{}\n",
        b"[1]\n",
        b"\xff\xfe\n",
        b'{"event":"other","study":"a","round":1}\n',
        b'{"event":"answer","study":"a","round":1}\n',
        b'{"event":"answer","study":"a","round":"1","aggregate_sha256":"x"}\n',
        b'{"event":"answer","study":"a","round":true,"aggregate_sha256":"x"}\n',
        b'{"event":"answer","study":1,"round":1,"aggregate_sha256":"x"}\n',
        b'{"event":"answer","study":"a","round":1,"aggregate_sha256":"x","more":1}\n',
    ],
)
def test_damaged_line_stops_the_client(tmp_path: Path, line: bytes) -> None:
    Journal(tmp_path / "journal", GENESIS_SHA256).close()
    first = (tmp_path / "journal").read_bytes()
    (tmp_path / "journal").write_bytes(first + line)

    with pytest.raises(JournalError, match=r"line 2 of .* is damaged"):
        Journal(tmp_path / "journal", GENESIS_SHA256)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (b"\n", "line 1 of .* is damaged"),
        (b"\xff\n", "line 1 of .* is damaged"),
        (b"[" * 100_000 + b"\n", "line 1 of .* is damaged"),
        (b"[2]\n", "no journal of format 2"),
        (b'{"event":"answer","study":"a","round":1,"aggregate_sha256":"x"}\n', "no journal of"),
        (b'{"format":2}\n', "line 1 of .* is damaged"),
        (b'{"format":2,"genesis_sha256":1}\n', "another channel"),
    ],
)
def test_first_line_that_is_none_stops_the_client(
    tmp_path: Path, line: bytes, sentence: str
) -> None:
    (tmp_path / "journal").write_bytes(line)

    with pytest.raises(JournalError, match=sentence):
        Journal(tmp_path / "journal", GENESIS_SHA256)


def test_journal_of_another_channel_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal", GENESIS_SHA256) as journal:
        journal.record_answer("lungs", 1, aggregate_sha256="aa")

    with pytest.raises(JournalError, match="is the journal of another channel"):
        Journal(tmp_path / "journal", "ef" * 32)


def test_journal_whose_first_line_was_cut_off_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b'{"format":2,"gen')

    with Journal(tmp_path / "journal", GENESIS_SHA256) as journal:
        journal.record_answer("lungs", 1, aggregate_sha256="aa")
    with Journal(tmp_path / "journal", GENESIS_SHA256) as journal:
        assert journal.answer("lungs", 1) is not None


def test_repeated_entry_stops_the_client(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, GENESIS_SHA256) as journal:
        journal.record_answer("lungs", 1, aggregate_sha256="aa")
    first, entry = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + entry * 2)

    with pytest.raises(JournalError, match=r"line 3 .* repeats"):
        Journal(path, GENESIS_SHA256)


def test_second_client_of_a_hospital_is_kept_out(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "journal", GENESIS_SHA256),
        pytest.raises(JournalError, match="another client"),
    ):
        Journal(tmp_path / "journal", GENESIS_SHA256)

    Journal(tmp_path / "journal", GENESIS_SHA256).close()


def test_full_disk_refuses_and_leaves_the_journal_whole(tmp_path: Path, monkeypatch) -> None:
    def write(descriptor: int, line: bytes) -> int:
        really(descriptor, line[:5])
        return 5

    with Journal(tmp_path / "journal", GENESIS_SHA256) as journal:
        journal.record_answer("lungs", 1, aggregate_sha256="aa")
        before = (tmp_path / "journal").read_bytes()
        really = os.write
        monkeypatch.setattr(os, "write", write)
        with pytest.raises(JournalError, match="cannot write"):
            journal.record_answer("lungs", 2, aggregate_sha256="aa")
        assert journal.answer("lungs", 2) is None

    assert (tmp_path / "journal").read_bytes() == before


def test_journal_in_a_place_that_cannot_be_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(JournalError, match="cannot open"):
        Journal(tmp_path / "file" / "journal", GENESIS_SHA256)


def test_journal_is_readable_by_this_user_alone(tmp_path: Path) -> None:
    Journal(tmp_path / "journal", GENESIS_SHA256).close()

    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o600


def _seal(played: SealedRound, journal: Journal, stored: list[bytes], update: str = "aa"):
    return seal_update_once(
        played.random_values("H001MSP"),
        parameters=played.parameters,
        round=played.transcript("H001MSP"),
        entropy=entropy_of("once"),
        journal=journal,
        update_sha256=update,
        store=stored.append,
    )


def test_sealing_once_stores_then_records_and_refuses_the_second_time(tmp_path: Path) -> None:
    played, stored = SealedRound(4), []
    with Journal(tmp_path / "journal", GENESIS_SHA256) as journal:
        sealed = _seal(played, journal, stored)
        recorded = journal.upload("lungs", 1)

        with pytest.raises(UpdateSealedBeforeError):
            _seal(played, journal, stored)
        with pytest.raises(UpdateSealedBeforeError, match="is spent"):
            _seal(SealedRound(4, number=2), journal, stored)

    assert stored == [sealed.payload]
    assert recorded is not None
    assert recorded["upload_sha256"] == sealed.upload_sha256
    assert recorded["ciphertext_sha256"] == sealed.ciphertext_sha256


def test_sealing_that_cannot_be_stored_is_not_recorded(tmp_path: Path) -> None:
    def full(payload: bytes) -> None:
        raise OSError(28, "no space left")

    with Journal(tmp_path / "journal", GENESIS_SHA256) as journal:
        with pytest.raises(OSError, match="no space"):
            seal_update_once(
                SealedRound(4).random_values("H001MSP"),
                parameters=SealedRound(4).parameters,
                round=SealedRound(4).transcript("H001MSP"),
                entropy=entropy_of("once"),
                journal=journal,
                update_sha256="aa",
                store=full,
            )

        assert journal.upload("lungs", 1) is None


def _answer(played: SealedRound, journal: Journal, received: dict[str, ReceivedBox], digest="D"):
    return answer_once(
        received,
        parameters=played.parameters,
        round=played.transcript("H002MSP"),
        sealing_key=played.keys["H002MSP"],
        journal=journal,
        aggregate_sha256=digest,
    )


def test_answer_is_refused_for_fewer_than_k_contributors(tmp_path: Path) -> None:
    played = SealedRound(4).play()

    with Journal(tmp_path / "journal", GENESIS_SHA256) as journal:
        with pytest.raises(ShareRefusedError, match="fewer than 3 is not opened"):
            _answer(played, journal, played.boxes("H002MSP", ("H001MSP", "H003MSP")))

        assert journal.answer("lungs", 1) is None


def test_answer_is_refused_for_a_contributor_that_did_not_join(tmp_path: Path) -> None:
    played = SealedRound(4).play("H001MSP", "H003MSP", "H004MSP")
    received = played.boxes("H002MSP", tuple(played.uploads))
    received["StrangerMSP"] = received["H001MSP"]

    with (
        Journal(tmp_path / "journal", GENESIS_SHA256) as journal,
        pytest.raises(ShareRefusedError, match="StrangerMSP contributed without having joined"),
    ):
        _answer(played, journal, received)


def test_answer_is_refused_where_the_own_update_is_not_the_one_sent(tmp_path: Path) -> None:
    played = SealedRound(4).play()

    with Journal(tmp_path / "journal", GENESIS_SHA256) as journal:
        received = played.boxes("H002MSP", played.msps)
        with pytest.raises(ShareRefusedError, match="did not send"):
            _answer(played, journal, received)
        journal.record_upload(
            "lungs", 1, update_sha256="a", ciphertext_sha256="other", upload_sha256="c"
        )
        with pytest.raises(ShareRefusedError, match="did not send"):
            _answer(played, journal, received)
        assert journal.answer("lungs", 1) is None


def test_answer_is_written_down_before_a_box_is_opened(tmp_path: Path) -> None:
    played = SealedRound(4).play("H001MSP", "H003MSP", "H004MSP")
    received = played.boxes("H002MSP", tuple(played.uploads))
    played.keys["H002MSP"].wipe()  # opening fails now

    with Journal(tmp_path / "journal", GENESIS_SHA256) as journal:
        with pytest.raises(Exception, match="wiped"):
            _answer(played, journal, received)

        assert journal.answer("lungs", 1) is not None


def test_answer_for_a_second_sum_of_the_round_is_refused(tmp_path: Path) -> None:
    played = SealedRound(4).play("H001MSP", "H003MSP", "H004MSP")
    received = played.boxes("H002MSP", tuple(played.uploads))

    with Journal(tmp_path / "journal", GENESIS_SHA256) as journal:
        first = _answer(played, journal, received, "D1")
        assert _answer(played, journal, received, "D1") == first
        with pytest.raises(ShareRefusedError, match="another sum"):
            _answer(played, journal, received, "D2")
