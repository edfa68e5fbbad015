"""The documentation and the programs say the same."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "docs"))
import renew  # noqa: E402 - the program that makes these pages


def all_commands() -> list[tuple[click.Context, str]]:
    """Return the context of every command of both programs with the page that describes it."""
    return [
        (context, page)
        for program, (module, page) in renew.PROGRAMS.items()
        for context in renew.contexts(importlib.import_module(module).main, program)
    ]


def error_classes() -> list[type[Exception]]:
    """Return every error class of ours that ends a program with an exit code of its own."""
    found: set[type[Exception]] = set()
    for package in ("network", "chaincode", "peer_client", "model"):
        top = importlib.import_module(package)
        for info in pkgutil.walk_packages(top.__path__, package + "."):
            if info.name.startswith("model.") and "error" not in info.name:
                continue  # the model's modules load TensorFlow; its errors are in model.errors
            module = importlib.import_module(info.name)
            for _, kind in inspect.getmembers(module, inspect.isclass):
                if issubclass(kind, Exception) and isinstance(vars(kind).get("exit_code"), int):
                    found.add(kind)
    return sorted(found, key=lambda kind: kind.__name__)


@pytest.mark.parametrize(
    ("context", "page"), all_commands(), ids=lambda value: getattr(value, "command_path", "page")
)
def test_every_command_has_help_and_its_help_stands_in_the_documentation(
    context: click.Context, page: str
) -> None:
    assert context.command.help, f"{context.command_path} has no help"

    text = (ROOT / page).read_text()

    assert context.get_help().strip() in text, (
        f"{page} does not show `{context.command_path} --help`; run `make format` to renew it"
    )


def test_pages_made_from_the_programs_are_not_stale() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "renew.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_every_exit_code_has_a_page_that_names_its_error() -> None:
    missing = []
    for kind in error_classes():
        code: int = vars(kind)["exit_code"]
        page = ROOT / "docs" / "errors" / f"{code}.md"
        if not page.exists() or kind.__name__ not in page.read_text():
            missing.append(f"{code} {kind.__module__}.{kind.__name__}")

    assert not missing, missing


def test_every_error_page_belongs_to_an_error() -> None:
    codes = {vars(kind)["exit_code"] for kind in error_classes()} | {90, 91}
    pages = {int(page.stem) for page in (ROOT / "docs" / "errors").glob("[0-9]*.md")}

    assert pages <= codes, sorted(pages - codes)


def markdown_files() -> list[Path]:
    """Return the project's own pages."""
    return [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("page", markdown_files(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_local_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    broken = [
        link
        for link in links
        if not link.startswith(("http:", "https:", "mailto:"))
        and not (page.parent / link).resolve().exists()
    ]

    assert not broken, broken


def test_every_make_target_named_in_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", (ROOT / "README.md").read_text()))

    assert named <= targets, sorted(named - targets)


def test_nothing_names_a_path_of_the_machine_or_a_folder_outside_the_project() -> None:
    forbidden = re.compile(r"(?<![A-Za-z])/work/|\.\./shared|/root/|farm-|\.\./\.library")
    found = []
    for pattern in ("*.md", "*.py", "*.cfg", "*.toml", "*.yaml", "*.txt", "Makefile"):
        for path in ROOT.rglob(pattern):
            relative = path.relative_to(ROOT)
            if relative.parts[0] in {".venv", ".git"} or path == Path(__file__).resolve():
                continue
            if "node_modules" in relative.parts:
                continue
            if forbidden.search(path.read_text(errors="replace")):
                found.append(str(relative))

    assert not found, found
