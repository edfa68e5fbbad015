"""A consortium on disk, made once; nothing runs."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from network.consortium.founding import found_consortium

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="session")
def document() -> str:
    """Return the demonstration's crypto-config.yaml."""
    return (REPOSITORY / "crypto-config.yaml").read_text()


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory, document: str) -> Path:
    """Return the root of a founded consortium; look, but change nothing."""
    root = tmp_path_factory.mktemp("founded") / "root"
    found_consortium(root, document, now=NOW)
    return root


@pytest.fixture
def root(founded: Path, tmp_path: Path) -> Path:
    """Return a copy of a founded consortium that a test may spoil."""
    return Path(shutil.copytree(founded, tmp_path / "root"))
