"""How far a proposal's time may be from a peer's clock: one number for peers and studies.

Every peer refuses a proposal outside the window (Fabric's auth filter TimeWindowCheck,
`peer.authentication.timewindow`), so no client alone sets the ledger's clock. A study's deadlines
are longer than the window on both sides, or the window would decide who misses them.
"""

from __future__ import annotations

from typing import Final

#: Seconds before and after a peer's own clock in which a proposal's time must lie.
TIME_WINDOW_S: Final = 30
#: Least deadline of a study's phase, seconds.
DEADLINE_MIN_S: Final = 2 * TIME_WINDOW_S
