"""Keep a process that handles secrets from leaving them in a core dump."""

from __future__ import annotations

import resource


def forbid_core_dumps() -> None:
    """Set the largest core dump to zero, for good; the command line calls it first.

    The hard limit too, so that no child can raise it again.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
