"""Files that come with the programs: the example topology, example studies, pages of exit codes.

In a checkout they are read where they are kept. A wheel carries copies (setup.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent.parent
_COPIES: Final = _PACKAGE / "shipped"


def shipped(name: str) -> Path:
    """Return where a shipped file is.

    Args:
        name: Its place in the repository, such as "examples/phantoms.yaml".

    >>> shipped("crypto-config.yaml").name
    'crypto-config.yaml'
    """
    return (_COPIES if _COPIES.is_dir() else _PACKAGE.parent) / name
