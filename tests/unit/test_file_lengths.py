"""One noun of the field a file: about 150 lines, none over 650."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "chaincode",
    "network",
    "peer_client",
    "model",
    "tests",
    "benchmarks",
    "examples",
    "docs",
    "setup",
)
LONGEST = 650


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_of_python_has_more_than_650_lines(folder: str) -> None:
    lines = {path: path.read_text().count("\n") for path in (ROOT / folder).rglob("*.py")}

    assert lines
    assert [str(path) for path, count in lines.items() if count > LONGEST] == []
