"""Symbolic links in a data folder: they may not lead out of it.

A data folder may come from others, and a link in it could name any file of this machine. The
folder itself may be reached through links: whoever names it has chosen it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from peer_client.ct.errors import DataFolderError

_HINT: Final = "Copy the files themselves into the data folder, or take the link out."


def check_links(folder: Path, path: Path) -> None:
    """Refuse a path that leads out of a folder once its links are followed.

    Args:
        folder: The folder that was named.
        path: What is reached through it; it need not exist.

    Raises:
        DataFolderError: It leads out of the folder, or in a circle.
    """
    try:
        target = path.resolve()
        # A circle of links: Python up to 3.12 raises, later ones return a link.
        inside = not target.is_symlink() and target.is_relative_to(folder.resolve())
    except (OSError, RuntimeError):
        inside = False
    if not inside:
        raise DataFolderError(f"{path} is a link that leads out of {folder}", _HINT)


def files_inside(folder: Path, paths: Iterable[Path]) -> list[Path]:
    """Return the files among some paths, in rising order, none of which leads out of a folder.

    Raises:
        DataFolderError: A link leads out of the folder.
    """
    found = sorted(paths)
    for path in found:
        check_links(folder, path)
    return [path for path in found if path.is_file()]
