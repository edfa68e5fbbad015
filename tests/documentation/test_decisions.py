"""Decisions are written in one form, numbered without a gap."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "adr"
SECTIONS = ["Context", "Decision", "Options that lost", "Consequences"]
HEAD = re.compile(
    r"# (\d+)\. .+\n\n\* Status: (accepted|replaced by \[\d+\].*)\n\* Date: \d{4}-\d\d-\d\d\n"
)


def form_faults(text: str, number: int) -> list[str]:
    """Return what is wrong with a decision's form."""
    head = HEAD.match(text)
    faults = [] if head and int(head[1]) == number else ["its head"]
    found = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    parts = re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]
    faults += [] if found == SECTIONS else [f"its sections {found}"]
    faults += [
        f"an empty {name}" for name, part in zip(found, parts, strict=False) if not part.strip()
    ]
    return faults


def test_decisions_are_numbered_and_in_one_form() -> None:
    pages = sorted(FOLDER.glob("[0-9]*.md"))

    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    faults = {page.name: form_faults(page.read_text(), int(page.name[:4])) for page in pages}
    assert {name: found for name, found in faults.items() if found} == {}


def test_the_template_has_the_form_and_another_form_is_found() -> None:
    template = (FOLDER / "template.md").read_text()
    filled = template.replace("# N.", "# 7.").replace("YYYY-MM-DD", "2026-12-01")

    assert form_faults(filled, 7) == []
    assert form_faults(filled, 8) == ["its head"]
    assert form_faults(filled.replace("## Context", "**Why.**"), 7)
