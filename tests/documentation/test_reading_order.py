"""Files that the front pages name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
NAMED = re.compile(r"`((?:network|chaincode|peer_client|model|tests|examples|docs)/[\w/.*-]+)`")


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_every_file_named_on_a_front_page_exists(page: str) -> None:
    named = NAMED.findall((ROOT / page).read_text())
    missing = [name for name in named if "<" not in name and not any(ROOT.glob(name.rstrip("/")))]

    assert not missing, missing
