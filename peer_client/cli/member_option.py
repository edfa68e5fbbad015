"""Who acts: `--member`, by name or by directory, before the command or after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from network.consortium.member import MEMBER_FILE
from network.runtime.folders import data_folder

OPTION: Final = "--member"
ROOT: Final = "CONSORTIUM_ROOT"


def with_member_first(arguments: Sequence[str]) -> list[str]:
    """Return a command line with `--member` before the command, wherever it stood.

    >>> with_member_first(["status", "--json", "--member", "ucsd"])
    ['--member', 'ucsd', 'status', '--json']
    >>> with_member_first(["predict", "--", "--member"])
    ['predict', '--', '--member']
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    first: list[str] = []
    rest: list[str] = []
    place = 0
    while place < end:
        one = arguments[place]
        if one == OPTION and place + 1 < end:
            first += [one, arguments[place + 1]]
            place += 1
        elif one.startswith(f"{OPTION}="):
            first.append(one)
        else:
            rest.append(one)
        place += 1
    return [*first, *rest, *arguments[end:]]


def member_directory(named: str | None, environment: Mapping[str, str]) -> Path | None:
    """Return the member's directory: what was named, or the member of that name under the root.

    Args:
        named: A directory, or the name of a member of the consortium under CONSORTIUM_ROOT; None
            where nobody was named.
        environment: Of the process.
    """
    if named is None:
        return None
    path = Path(named)
    if (path / MEMBER_FILE).exists() or path.name != named:
        return path
    root = Path(environment[ROOT]) if environment.get(ROOT) else data_folder()
    under_root = root / named
    return under_root if (under_root / MEMBER_FILE).exists() else path
