"""What a hospital must not do twice, written down before it is done.

Two things are irrevocable: encrypting an update (two sums that hold the same update
differ by the others' updates) and answering a round (two share sums for different sets
of contributors give a single hospital's key). The journal records both with fsync
before anything is sent, and refuses the second one, also after a restart.

One line of JSON each, appended, after a first line that says for which channel it is: its
first block's digest, so that what was done on another channel of the same name counts for
nothing here and is refused instead. A lock keeps a second client of the same hospital out.
A last line without its end was cut off by a crash before anything was sent, and is
dropped; damage anywhere else is refused. Nothing secret is in it: hashes, names,
numbers. It belongs outside backups: a hospital restored from one sits out open rounds.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from network.runtime.files import append_durably, flush_folder
from peer_client.sealing.errors import JournalError, ShareRefusedError, UpdateSealedBeforeError

#: Of the first line.
FORMAT: Final = 2
UPLOAD = "upload"
ANSWER = "answer"
#: Some 400 bytes for each entry, two entries for each round: far beyond any study.
JOURNAL_BYTES_MAX: Final = 64 * 1024 * 1024
FIELDS: Mapping[str, tuple[str, ...]] = {
    UPLOAD: ("update_sha256", "ciphertext_sha256", "upload_sha256"),
    ANSWER: ("aggregate_sha256",),
}
Entry = dict[str, str | int]


class Journal:
    """The journal of one hospital; holds its file open and locked.

    Args:
        path: The file; made with mode 0600 where it is missing.
        genesis_sha256: SHA-256 of the channel's first block, in hex.

    Raises:
        JournalError: It cannot be opened, another client holds it, it is damaged, or it is that of
            another channel.
    """

    def __init__(self, path: Path, genesis_sha256: str) -> None:
        self._path = path
        self._genesis_sha256 = genesis_sha256
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise JournalError(f"cannot open the journal {path}: {error.strerror}") from error
        try:
            self._lock()
            self._entries = self._read()
            flush_folder(path.parent)  # the name of a new file must survive a power cut too
        except BaseException:
            os.close(self._descriptor)
            raise

    def upload(self, study: str, round_number: int) -> Entry | None:
        """The recorded upload of a round.

        Args:
            study: Name of the study.
            round_number: Number of the round.

        Returns:
            Its hashes, or None.
        """
        return self._entries.get((UPLOAD, study, round_number))

    def answer(self, study: str, round_number: int) -> Entry | None:
        """The recorded answer of a round.

        Args:
            study: Name of the study.
            round_number: Number of the round.

        Returns:
            The digest answered for, or None.
        """
        return self._entries.get((ANSWER, study, round_number))

    def check_unspent(self, study: str, round_number: int, update_sha256: str) -> None:
        """Refuse an update that was encrypted before, or a second one for a round.

        Args:
            study: Name of the study.
            round_number: The round it is meant for.
            update_sha256: `peer_client.update.update_digest` of it.

        Raises:
            UpdateSealedBeforeError: The round has had an upload, or the update another round.
        """
        if self.upload(study, round_number) is not None:
            raise UpdateSealedBeforeError(
                f"round {round_number} of {study} has had this hospital's update: a retry sends "
                "the stored bytes"
            )
        for (event, spent_study, spent_round), entry in self._entries.items():
            if event == UPLOAD and entry["update_sha256"] == update_sha256:
                raise UpdateSealedBeforeError(
                    f"this update was encrypted for round {spent_round} of {spent_study} and is "
                    "spent"
                )

    def record_upload(
        self,
        study: str,
        round_number: int,
        *,
        update_sha256: str,
        ciphertext_sha256: str,
        upload_sha256: str,
    ) -> None:
        """Write down that an update was encrypted, before any of it is sent.

        Args:
            study: Name of the study.
            round_number: Number of the round.
            update_sha256: Of the update.
            ciphertext_sha256: Of the ciphertext.
            upload_sha256: Of the whole upload, which is stored already.

        Raises:
            UpdateSealedBeforeError: As for `check_unspent`.
            JournalError: The disk does not take it; then nothing may be sent.
        """
        self.check_unspent(study, round_number, update_sha256)
        self._append(
            {
                "event": UPLOAD,
                "study": study,
                "round": round_number,
                "update_sha256": update_sha256,
                "ciphertext_sha256": ciphertext_sha256,
                "upload_sha256": upload_sha256,
            }
        )

    def record_answer(self, study: str, round_number: int, *, aggregate_sha256: str) -> None:
        """Write down for which aggregate this hospital answers, before it does.

        Saying the same again is allowed: an answer lost on its way is sent again.

        Args:
            study: Name of the study.
            round_number: Number of the round.
            aggregate_sha256: The digest D of contributors and sum.

        Raises:
            ShareRefusedError: It answered for another one.
            JournalError: The disk does not take it; then nothing may be sent.
        """
        before = self.answer(study, round_number)
        if before is None:
            self._append(
                {
                    "event": ANSWER,
                    "study": study,
                    "round": round_number,
                    "aggregate_sha256": aggregate_sha256,
                }
            )
        elif before["aggregate_sha256"] != aggregate_sha256:
            raise ShareRefusedError(
                f"this hospital answered round {round_number} of {study} for another sum; the "
                "difference of two answers would open single updates"
            )

    def close(self) -> None:
        """Give up the lock and the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise JournalError(
                f"another client of this hospital holds the journal {self._path}"
            ) from error

    def _read(self) -> dict[tuple[str, str, int], Entry]:
        if os.fstat(self._descriptor).st_size > JOURNAL_BYTES_MAX:
            raise JournalError(f"{self._path} is larger than {JOURNAL_BYTES_MAX} bytes")
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            os.ftruncate(self._descriptor, whole)
            os.fsync(self._descriptor)
        lines = content[:whole].splitlines()
        if lines:
            self._check_channel(lines[0])
        else:
            self._write({"format": FORMAT, "genesis_sha256": self._genesis_sha256})
        entries: dict[tuple[str, str, int], Entry] = {}
        for number, line in enumerate(lines[1:], 2):
            key, entry = self._parse(line, number)
            if key in entries:
                raise JournalError(f"line {number} of {self._path} repeats an entry")
            entries[key] = entry
        return entries

    def _check_channel(self, line: bytes) -> None:
        """Refuse a journal of another channel or format."""
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            raise JournalError(f"line 1 of {self._path} is damaged") from None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise JournalError(f"{self._path} is no journal of format {FORMAT}")
        if set(found) != {"format", "genesis_sha256"}:
            raise JournalError(f"line 1 of {self._path} is damaged")
        if found["genesis_sha256"] != self._genesis_sha256:
            raise JournalError(
                f"{self._path} is the journal of another channel (first block "
                f"{str(found['genesis_sha256'])[:16]}, here {self._genesis_sha256[:16]})"
            )

    def _parse(self, line: bytes, number: int) -> tuple[tuple[str, str, int], Entry]:
        damaged = JournalError(f"line {number} of {self._path} is damaged")
        try:
            entry = json.loads(line)
            event, study, round_number = entry["event"], entry["study"], entry["round"]
            names = {"event", "study", "round", *FIELDS[event]}
        except (ValueError, KeyError, TypeError, RecursionError):
            raise damaged from None
        texts = [entry.get(name) for name in FIELDS[event]]
        if set(entry) != names or type(round_number) is not int:
            raise damaged
        if not all(isinstance(text, str) for text in [study, *texts]):
            raise damaged
        return (event, study, round_number), entry

    def _append(self, entry: Entry) -> None:
        self._write(entry)
        key = (str(entry["event"]), str(entry["study"]), int(entry["round"]))
        self._entries[key] = entry

    def _write(self, entry: Entry) -> None:
        line = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"
        try:
            append_durably(self._descriptor, line)
        except OSError as error:
            raise JournalError(
                f"cannot write the journal {self._path}: {error.strerror}"
            ) from error
