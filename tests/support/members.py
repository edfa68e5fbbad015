"""A member whose ledger is in memory: what commands of `hospital-client` are run for in tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from peer_client import client
from peer_client.cli.main import main
from peer_client.ledgers.memory import MemoryHospitalLedger
from peer_client.storage.study_store import StudyStore
from peer_client.studies.own_agreement import OwnAgreement
from tests.support.hospitals import MemoryConsortium


@dataclass(frozen=True)
class MemoryDirectory:
    """Name and path of a member's directory."""

    name: str
    path: Path


class MemoryMemberClient:
    """`MemberClient` over a channel in memory; files lie where the member's context has them."""

    def __init__(self, consortium: MemoryConsortium, msp: str) -> None:
        self.ledger: MemoryHospitalLedger = consortium.ledger(msp)
        self.directory = MemoryDirectory(msp.removesuffix("MSP"), consortium.folder / msp)
        self._agreement = consortium.agreement(msp)

    def agreement(self) -> OwnAgreement:
        """Return what the hospital approved."""
        return self._agreement

    def store(self, study: str) -> StudyStore:
        """Return the files of a study."""
        return StudyStore(self.directory.path / "studies" / study)


def run_as(
    monkeypatch: pytest.MonkeyPatch,
    consortium: MemoryConsortium,
    msp: str,
    *arguments: str,
    answer: str = "",
) -> Result:
    """Run `hospital-client` for a member, with an answer to what it asks."""

    @contextmanager
    def opened(path: Path | None) -> Iterator[MemoryMemberClient]:
        yield MemoryMemberClient(consortium, msp)

    monkeypatch.setattr(client, "member_client", opened)
    return CliRunner().invoke(main, arguments, input=answer)
