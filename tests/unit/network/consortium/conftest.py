"""A consortium on disk, made once; nothing runs."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from network.consortium.provisioning import provision_consortium

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="session")
def document() -> str:
    """Return the demonstration's crypto-config.yaml."""
    return (REPOSITORY / "crypto-config.yaml").read_text()


@pytest.fixture(scope="session")
def provisioned(tmp_path_factory: pytest.TempPathFactory, document: str) -> Path:
    """Return the root of a provisioned consortium; look, but change nothing."""
    root = tmp_path_factory.mktemp("provisioned") / "root"
    provision_consortium(root, document, now=NOW)
    return root


@pytest.fixture
def root(provisioned: Path, tmp_path: Path) -> Path:
    """Return a copy of a provisioned consortium that a test may spoil."""
    return Path(shutil.copytree(provisioned, tmp_path / "root"))
