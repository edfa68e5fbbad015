"""Exact arithmetic modulo q on numpy arrays of unsigned 64-bit integers.

Every function works element by element, on arrays of any shape, and gives the
canonical residue in [0, q). There is no float, no long double and no branch on
a value, so every machine gives the same bits. Inputs that are not residues
below q are refused nowhere here: `chaincode.records.sums` checks bytes before they
become residues.

q = 2**60 - 2**14 + 1, hence 2**60 = C modulo q with C = 2**14 - 1: the high bits
of a number fold back onto the low ones with one small product.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from chaincode.roundkey.parameters import MODULUS

Residues = NDArray[np.uint64]
Integers = NDArray[np.int64]

Q: Final = np.uint64(MODULUS)
FOLD: Final = np.uint64(2**14 - 1)  # 2**60 modulo q
MASK_60: Final = np.uint64(2**60 - 1)
MASK_46: Final = np.uint64(2**46 - 1)
MASK_32: Final = np.uint64(2**32 - 1)
MASK_30: Final = np.uint64(2**30 - 1)
SHIFT_30: Final = np.uint64(30)
SHIFT_32: Final = np.uint64(32)
SHIFT_46: Final = np.uint64(46)
SHIFT_60: Final = np.uint64(60)


def fold(numbers: Residues) -> Residues:
    """Bring any 64-bit numbers below 2**60 + 2**18 without changing their class.

    Args:
        numbers: Any values, any shape.

    Returns:
        Values of the same class modulo q. The top four bits, at most 15, count
        15 C < 2**18.
    """
    folded: Residues = (numbers & MASK_60) + (numbers >> SHIFT_60) * FOLD
    return folded


def reduce(numbers: Residues) -> Residues:
    """The canonical residue in [0, q) of any 64-bit numbers.

    Args:
        numbers: Any values, any shape.

    Returns:
        Residues.

    >>> reduce(np.array([MODULUS, 2**64 - 1], np.uint64)).tolist() == [0, (2**64 - 1) % MODULUS]
    True
    """
    folded = fold(numbers)
    # Below q the subtraction wraps around to a huge number, so the smaller one is right.
    reduced: Residues = np.minimum(folded, folded - Q)
    return reduced


def add(left: Residues, right: Residues) -> Residues:
    """Sum modulo q of residues.

    Args:
        left: Residues below q.
        right: Residues below q, a shape that broadcasts.

    Returns:
        Residues.
    """
    total = left + right
    residues: Residues = np.minimum(total, total - Q)
    return residues


def subtract(left: Residues, right: Residues) -> Residues:
    """Difference modulo q of residues.

    Args:
        left: Residues below q.
        right: Residues below q, a shape that broadcasts.

    Returns:
        Residues.
    """
    difference = left - right
    residues: Residues = np.minimum(difference, difference + Q)
    return residues


def negate(residues: Residues) -> Residues:
    """Negative modulo q of residues.

    Args:
        residues: Residues below q.

    Returns:
        Residues; zero stays zero.
    """
    return subtract(np.zeros_like(residues), residues)


def multiply(left: Residues, right: Residues) -> Residues:
    """Product modulo q of residues, from 30-bit halves.

    With l = l1 2**30 + l0 and r likewise, h = l1 r1 and mid = l1 r0 + l0 r1 the
    product is h 2**60 + mid 2**30 + l0 r0. As 2**60 = C, the high part h C is
    split once more at bit 46, because 2**46 C = 2**60 - 2**46 = C - 2**46. All
    partial sums stay below 5 * 2**60 < 2**64.

    Args:
        left: Residues below q.
        right: Residues below q, a shape that broadcasts.

    Returns:
        Residues.

    >>> x = np.array([MODULUS - 1], np.uint64)
    >>> int(multiply(x, x)[0])
    1
    """
    left_high, left_low = left >> SHIFT_30, left & MASK_30
    right_high, right_low = right >> SHIFT_30, right & MASK_30
    high = left_high * right_high
    middle = left_high * right_low
    middle += left_low * right_high
    total: Residues = left_low * right_low
    high_top = high >> SHIFT_46
    high &= MASK_46
    high += high_top
    high += middle >> SHIFT_30
    high *= FOLD
    total += high
    middle &= MASK_30
    middle <<= SHIFT_30
    total += middle
    high_top <<= SHIFT_46
    total += Q
    total -= high_top
    return reduce(total)


def multiply_constant(numbers: Residues, factor: int) -> Residues:
    """Product modulo q with one known factor (Shoup's method).

    With f = floor(factor 2**64 / q), the high half of numbers * f is the
    quotient but for an error below 4, so one fold and one comparison finish it.

    Args:
        numbers: Any 64-bit values, any shape.
        factor: Any integer; taken modulo q.

    Returns:
        Residues.

    >>> int(multiply_constant(np.array([2**64 - 1], np.uint64), -1)[0]) == -(2**64 - 1) % MODULUS
    True
    """
    reduced = factor % MODULUS
    quotient = (reduced << 64) // MODULUS
    quotient_high, quotient_low = np.uint64(quotient >> 32), np.uint64(quotient & 0xFFFFFFFF)
    high, low = numbers >> SHIFT_32, numbers & MASK_32
    estimate = high * quotient_high
    estimate += (high * quotient_low) >> SHIFT_32
    estimate += (low * quotient_high) >> SHIFT_32
    # Modulo 2**64 on purpose: the true difference lies in [0, 4q).
    return reduce(numbers * np.uint64(reduced) - estimate * Q)


def lift(integers: NDArray[np.signedinteger]) -> Residues:
    """Residues of signed integers.

    Args:
        integers: Values in (-q, q), any shape.

    Returns:
        Residues.

    >>> lift(np.array([-1, 5])).tolist() == [MODULUS - 1, 5]
    True
    """
    wide = integers.astype(np.int64)
    # The shifted sign is -1 for negatives and 0 else: adds q without a branch.
    wide += (wide >> np.int64(63)) & np.int64(MODULUS)
    return wide.view(np.uint64)


def centre(residues: Residues) -> Integers:
    """The representative of each residue in (-q/2, q/2).

    Args:
        residues: Residues below q.

    Returns:
        Signed integers.

    >>> centre(np.array([MODULUS - 1, 5], np.uint64)).tolist()
    [-1, 5]
    """
    signed = residues.astype(np.int64)
    signed -= np.where(signed > MODULUS // 2, np.int64(MODULUS), np.int64(0))
    return signed
