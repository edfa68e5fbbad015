"""A change of the product comes with its line in CHANGELOG.md.

Judged over the commits since the last tag, or the last 50 where there is none: whoever changes
the product may write the line with another commit, but not leave it out. Without a history (a
source archive, a shallow clone) there is nothing to judge.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("network", "chaincode", "peer_client", "model")
COMMITS = 50


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def changed_since_release(folder: Path) -> set[str]:
    """Return the files that changed since the last tag, or in the last 50 commits."""
    tag = git(folder, "describe", "--tags", "--abbrev=0")
    commits = git(folder, "rev-list", f"{tag}..HEAD" if tag else "HEAD").splitlines()
    first = tag or (commits[min(len(commits) - 1, COMMITS)] if commits else "")
    return set(git(folder, "diff", "--name-only", first, "HEAD").splitlines()) if first else set()


def check_changelog(changed: set[str]) -> None:
    """Refuse changes of the product without a line for those who use it."""
    product = sorted(name for name in changed if name.startswith(PRODUCT))
    assert not product or "CHANGELOG.md" in changed, f"no line in CHANGELOG.md for {product[:3]}"


def test_a_change_of_the_product_has_its_line_in_the_changelog() -> None:
    check_changelog(changed_since_release(ROOT))


def test_a_change_without_its_line_would_be_found(tmp_path: Path) -> None:
    def commit(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        git(tmp_path, "add", name)
        git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", name)

    git(tmp_path, "init")
    commit("CHANGELOG.md", "# Changes")
    git(tmp_path, "tag", "v0.1.0")
    commit("model/network.py", "x = 1")
    with pytest.raises(AssertionError, match="no line in CHANGELOG"):
        check_changelog(changed_since_release(tmp_path))
    commit("CHANGELOG.md", "# Changes\n* A network.")

    check_changelog(changed_since_release(tmp_path))


def test_the_version_of_the_package_stands_in_the_changelog() -> None:
    setup = (ROOT / "setup.cfg").read_text()
    version = next(line for line in setup.splitlines() if line.startswith("version = ")).split()[2]

    assert f"## {version} " in (ROOT / "CHANGELOG.md").read_text()
