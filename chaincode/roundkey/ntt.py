"""Number-theoretic transform of the ring Z_q[x]/(x^4096 + 1), in SEAL's order.

`forward` takes coefficients to values (psi to the odd powers, bit-reversed
order), `inverse` back; in between, multiplying polynomials is multiplying
numbers. psi is the smallest primitive 8192nd root of unity modulo q, as in SEAL,
so the values are byte for byte those inside Pyfhel's BGV ciphertexts.

The twelve layers are the Cooley-Tukey butterflies of Longa and Naehrig (2016,
algorithms 1 and 2), done as twice six layers on a 64 x 64 arrangement with a
transposition between, several polynomials side by side, so that numpy works on
long rows. Values are reduced lazily: the comments at the lines give the bounds.
The functions take residues below q and refuse nothing else than a wrong length.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from chaincode.roundkey.parameters import MODULUS, RING_DEGREE
from chaincode.roundkey.ring import (
    FOLD,
    MASK_32,
    MASK_60,
    SHIFT_32,
    SHIFT_60,
    Q,
    Residues,
    fold,
    multiply_constant,
    reduce,
)

SIDE: Final = 64  # RING_DEGREE = SIDE * SIDE
LAYERS: Final = 6  # of each half
#: Polynomials side by side in the bulk; a row of 64 * 8 numbers and its scratch stay in cache.
BATCH: Final = 8
FOUR_Q: Final = np.uint64(4 * MODULUS)
TWO_Q: Final = np.uint64(2 * MODULUS)
INVERSE_DEGREE: Final = pow(RING_DEGREE, -1, MODULUS)


@dataclass(frozen=True, slots=True)
class Twiddle:
    """Factors of one layer with Shoup's quotients floor(factor 2**64 / q), in two halves."""

    factor: Residues
    quotient_high: Residues
    quotient_low: Residues


@dataclass(frozen=True, slots=True)
class Tables:
    """Factors of both halves, one entry a layer."""

    first: tuple[Twiddle, ...]
    second: tuple[Twiddle, ...]


def forward(polynomials: Residues) -> Residues:
    """Values of polynomials at the odd powers of psi.

    Args:
        polynomials: Residues, shape (..., 4096), coefficient of x^i at place i.

    Returns:
        Residues, same shape, in SEAL's bit-reversed order.

    Raises:
        ValueError: The last axis is not 4096 long.
    """
    rows = _rows(polynomials)
    result = np.empty_like(rows)
    for start, stop, batch in _batches(len(rows)):
        tables = _tables(batch)[0]
        # Arrangement (high index, low index, polynomial): first the six layers that pair
        # high indices, then, transposed, the six that pair low ones.
        # Always a copy: the layers work in place, and the transpose of one row is still a view.
        block = np.array(_padded(rows[start:stop], batch).T, order="C")
        _forward_half(block, tables.first)
        block = _transposed(block, batch)
        _forward_half(block, tables.second)
        values = reduce(block).reshape(SIDE, SIDE, batch).transpose(2, 1, 0)
        result[start:stop] = values.reshape(batch, RING_DEGREE)[: stop - start]
    return result.reshape(polynomials.shape)


def inverse(values: Residues) -> Residues:
    """Coefficients of the polynomials with these values.

    Args:
        values: Residues, shape (..., 4096), in SEAL's order.

    Returns:
        Residues, same shape: `inverse(forward(x))` is x.

    Raises:
        ValueError: The last axis is not 4096 long.
    """
    rows = _rows(values)
    result = np.empty_like(rows)
    for start, stop, batch in _batches(len(rows)):
        tables = _tables(batch)[1]
        arranged = _padded(rows[start:stop], batch).reshape(batch, SIDE, SIDE)
        block = np.array(arranged.transpose(2, 1, 0), order="C")
        _inverse_half(block, tables.second)
        block = _transposed(block, batch)
        _inverse_half(block, tables.first)
        scaled = multiply_constant(block.reshape(RING_DEGREE, batch), INVERSE_DEGREE)
        result[start:stop] = scaled.T[: stop - start]
    return result.reshape(values.shape)


@lru_cache(maxsize=1)
def smallest_root() -> int:
    """psi, the smallest number with psi**4096 = -1 modulo q.

    Returns:
        The root SEAL chooses for this prime.

    >>> smallest_root()
    116777451583545
    """
    # Any number that is no square gives a root of order 2n this way.
    base = 2
    while pow(base, (MODULUS - 1) // 2, MODULUS) == 1:
        base += 1
    root = pow(base, (MODULUS - 1) // (2 * RING_DEGREE), MODULUS)
    square, smallest, power = root * root % MODULUS, root, root
    for _ in range(RING_DEGREE):
        smallest = min(smallest, power)
        power = power * square % MODULUS
    return smallest


@lru_cache(maxsize=4)
def _tables(batch: int) -> tuple[Tables, Tables]:
    """Factors for the forward and the inverse transform of `batch` polynomials at once."""
    root = smallest_root()
    powers = [1] * RING_DEGREE
    for i in range(1, RING_DEGREE):
        powers[i] = powers[i - 1] * root % MODULUS
    bits = 2 * LAYERS
    reversed_index = [int(format(i, f"0{bits}b")[::-1], 2) for i in range(RING_DEGREE)]
    ahead = [powers[r] for r in reversed_index]
    # psi**-r = -psi**(4096 - r)
    back = [MODULUS - powers[RING_DEGREE - r] if r else 1 for r in reversed_index]
    return _arranged(ahead, batch), _arranged(back, batch)


def _arranged(factors: list[int], batch: int) -> Tables:
    quotients = [(factor << 64) // MODULUS for factor in factors]
    columns = (
        np.array(factors, np.uint64),
        np.array([quotient >> 32 for quotient in quotients], np.uint64),
        np.array([quotient & 0xFFFFFFFF for quotient in quotients], np.uint64),
    )
    first, second = [], []
    for layer in range(LAYERS):
        blocks = 1 << layer
        first.append(Twiddle(*(c[blocks : 2 * blocks].reshape(blocks, 1, 1) for c in columns)))
        # Layer 6 + l of the whole transform has 64 * 2**l blocks; after the transposition the
        # block within a row is the first axis and the row runs along the last.
        index = SIDE * blocks + np.arange(SIDE)[None, :] * blocks + np.arange(blocks)[:, None]
        second.append(
            Twiddle(
                *(
                    np.repeat(c[index], batch, axis=1).reshape(blocks, 1, SIDE * batch)
                    for c in columns
                )
            )
        )
    return Tables(tuple(first), tuple(second))


def _forward_half(block: Residues, twiddles: tuple[Twiddle, ...]) -> None:
    """Six layers of Cooley-Tukey butterflies in place: (x, y) to (x + w y, x - w y)."""
    product = np.empty(block.size // 2, np.uint64)
    scratch = np.empty_like(product)
    row = block.size // SIDE
    for layer, twiddle in enumerate(twiddles):
        blocks = 1 << layer
        pairs = block.reshape(blocks, 2, SIDE // 2 // blocks, row)
        upper, lower = pairs[:, 0], pairs[:, 1]
        times, work = product.reshape(upper.shape), scratch.reshape(upper.shape)
        _multiply_lazily(lower, twiddle, times, work)  # below 4q
        if layer % 3 == 0:  # upper is below 2**60 + 2**18 here, then 5q, 9q, 13q < 2**64
            np.right_shift(upper, SHIFT_60, out=work)
            np.multiply(work, FOLD, out=work)
            np.bitwise_and(upper, MASK_60, out=upper)
            np.add(upper, work, out=upper)
        np.subtract(upper, times, out=lower)
        np.add(lower, FOUR_Q, out=lower)
        np.add(upper, times, out=upper)


def _inverse_half(block: Residues, twiddles: tuple[Twiddle, ...]) -> None:
    """Six layers of Gentleman-Sande butterflies in place: (x, y) to (x + y, w (x - y))."""
    product = np.empty(block.size // 2, np.uint64)
    scratch = np.empty_like(product)
    row = block.size // SIDE
    for layer in range(LAYERS - 1, -1, -1):
        blocks = 1 << layer
        pairs = block.reshape(blocks, 2, SIDE // 2 // blocks, row)
        upper, lower = pairs[:, 0], pairs[:, 1]  # both below 2**60 + 2**18
        times, work = product.reshape(upper.shape), scratch.reshape(upper.shape)
        difference = upper - lower
        difference += TWO_Q  # positive
        total = fold(upper + lower)
        _multiply_lazily(difference, twiddles[layer], times, work)
        upper[...] = total
        lower[...] = fold(times)


def _multiply_lazily(
    numbers: Residues, twiddle: Twiddle, product: Residues, work: Residues
) -> None:
    """Write numbers * factor modulo q, below 4q, into `product`, for any 64-bit numbers (Shoup).

    Each of the three partial products of the quotient loses less than one when
    cut, and the quotient table itself less than one.
    """
    np.right_shift(numbers, SHIFT_32, out=work)
    np.multiply(work, twiddle.quotient_low, out=product)
    np.right_shift(product, SHIFT_32, out=product)
    np.multiply(work, twiddle.quotient_high, out=work)
    np.add(product, work, out=product)
    np.bitwise_and(numbers, MASK_32, out=work)
    np.multiply(work, twiddle.quotient_high, out=work)
    np.right_shift(work, SHIFT_32, out=work)
    np.add(product, work, out=product)
    np.multiply(product, Q, out=product)
    np.multiply(numbers, twiddle.factor, out=work)
    np.subtract(work, product, out=product)


def _rows(polynomials: Residues) -> Residues:
    if polynomials.ndim == 0 or polynomials.shape[-1] != RING_DEGREE:
        raise ValueError(f"{RING_DEGREE} coefficients expected, got {polynomials.shape}")
    return np.ascontiguousarray(polynomials, np.uint64).reshape(-1, RING_DEGREE)


def _batches(count: int) -> list[tuple[int, int, int]]:
    """(start, stop, polynomials side by side): a single one is not padded to eight."""
    if count == 1:
        return [(0, 1, 1)]
    return [(start, min(start + BATCH, count), BATCH) for start in range(0, count, BATCH)]


def _padded(rows: Residues, batch: int) -> NDArray[np.uint64]:
    if len(rows) == batch:
        return rows
    return np.concatenate([rows, np.zeros((batch - len(rows), RING_DEGREE), np.uint64)])


def _transposed(block: Residues, batch: int) -> Residues:
    return np.ascontiguousarray(block.reshape(SIDE, SIDE, batch).transpose(1, 0, 2))
