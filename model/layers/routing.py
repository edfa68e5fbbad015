"""Routing by agreement: votes of child capsules become parent capsules.

The one place of the routing loop; every capsule layer that has votes calls it. It makes no votes
and holds no weights.
"""

from __future__ import annotations

from keras import ops

from model.layers.squash import squash
from model.tensors import Tensor


def route_by_agreement(votes: Tensor, bias: Tensor, *, iterations: int) -> Tensor:
    """Couple each child to the parents that its votes agree with.

    Formula, for child i and parent j (Sabour et al. 2017, equations 1 to 3, procedure 1):

        b_ij = 0
        repeat: c_ij = exp(b_ij) / sum_k exp(b_ik)        (equation 3)
                s_j  = sum_i c_ij u_j|i + bias_j          (equation 2)
                v_j  = squash(s_j)                        (equation 1)
                b_ij = b_ij + u_j|i . v_j

    The couplings are treated as constants by the gradient: it flows through the last weighted sum
    only. That halves the memory and costs no accuracy that was measured (docs/model.md).

    Args:
        votes: float32, shape `(batch, children, *places, parents, size)`: what each child predicts
            for each parent (`u_j|i`).
        bias: float32, shape `(parents, size)`.
        iterations: Routing steps, at least 1. One step is a plain mean of the votes.

    Returns:
        float32, shape `(batch, *places, parents, size)`; each vector's length lies in [0, 1).
    """
    parents = votes.shape[-2]
    fixed_votes = votes if iterations == 1 else ops.stop_gradient(votes)
    fixed_bias = bias if iterations == 1 else ops.stop_gradient(bias)
    # All b_ij are zero at first, so every coupling is 1 / parents.
    total = ops.sum(fixed_votes, axis=1) * (1.0 / parents) + fixed_bias
    agreement: Tensor = None
    for iteration in range(1, iterations):
        last = iteration == iterations - 1
        parent = ops.expand_dims(squash(total), 1)
        step = ops.sum(fixed_votes * parent, axis=-1)
        agreement = step if agreement is None else agreement + step
        coupling = ops.expand_dims(ops.softmax(agreement, axis=-1), -1)
        total = ops.sum(coupling * (votes if last else fixed_votes), axis=1)
        total = total + (bias if last else fixed_bias)
    return squash(total)
