"""Routing by agreement line by line, for layers to be compared with."""

from __future__ import annotations

import numpy as np


def squash(vectors):
    squared = (vectors**2).sum(-1, keepdims=True)
    return vectors * squared / (1 + squared) / np.sqrt(squared + 1e-7)


def route(votes, bias, iterations):
    """Procedure 1 of Sabour et al. 2017, line by line, for votes (children, parents, size)."""
    logits = np.zeros(votes.shape[:2])
    for _ in range(iterations):
        coupling = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        parents = squash((coupling[:, :, None] * votes).sum(0) + bias)
        logits = logits + (votes * parents[None]).sum(-1)
    return parents
