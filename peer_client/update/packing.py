"""Several small values in one slot of the encryption, and back out of a sum.

With B = N(L - 1) + 1 the slot is sum of u_k B**k for K values u_k in [0, L); adding up
to N such slots adds every field without a carry, because N(L - 1) < B. Value number
j K n + k n + i goes to field k of slot i of polynomial j, so that packing works on
whole rows. Unpacking a sum checks that every field is one that the counted updates
can add up to, that nothing lies above field K and that the padding is zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chaincode.roundkey.parameters import RING_DEGREE, RoundParameters
from peer_client.update.errors import PackedRangeError


def pack(values: NDArray[np.int64], parameters: RoundParameters) -> NDArray[np.int64]:
    """Pack values into slots.

    Args:
        values: Integers in [0, L), shape (count,), count at least 1. The caller has
            checked the range.
        parameters: The study's numbers.

    Returns:
        Slot values in [0, t), shape (ceil(count / (K n)), 4096); unused places hold 0.

    >>> from chaincode.roundkey.parameters import derive
    >>> p = derive(4, 8, 3)
    >>> slots = pack(np.array([1, 2, 3]), p)
    >>> slots.shape, slots[0, :4].tolist(), unpack(slots, 3, p, contributors=1).tolist()
    ((1, 4096), [1, 2, 3, 0], [1, 2, 3])
    """
    in_polynomial = parameters.fields * RING_DEGREE
    polynomials = -(-values.size // in_polynomial)
    if values.size % in_polynomial:
        padded = np.zeros(polynomials * in_polynomial, np.int64)
        padded[: values.size] = values
    else:
        padded = values
    fields = padded.reshape(polynomials, parameters.fields, RING_DEGREE)
    slots = fields[:, -1].copy()
    for field in range(parameters.fields - 2, -1, -1):  # Horner
        slots *= parameters.field_base
        slots += fields[:, field]
    if padded is not values:
        padded.fill(0)  # a copy of the update: only the caller's is left
    return slots


def unpack(
    slots: NDArray[np.int64], count: int, parameters: RoundParameters, *, contributors: int
) -> NDArray[np.int64]:
    """Unpack the sum of several packed updates, or refuse it.

    Args:
        slots: Slot values in [0, t), shape (polynomials, 4096).
        count: How many values were packed.
        parameters: The study's numbers.
        contributors: How many updates were summed.

    Returns:
        Field sums in [0, contributors (L - 1)], shape (count,).

    Raises:
        PackedRangeError: A field is larger than honest updates can sum to, something
            lies above the last field, or the padding is not zero.
    """
    base = np.uint64(parameters.field_base)
    rest = slots.view(np.uint64)
    fields = np.empty((len(slots), parameters.fields, RING_DEGREE), np.int64)
    for field in range(parameters.fields):
        above = rest // base
        fields[:, field] = rest - above * base
        rest = above
    values = fields.reshape(-1)
    limit = contributors * (parameters.levels - 1)
    largest = int(values.max())
    if bool(rest.any()):
        raise PackedRangeError("a slot of the sum holds more than its fields can")
    if largest > limit:
        raise PackedRangeError(
            f"a field of the sum is {largest}; {contributors} updates reach at most {limit}"
        )
    if bool(values[count:].any()):
        raise PackedRangeError("the padding of the sum is not zero")
    return values[:count]
