"""Renew what the documentation takes from the programs.

* docs/consortium.md and docs/hospital-client.md: the real `--help` of every command, between
  `<!-- help -->` and `<!-- /help -->`;
* docs/errors/index.md and docs/adr/index.md: one line for each page beneath them;
* every page at the top and in docs/: wrapped at 110 columns, in the form of mdformat.

`--check` changes nothing and fails where a page would change; tests/documentation calls it.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import mdformat

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = {
    "consortium": ("network.cli", "docs/consortium.md"),
    "hospital-client": ("peer_client.cli.main", "docs/hospital-client.md"),
}
#: Width of every page; tables may be wider.
COLUMNS = 110
PACKAGES = ("network", "chaincode", "peer_client", "model")


def contexts(
    command: click.Command, name: str, parent: click.Context | None = None
) -> Iterator[click.Context]:
    """Yield a command's context and those of all beneath it, as a terminal would make them."""
    context = click.Context(
        command,
        info_name=name,
        parent=parent,
        terminal_width=100,
        max_content_width=100,
        **command.context_settings,
    )
    yield context
    if isinstance(command, click.Group):
        for child_name, child in sorted(command.commands.items()):
            yield from contexts(child, child_name, context)


def with_help(page: str, module: str, program: str) -> str:
    """Return a page with the present help between its two marks."""
    command = importlib.import_module(module).main
    helps = (context.get_help().strip() for context in contexts(command, program))
    text = "\n\n".join(f"```text\n{each}\n```" for each in helps)
    return re.sub(
        r"<!-- help -->.*<!-- /help -->",
        lambda _: f"<!-- help -->\n{text}\n<!-- /help -->",
        (ROOT / page).read_text(),
        flags=re.DOTALL,
    )


def title(page: Path) -> str:
    """Return a page's first heading."""
    return page.read_text().splitlines()[0].lstrip("# ").strip()


def owners() -> dict[int, str]:
    """Return which package each exit code belongs to: where a class says `exit_code = N`."""
    found: dict[int, set[str]] = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for code in re.findall(
                r"^    exit_code(?:: ClassVar\[int\])? = (\d+)$", path.read_text(), re.MULTILINE
            ):
                found.setdefault(int(code), set()).add(package)
    return {code: ", ".join(sorted(packages)) for code, packages in found.items()}


def errors_index() -> str:
    """Return the list of exit codes."""
    owner_of = owners()
    lines = ["# Exit codes", "", "A program ends with 0 when all went well, 2 when it was called"]
    lines += [
        "wrongly, 130 after Ctrl-C or a question that was not answered with yes, 129 and 143 after",
        "SIGHUP and SIGTERM, else with one of these.",
        "",
        "| code | error | whose |",
    ]
    lines += ["| --- | --- | --- |"]
    for page in sorted((ROOT / "docs/errors").glob("[0-9]*.md"), key=lambda page: int(page.stem)):
        name = title(page).removeprefix(page.stem).strip()
        owner = owner_of.get(int(page.stem), "setup")
        lines.append(f"| [{page.stem}]({page.name}) | {name} | {owner} |")
    return "\n".join(lines) + "\n"


def decisions_index() -> str:
    """Return the list of decision records."""
    lines = ["# Decisions", "", "Each names the options that lost.", ""]
    for page in sorted((ROOT / "docs/adr").glob("[0-9]*.md")):
        lines.append(f"* [{title(page)}]({page.name})")
    return "\n".join(lines) + "\n"


def renewed() -> dict[Path, str]:
    """Return every page that is made here with the text it should have."""
    pages = {
        ROOT / page: with_help(page, module, program)
        for program, (module, page) in PROGRAMS.items()
    }
    pages[ROOT / "docs/errors/index.md"] = errors_index()
    pages[ROOT / "docs/adr/index.md"] = decisions_index()
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        pages.setdefault(page, page.read_text())
    return {page: in_form(text) for page, text in sorted(pages.items())}


def in_form(text: str) -> str:
    """Return a page's text in the one form that all pages have."""
    options = {"wrap": COLUMNS, "number": True, "compact_tables": True}
    return mdformat.text(text, options=options, extensions={"gfm", "tables"})


def main() -> int:
    """Renew the pages, or with `--check` name those that are stale."""
    sys.path.insert(0, str(ROOT))
    stale = [
        path for path, text in renewed().items() if not path.exists() or path.read_text() != text
    ]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"stale: {path.relative_to(ROOT)} (run `make format`)", file=sys.stderr)
        return 1 if stale else 0
    pages = renewed()
    for path in stale:
        path.write_text(pages[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
