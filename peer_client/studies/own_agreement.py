"""What this hospital has agreed to, kept in its own client's directory.

    client/channel.json                   what the channel is, as a person accepted it
    client/studies/<study>/approved.json  the digest of the study's text, as a person approved it

A majority of the hospitals brings a study into force, and enough administrators change a channel;
neither binds this hospital's client. It trains, joins, submits and answers only for the text that
its own people approved, on the channel that they saw. Both files are written whole and flushed to
the disk, for their owner alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chaincode.records.study import Study
from peer_client.errors import (
    ApprovedTextChangedError,
    ChannelChangedError,
    ChannelNotPinnedError,
    EarlierChannelError,
    NotApprovedHereError,
    StoreError,
    StudyClaimError,
)
from peer_client.ledgers.ledger import HospitalLedger
from peer_client.storage.study_store import read_file, write_file
from peer_client.studies.channel_rules import (
    Facts,
    check_channel_rules,
    difference_words,
    differences,
)

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Approved:
    """What was approved here.

    Attributes:
        study: Name of the study.
        study_sha256: SHA-256 of its record.
        genesis_sha256: SHA-256 of the first block of its channel.
        approved_at_s: When, Unix time, seconds.
    """

    study: str
    study_sha256: str
    genesis_sha256: str
    approved_at_s: int


@dataclass(frozen=True, slots=True)
class OwnAgreement:
    """What one hospital agreed to.

    Attributes:
        folder: Its client's directory.
        hospitals: MSPs of the consortium's hospitals, as this hospital agreed on them.
    """

    folder: Path
    hospitals: tuple[str, ...]

    # --- the study ---------------------------------------------------------------------------

    def approved(self, study: str) -> Approved | None:
        """Return what was approved here of a study, or nothing.

        Raises:
            StoreError: The file is damaged.
        """
        path = self._approved_path(study)
        found = _read(path)
        if found is None:
            return None
        try:
            kept = Approved(
                str(found["study"]),
                str(found["study_sha256"]),
                str(found["genesis_sha256"]),
                int(found["approved_at_s"]),
            )
        except (KeyError, TypeError, ValueError):
            raise StoreError(f"{path} is damaged") from None
        if kept.study != study:
            raise StoreError(f"{path} is of study {kept.study}")
        return kept

    def check_may_approve(self, terms: Study) -> None:
        """Refuse to approve where something else was approved under the study's name.

        Raises:
            ApprovedTextChangedError: Another text of this channel.
            EarlierChannelError: A study of another channel.
        """
        kept = self.approved(terms.study)
        if kept is not None:
            self._check_same(kept, terms)

    def keep_approval(self, terms: Study, now_s: float) -> None:
        """Keep a study's digest as approved.

        Raises:
            ApprovedTextChangedError: Another text of this channel was approved.
            EarlierChannelError: A study of another channel was approved under this name.
            StoreError: It cannot be written.
        """
        self.check_may_approve(terms)
        _write(
            self._approved_path(terms.study),
            {
                "study": terms.study,
                "study_sha256": terms.sha256,
                "genesis_sha256": terms.genesis_sha256,
                "approved_at_s": int(now_s),
            },
        )

    def check_approved(self, terms: Study) -> None:
        """Refuse a study that was not approved here, or another text than the one that was.

        Raises:
            NotApprovedHereError: It was not approved here.
            ApprovedTextChangedError: Its text is another than the one approved.
            EarlierChannelError: What was approved is a study of another channel.
        """
        kept = self.approved(terms.study)
        if kept is None:
            raise NotApprovedHereError(f"this hospital has not approved study {terms.study}")
        self._check_same(kept, terms)

    def _check_same(self, kept: Approved, terms: Study) -> None:
        if kept.genesis_sha256 != terms.genesis_sha256:
            raise EarlierChannelError(
                f"{self._approved_path(terms.study).parent} belongs to a study of the channel "
                f"whose first block has SHA-256 {kept.genesis_sha256[:16]}, and study "
                f"{terms.study} is of the one with {terms.genesis_sha256[:16]}"
            )
        if kept.study_sha256 != terms.sha256:
            raise ApprovedTextChangedError(
                f"this hospital approved the text of study {terms.study} with SHA-256 "
                f"{kept.study_sha256[:16]}, and its peer shows one with {terms.sha256[:16]}"
            )

    def _approved_path(self, study: str) -> Path:
        return self.folder / "studies" / study / "approved.json"

    # --- the channel -------------------------------------------------------------------------

    @property
    def channel_path(self) -> Path:
        """Return the file that holds what the channel is."""
        return self.folder / "channel.json"

    def pinned(self) -> Facts | None:
        """Return what a person accepted the channel to be, or nothing.

        Raises:
            StoreError: The file is damaged.
        """
        found = _read(self.channel_path)
        if found is None:
            return None
        facts = found.get("facts")
        if not isinstance(facts, dict) or not all(isinstance(each, str) for each in facts.values()):
            raise StoreError(f"{self.channel_path} is damaged")
        return tuple(sorted(facts.items()))

    def pin(self, facts: Facts, now_s: float) -> None:
        """Keep what the channel is, as a person accepts it.

        Raises:
            ChannelRulesError: Its rules are weaker than what a study promises.
            StoreError: It cannot be written.
        """
        check_channel_rules(facts, self.hospitals)
        _write(self.channel_path, {"facts": dict(facts), "accepted_at_s": int(now_s)})

    def check_channel(self, facts: Facts) -> None:
        """Refuse a channel with weak rules, or another than the one kept where one is kept.

        Raises:
            ChannelRulesError: Its rules are weaker than what a study promises.
            ChannelChangedError: It is another than the one kept.
        """
        check_channel_rules(facts, self.hospitals)
        if self.pinned() is not None:
            self.check_facts(facts)

    def check_facts(self, facts: Facts) -> None:
        """Refuse a channel that is not the one that a person accepted.

        Raises:
            ChannelNotPinnedError: Nothing was accepted yet.
            ChannelChangedError: Something differs; the message says each difference.
        """
        kept = self.pinned()
        if kept is None:
            raise ChannelNotPinnedError
        if changes := differences(kept, facts):
            raise ChannelChangedError(difference_words(changes))

    # --- both --------------------------------------------------------------------------------

    def check(self, ledger: HospitalLedger, terms: Study) -> None:
        """Refuse to act for a study that was not approved here, or on another channel.

        Raises:
            NotApprovedHereError: This hospital has not approved this text.
            StudyClaimError: The study is of another channel than the one connected to.
            ChannelChangedError: The channel has changed since a person accepted it.
        """
        check_genesis(terms, ledger)
        self.check_approved(terms)
        self.check_facts(ledger.channel_facts())


def check_genesis(terms: Study, ledger: HospitalLedger) -> None:
    """Refuse a study of another channel.

    Raises:
        StudyClaimError: It names another first block than this hospital holds.
    """
    if terms.genesis_sha256 != ledger.genesis_sha256:
        raise StudyClaimError(
            f"study {terms.study} is of a channel whose first block has SHA-256 "
            f"{terms.genesis_sha256[:16]}; the one here has {ledger.genesis_sha256[:16]}"
        )


def _read(path: Path) -> dict[str, Any] | None:
    """Return a kept file's values, or nothing where there is none."""
    content = read_file(path)
    if content is None:
        return None
    try:
        found = json.loads(content)
    except ValueError:
        raise StoreError(f"{path} is damaged") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise StoreError(f"{path} is not of format {FORMAT}")
    return found


def _write(path: Path, values: dict[str, Any]) -> None:
    content = json.dumps({"format": FORMAT, **values}, indent=1, sort_keys=True)
    write_file(path, content.encode() + b"\n")
