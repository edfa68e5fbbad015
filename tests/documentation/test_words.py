"""Words are the field's, and plain modern English."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: What is not written, and what is written instead.
INSTEAD = {
    "anew": "again",
    "begin anew": "start over",
    "dear": "expensive",
    "for ever": "forever",
    "founded": "set up, provisioned",
    "held against": "compared with",
    "mend": "correct, repair",
    "told from": "distinguished from, significantly different from",
}
BANNED = re.compile(rf"\b({'|'.join(INSTEAD)})\b", re.IGNORECASE)


def texts() -> list[Path]:
    """Return every page and program, but for figures of earlier programs and this list."""
    listed = subprocess.run(
        ["git", "ls-files", "*.md", "*.py", "*.yaml"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    kept = [ROOT / name for name in listed if not name.startswith("benchmarks/results/")]
    return [path for path in kept if path.exists() and path != Path(__file__).resolve()]


def banned_words(text: str) -> list[str]:
    """Return what stands in a text and has a plainer word."""
    return [found[1].lower() for found in BANNED.finditer(text)]


def test_archaic_words_are_not_written() -> None:
    found = {str(path.relative_to(ROOT)): banned_words(path.read_text()) for path in texts()}

    assert len(found) > 500
    assert {path: words for path, words in found.items() if words} == {}


def test_an_archaic_word_would_be_found() -> None:
    assert banned_words("Mend the line, then begin anew.") == ["mend", "begin anew"]
