"""One class per meaning, one name per class."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("network", "chaincode", "peer_client", "model")


def public_classes(folder: Path) -> dict[str, list[str]]:
    """Return the files that define a public class, by its name."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path))
    return found


def test_no_two_public_classes_have_one_name() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for package in PACKAGES:
        for name, paths in public_classes(ROOT / package).items():
            found[name] += paths

    assert len(found) > 300
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_two_classes_of_one_name_would_be_found(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("class Settings:\n    pass\n")

    assert len(public_classes(tmp_path)["Settings"]) == 2
