"""The policies of a channel that its hospitals rely on, and the words in which they compare them.

Whoever reads a channel's configuration says each policy in these words, and whoever compares it
with what the hospitals agreed on reads them again. A policy that is not so many of these
organisations has other words and is never taken for one that is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

PEERS: Final = "peers"
ADMINISTRATORS: Final = "administrators"

#: Who endorses: the chaincode's writes, and its definition.
ENDORSEMENT: Final = (
    "/Channel/Application/Endorsement",
    "/Channel/Application/LifecycleEndorsement",
)
#: Who changes the channel.
ADMINS: Final = ("/Channel/Admins", "/Channel/Application/Admins", "/Channel/Orderer/Admins")

_WORDS: Final = re.compile(rf"([1-9][0-9]*) of the ({PEERS}|{ADMINISTRATORS}) of (\S.*)")


@dataclass(frozen=True, slots=True)
class QuorumPolicy:
    """So many of some organisations, each with the same role.

    Attributes:
        least: How many must sign.
        role: `PEERS` or `ADMINISTRATORS`.
        msps: The organisations that count, sorted, each once.
    """

    least: int
    role: str
    msps: tuple[str, ...]

    def words(self) -> str:
        """Say it as a channel's facts do.

        >>> QuorumPolicy(3, PEERS, ("AMSP", "BMSP", "CMSP", "DMSP")).words()
        '3 of the peers of AMSP, BMSP, CMSP, DMSP'
        """
        return f"{self.least} of the {self.role} of {', '.join(self.msps)}"


def read_quorum_policy(words: str) -> QuorumPolicy | None:
    """Return the policy that words say, or nothing where they say another kind.

    >>> read_quorum_policy("2 of the peers of AMSP, BMSP")
    QuorumPolicy(least=2, role='peers', msps=('AMSP', 'BMSP'))
    >>> read_quorum_policy("a majority of the sub-policies Admins") is None
    True
    """
    found = _WORDS.fullmatch(words)
    if found is None:
        return None
    policy = QuorumPolicy(int(found[1]), found[2], tuple(found[3].split(", ")))
    return policy if policy.words() == words else None


def policy_fact(path: str) -> str:
    """Return the name under which a channel's facts have a policy.

    >>> policy_fact("/Channel/Admins")
    'policy /Channel/Admins'
    """
    return f"policy {path}"
