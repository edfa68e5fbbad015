"""Where this application keeps what it must keep, and what it can make again.

The folders of the XDG base directory specification, by platformdirs: XDG_DATA_HOME and
XDG_CACHE_HOME where they are set.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import platformdirs

APPLICATION: Final = "capsule-consortium"


def data_folder() -> Path:
    """Return the folder of members, ledgers and models."""
    return Path(platformdirs.user_data_path(APPLICATION))


def cache_folder() -> Path:
    """Return the folder of builds and normalised slices, which can be made again."""
    return Path(platformdirs.user_cache_path(APPLICATION))
