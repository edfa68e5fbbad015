"""How many hospitals must agree before anything is written for all of them.

One number, used by the channel's policies, by the in-memory ledger and by the parameters of the
encryption, so that the three cannot drift apart. Pure arithmetic.
"""

from __future__ import annotations


def hospital_quorum(hospitals: int) -> int:
    """Return T, the least number of hospitals that endorses, administers or opens a sum.

    T = floor(2N/3) + 1: any two groups of T hospitals share more than N/3 of them, so fewer than
    2T - N hospitals cannot have two different statements accepted (docs/security.md).

    Args:
        hospitals: N, at least 1.

    Raises:
        ValueError: There is no hospital.

    >>> [hospital_quorum(hospitals) for hospitals in (1, 3, 4, 5, 7, 10, 20)]
    [1, 3, 3, 4, 5, 7, 14]
    """
    if hospitals < 1:
        raise ValueError(f"a quorum of {hospitals} hospitals does not exist")
    return 2 * hospitals // 3 + 1


def bft_quorum(nodes: int) -> int:
    """Return how many of the ordering nodes must have signed a block.

    ceil((n + f + 1) / 2) with f = floor((n - 1) / 3): any two such groups share an honest node
    (SmartBFT, internal/bft/util.go, computeQuorum).

    >>> [bft_quorum(nodes) for nodes in (1, 4, 5, 7, 10)]
    [1, 3, 4, 5, 7]
    """
    faulty = (nodes - 1) // 3
    return (nodes + faulty + 2) // 2
