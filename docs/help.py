"""Write the real `--help` of every command into the documentation.

Replaces what stands between `<!-- help -->` and `<!-- /help -->` of docs/consortium.md and
docs/hospital-client.md. tests/documentation fails while they differ.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = {
    "consortium": ("network.cli", "docs/consortium.md"),
    "hospital-client": ("peer_client.cli.main", "docs/hospital-client.md"),
}


def help_texts(command: click.Command, words: str) -> Iterator[str]:
    """Yield the help of a command and of all beneath it."""
    context = click.Context(command, info_name=words, terminal_width=100)
    context.max_content_width = 100
    yield f"```text\n{command.get_help(context).strip()}\n```"
    if isinstance(command, click.Group):
        for name, child in sorted(command.commands.items()):
            yield from help_texts(child, f"{words} {name}")


def main() -> int:
    """Renew both pages."""
    sys.path.insert(0, str(ROOT))
    for program, (module, page) in PROGRAMS.items():
        command = importlib.import_module(module).main
        path = ROOT / page
        text = "\n\n".join(help_texts(command, program))
        renewed = re.sub(
            r"<!-- help -->.*<!-- /help -->",
            lambda _, text=text: f"<!-- help -->\n{text}\n<!-- /help -->",
            path.read_text(),
            flags=re.DOTALL,
        )
        path.write_text(renewed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
