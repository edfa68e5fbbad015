"""How many hospitals may collude, and how many may be away, in one place and in the same words.

Colluders who only *pool* what they have follow the protocol and put everything they hold together.
Colluders who *cheat* also forge, withhold, lie, and fork the ledger with their own ordering nodes.
A hospital counts with its client, its peer, its ordering node and its administrators. Proof of
every number: docs/security.md, "How many may collude".
"""

from __future__ import annotations

from dataclasses import dataclass

from network.quorum import bft_quorum


@dataclass(frozen=True, slots=True)
class SafetyBounds:
    """What a round, or the smallest round that a study allows, is safe against.

    Attributes:
        cheating: Hospitals that may cheat and still learn nothing but the sum; 0 for none, and -1
            where whoever opens the sum learns a single update.
        pooling: Hospitals that may pool what they have and still learn nothing but the sum.
        away: Hospitals that may be away without stopping a round.
    """

    cheating: int
    pooling: int
    away: int


def safety_bounds(
    *, hospitals: int, threshold: int, contributors: int, contributors_min: int
) -> SafetyBounds:
    """Compute the bounds of a sum.

    * pooling = min(T - 1, |S| - 2): fewer than T points of a secret say nothing about it, and two
      honest contributors hide each other.
    * cheating = min(T - 1, |S| - 2, 2T - N - 1): two sets of contributors cannot both be answered
      for by enough honest hospitals. For more than 17 hospitals and a raised T it is the largest
      number for which that is proved.
    * away = N - max(T, k).

    Args:
        hospitals: N, members of the study.
        threshold: T, share sums that open a round.
        contributors: |S|, updates in the sum.
        contributors_min: k, the fewest updates in a sum.

    >>> safety_bounds(hospitals=4, threshold=3, contributors=4, contributors_min=3)
    SafetyBounds(cheating=1, pooling=2, away=1)
    >>> safety_bounds(hospitals=4, threshold=4, contributors=4, contributors_min=4)
    SafetyBounds(cheating=2, pooling=2, away=0)
    """
    pooling = max(-1, min(threshold - 1, contributors - 2))
    cheating = min(pooling, 2 * threshold - hospitals - 1)
    while cheating > 0 and not _few_versions(hospitals, threshold, cheating):
        cheating -= 1
    return SafetyBounds(cheating, pooling, hospitals - max(threshold, contributors_min))


def _few_versions(hospitals: int, threshold: int, cheating: int) -> bool:
    """Return whether the proof covers so many cheating hospitals.

    It does where at most two hospitals may be away, or where their ordering nodes can keep at most
    three versions of the ledger alive, (n - c) / (q - c) of them.
    """
    if hospitals - threshold <= 2:
        return True
    return hospitals - cheating < 4 * (bft_quorum(hospitals) - cheating)


def safety_words(bounds: SafetyBounds) -> str:
    """Say the bounds as they are said everywhere: the smaller number first.

    >>> safety_words(SafetyBounds(1, 2, 1))
    'safe against 1 hospital that cheats, 2 that only pool what they have; 1 may be away'
    >>> safety_words(SafetyBounds(2, 1, 0))
    'safe against 2 hospitals that cheat, 1 that only pools what it has; none may be away'
    >>> safety_words(SafetyBounds(-1, -1, 0))
    'not safe: whoever opens the sum learns a single update; none may be away'
    """
    away = f"{bounds.away} may be away" if bounds.away else "none may be away"
    return f"{collusion_words(bounds.cheating, bounds.pooling)}; {away}"


def collusion_words(cheating: int, pooling: int) -> str:
    """Say the two bounds of a sum that was made.

    >>> collusion_words(1, 2)
    'safe against 1 hospital that cheats, 2 that only pool what they have'
    """
    if pooling < 0:
        return "not safe: whoever opens the sum learns a single update"
    cheating = max(cheating, 0)
    first = (
        f"{cheating} hospital that cheats" if cheating == 1 else f"{cheating} hospitals that cheat"
    )
    second = (
        "1 that only pools what it has"
        if pooling == 1
        else f"{pooling} that only pool what they have"
    )
    return f"safe against {first}, {second}"
