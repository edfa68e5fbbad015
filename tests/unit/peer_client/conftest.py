"""Hospitals of the client's unit tests: four in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hospitals import MemoryConsortium


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[MemoryConsortium]:
    """Return four hospitals that agreed on a small study."""
    made = MemoryConsortium(tmp_path)
    made.agree()
    yield made
    made.close()
