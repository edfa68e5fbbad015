"""Shares of round secrets: from share sums to the round key, and what proves it right.

A round secret is shared coefficient by coefficient with polynomials of degree
T - 1 over the field of p = 65521 elements (Shamir, 1979); hospital number x holds
the value at x. Shares add: the sum of the shares that a hospital holds from the
contributors is its share of the sum of their secrets, the round key.

This module interpolates T share sums, checks a round key and, for a client,
searches the T honest ones among false ones. It never sees a single secret. It
refuses values outside the field, a key that is not short, and a key that does
not open the sum of the key checks to zero. Shortness alone is not enough: a liar
who knows the T senders can move one coefficient by one (docs/security.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import combinations, islice
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from chaincode.roundkey import ntt, ring
from chaincode.roundkey.expansion import expand
from chaincode.roundkey.parameters import (
    MODULUS,
    NOISE_BOUND,
    RING_DEGREE,
    SHARE_BYTES,
    SHARE_PRIME,
    RoundParameters,
)

Shares = NDArray[np.uint16]
ShareSums = Mapping[int, Shares]

#: Coordinates on which a subset is tried first, and subsets tried at once.
FILTER_COORDINATES: Final = 32
SUBSETS_AT_ONCE: Final = 1 << 14
CANDIDATES_AT_ONCE: Final = 256


class AggregateKeyError(ValueError):
    """A round key or share sum is not what the round's ciphertexts prove it must be."""

    exit_code: ClassVar[int] = 51
    hint: ClassVar[str] = (
        "Name other share sums, or wait for more of them; if no key is found the round's dealers "
        "did not share what they encrypted under, and the hospitals give the round up by vote."
    )


@dataclass(frozen=True, slots=True)
class FoundRoundKey:
    """A checked round key and who did and did not tell the truth."""

    round_key: ring.Integers  # shape (4096,), centred
    senders: tuple[int, ...]  # points of T share sums that interpolate to it
    false_senders: tuple[int, ...]  # points whose share sum lies off their polynomial
    colluders_to_frame: int  # fewest liars in agreement that could make honest ones look false


def read_share_sum(content: bytes) -> Shares:
    """Decode and check the share sum that a hospital published.

    Args:
        content: 8192 bytes, 16-bit values, little-endian.

    Returns:
        Values below p, shape (4096,).

    Raises:
        AggregateKeyError: Another length, or a value that is not below p.
    """
    if len(content) != SHARE_BYTES:
        raise AggregateKeyError(f"a share sum has {SHARE_BYTES} bytes, not {len(content)}")
    values = np.frombuffer(content, "<u2").astype(np.uint16)
    largest = int(values.max())
    if largest >= SHARE_PRIME:
        raise AggregateKeyError(f"a share sum holds {largest}; values are below {SHARE_PRIME}")
    return values


def write_round_key(round_key: ring.Integers) -> bytes:
    """Encode a round key as the ledger keeps it.

    Args:
        round_key: Centred coefficients, shape (4096,).

    Returns:
        8192 bytes, signed 16-bit values, little-endian.

    Raises:
        AggregateKeyError: A coefficient does not fit 16 bits.
    """
    if round_key.shape != (RING_DEGREE,) or int(np.abs(round_key).max()) > SHARE_PRIME // 2:
        raise AggregateKeyError("a round key has 4096 coefficients of at most 32760 in magnitude")
    return round_key.astype("<i2").tobytes()


def read_round_key(content: bytes) -> ring.Integers:
    """Decode a round key.

    Args:
        content: 8192 bytes, as `write_round_key` gives.

    Returns:
        Centred coefficients, shape (4096,).

    Raises:
        AggregateKeyError: Another length.
    """
    if len(content) != SHARE_BYTES:
        raise AggregateKeyError(f"a round key has {SHARE_BYTES} bytes, not {len(content)}")
    return np.frombuffer(content, "<i2").astype(np.int64)


def lagrange_weights(points: Sequence[int], at: int = 0) -> tuple[int, ...]:
    """Weights that turn values at the points into the value at another point, modulo p.

    Args:
        points: Different numbers from 1 to p - 1.
        at: Where the polynomial is evaluated.

    Returns:
        prod over j of (at - x_j) / (x_i - x_j), one for each x_i.

    Raises:
        AggregateKeyError: A point comes twice or lies outside the field.

    >>> lagrange_weights((1, 2, 3))
    (3, 65518, 1)
    """
    if len(set(points)) != len(points) or not all(0 < x < SHARE_PRIME for x in points):
        raise AggregateKeyError(
            f"evaluation points {list(points)} are not different and in the field"
        )
    weights = []
    for i, x_i in enumerate(points):
        weight = 1
        for j, x_j in enumerate(points):
            if i != j:
                weight = weight * (at - x_j) % SHARE_PRIME * pow(x_i - x_j, -1, SHARE_PRIME)
                weight %= SHARE_PRIME
        weights.append(weight)
    return tuple(weights)


def interpolate(share_sums: ShareSums) -> ring.Integers:
    """The secret behind T shares, centred.

    Args:
        share_sums: Evaluation point to values below p, shape (4096,).

    Returns:
        Coefficients in [-32760, 32760], shape (4096,). With T - 1 shares, or a
        false one, they are simply others: `check_round_key` tells.

    Raises:
        AggregateKeyError: As for `lagrange_weights`.
    """
    points = sorted(share_sums)
    return _centred(_combine(share_sums, points, 0))


def evaluate_at(share_sums: ShareSums, point: int) -> Shares:
    """The share that belongs to a point on the polynomial through these.

    Args:
        share_sums: T shares, evaluation point to values below p.
        point: Where.

    Returns:
        Values below p, shape (4096,).

    Raises:
        AggregateKeyError: As for `lagrange_weights`.
    """
    return _combine(share_sums, sorted(share_sums), point).astype(np.uint16)


def false_senders(share_sums: ShareSums, senders: Sequence[int]) -> tuple[int, ...]:
    """Who published a share sum off the polynomial of the senders that were proved right.

    What that proves, and against how many colluders: `colluders_to_frame`.

    Args:
        share_sums: All share sums of the round.
        senders: Points of the T whose key passed `check_round_key`.

    Returns:
        Points, ascending.

    Raises:
        AggregateKeyError: As for `lagrange_weights`.
    """
    proved = {point: share_sums[point] for point in senders}
    return tuple(
        point
        for point in sorted(share_sums)
        if point not in proved and not np.array_equal(evaluate_at(proved, point), share_sums[point])
    )


def colluders_to_frame(answers_on_polynomial: int, threshold: int) -> int:
    """How many hospitals must lie in agreement for honest share sums to look false.

    The key check proves the value at 0, not the polynomial. Liars who all add g(x)
    for one g of degree T - 1 with g(0) = 0 leave the key as it is, and then those
    honest hospitals look false at whose points g is not zero. g has at most T - 2
    further roots, so of the answers on the polynomial at most T - 2 are honest and
    the others lie together. One liar alone can never do it. A verdict counts only
    against a smaller number of colluders than this; nothing acts on it by itself.

    Args:
        answers_on_polynomial: Share sums on the recorded polynomial, the senders' T
            included.
        threshold: T.

    Returns:
        The number, at least 2.

    >>> colluders_to_frame(3, 3), colluders_to_frame(19, 14)
    (2, 7)
    """
    return answers_on_polynomial - threshold + 2


def check_round_key(
    round_key: ring.Integers,
    check_sum: ring.Residues,
    *,
    study: str,
    round_number: int,
    parameters: RoundParameters,
    contributors: int,
) -> None:
    """Prove that a key is the sum of the contributors' secrets, or refuse it.

    The sum of the key checks is c = sum of (-a s_i + t e_i). For the true key K
    the polynomial c + a K is t times a sum of errors: divisible by t, no
    coefficient above eta |S| after division. For uniform a, the expected number
    of other short keys that pass is below 2**-80000 (docs/security.md).

    Args:
        round_key: Centred coefficients, shape (4096,).
        check_sum: Sum of the contributors' last polynomials, residues in NTT
            order, shape (4096,).
        study: Name of the study.
        round_number: Number of the round.
        parameters: The study's numbers.
        contributors: |S|, updates in the sum.

    Raises:
        AggregateKeyError: The key is not short, or opens the key check to something
            else than zero.
    """
    bound = NOISE_BOUND * contributors
    largest = int(np.abs(round_key).max())
    if largest > bound:
        raise AggregateKeyError(
            f"the key reaches {largest}, a sum of {contributors} secrets at most {bound}"
        )
    public = expand(study, round_number, 1, first=parameters.polynomials)[0]
    product = ring.multiply(public, ntt.forward(ring.lift(round_key)))
    opened = ring.centre(ntt.inverse(ring.add(check_sum, product)))
    modulus = parameters.plaintext_modulus
    if bool((opened % modulus).any()) or int(np.abs(opened // modulus).max()) > bound:
        raise AggregateKeyError("the key does not open the sum of the key checks to zero")


def find_round_key(
    share_sums: ShareSums,
    check_sum: ring.Residues,
    *,
    study: str,
    round_number: int,
    parameters: RoundParameters,
    contributors: int,
) -> FoundRoundKey:
    """Search T share sums whose key passes the check (for a client; T honest ones suffice).

    The first T are tried at once. If they fail, all subsets are: on the
    coordinates where the sums disagree, a wrong subset gives values all over the
    field, so nearly all are rejected on a few of them; what survives is
    interpolated in full and meets one coefficient of the key check, then all.

    Args:
        share_sums: All share sums of the round, point to values below p.
        check_sum: As for `check_round_key`.
        study: As for `check_round_key`.
        round_number: As for `check_round_key`.
        parameters: As for `check_round_key`.
        contributors: As for `check_round_key`.

    Returns:
        The key, T senders, those whose share sum lies off their polynomial, and how
        sure that is.

    Raises:
        AggregateKeyError: Fewer than T share sums, or no subset gives a key.
    """
    threshold = parameters.threshold
    if len(share_sums) < threshold:
        raise AggregateKeyError(f"{len(share_sums)} share sums; {threshold} are needed")
    prove = partial(_Proof, check_sum, study, round_number, parameters, contributors)
    for senders, candidate in _candidates(share_sums, threshold, prove):
        try:
            check_round_key(
                candidate,
                check_sum,
                study=study,
                round_number=round_number,
                parameters=parameters,
                contributors=contributors,
            )
        except AggregateKeyError:
            continue
        false = false_senders(share_sums, senders)
        framing = colluders_to_frame(len(share_sums) - len(false), threshold)
        return FoundRoundKey(candidate, senders, false, framing)
    raise AggregateKeyError(
        f"none of the choices of {threshold} among {len(share_sums)} share sums gives a key that "
        "opens the key check"
    )


class _Proof:
    """One coefficient of the key check, as an inner product: rejects a wrong key cheaply."""

    def __init__(
        self,
        check_sum: ring.Residues,
        study: str,
        round_number: int,
        parameters: RoundParameters,
        contributors: int,
    ) -> None:
        public = ntt.inverse(expand(study, round_number, 1, first=parameters.polynomials)[0])
        # Coefficient 0 of a K modulo x^n + 1 is a_0 K_0 - sum of a_i K_(n-i).
        row = np.concatenate([public[:1], ring.negate(public[1:][::-1])]).astype(np.int64)
        # 30-bit halves times coefficients below 2**15, 4096 of them: below 2**57, no overflow.
        self._halves = np.stack([row & 0x3FFFFFFF, row >> 30], axis=1)
        self._constant = int(ntt.inverse(check_sum)[0])
        self._modulus = parameters.plaintext_modulus
        self.bound = NOISE_BOUND * contributors

    def passing(self, keys: ring.Integers) -> list[int]:
        """Rows of short keys, shape (m, 4096), whose first opened coefficient is t times small."""
        kept = []
        for index, (low, high) in enumerate((keys @ self._halves).tolist()):
            opened = (self._constant + low + (high << 30)) % MODULUS
            if opened > MODULUS // 2:
                opened -= MODULUS
            if opened % self._modulus == 0 and abs(opened // self._modulus) <= self.bound:
                kept.append(index)
        return kept


def _candidates(
    share_sums: ShareSums, threshold: int, prove: Callable[[], _Proof]
) -> Iterator[tuple[tuple[int, ...], ring.Integers]]:
    points = sorted(share_sums)
    first = tuple(points[:threshold])
    yield first, interpolate({point: share_sums[point] for point in first})
    proof = prove()  # the first T pass nearly always, and need none
    values = np.stack([share_sums[point] for point in points]).astype(np.int64)
    disputed = _disputed(share_sums, points, first)
    filtered = values[:, disputed[:FILTER_COORDINATES]]
    subsets = combinations(range(len(points)), threshold)
    while chosen := list(islice(subsets, SUBSETS_AT_ONCE)):
        weights = _weights_of_subsets(points, np.array(chosen))
        short = _short(weights @ filtered, proof.bound)
        for start in range(0, len(short), CANDIDATES_AT_ONCE):
            rows = short[start : start + CANDIDATES_AT_ONCE]
            keys = _centred(weights[rows] @ values % SHARE_PRIME)
            keep = np.flatnonzero(np.abs(keys).max(axis=1) <= proof.bound)
            for index in proof.passing(keys[keep]):
                row = int(rows[keep[index]])
                yield tuple(points[i] for i in chosen[row]), keys[keep[index]]


def _disputed(share_sums: ShareSums, points: list[int], first: tuple[int, ...]) -> NDArray[np.intp]:
    """Coordinates to try subsets on, those that tell most first; all if no sum is disputed.

    How far the other sums lie off the polynomial of the first T is, at one
    coordinate, a combination of one fixed direction for each liar. Coordinates
    of equal direction accuse the same liars, so one of each is enough. Without
    this, one loud liar hides five who each moved a single coefficient.
    """
    reference = {point: share_sums[point] for point in first}
    others = [point for point in points if point not in reference]
    off = np.zeros((len(others), RING_DEGREE), np.int64)
    for row, point in enumerate(others):
        off[row] = evaluate_at(reference, point)
        off[row] = (share_sums[point].astype(np.int64) - off[row]) % SHARE_PRIME
    disputed = np.flatnonzero(off.any(axis=0))
    if len(disputed) == 0:
        return np.arange(RING_DEGREE)
    logarithm, exponential = _field_tables()
    off = off[:, disputed]
    leading = np.take_along_axis(off, (off != 0).argmax(axis=0)[None, :], axis=0)[0]
    direction = off * exponential[-logarithm[leading] % (SHARE_PRIME - 1)] % SHARE_PRIME
    _, one_of_each = np.unique(direction, axis=1, return_index=True)
    chosen: NDArray[np.intp] = disputed[one_of_each]
    return chosen


def _short(combined: ring.Integers, bound: int) -> NDArray[np.intp]:
    return np.flatnonzero(np.abs(_centred(combined % SHARE_PRIME)).max(axis=1) <= bound)


def _weights_of_subsets(points: list[int], chosen: NDArray[np.int64]) -> ring.Integers:
    """Lagrange weights at 0 of many subsets at once, shape (subsets, points), 0 off the subset.

    Products in the field are sums of discrete logarithms, so one matrix product
    gives all of them: log w_i = sum over j in the subset of log(x_j / (x_j - x_i)).
    """
    logarithm, exponential = _field_tables()
    count = len(points)
    ratios = np.zeros((count, count), np.int64)  # [j, i]
    for j, x_j in enumerate(points):
        for i, x_i in enumerate(points):
            if i != j:
                ratios[j, i] = logarithm[x_j] - logarithm[(x_j - x_i) % SHARE_PRIME]
    member = np.zeros((len(chosen), count), np.int64)
    np.put_along_axis(member, chosen, 1, axis=1)
    weights: ring.Integers = exponential[member @ ratios % (SHARE_PRIME - 1)] * member
    return weights


@lru_cache(maxsize=1)
def _field_tables() -> tuple[ring.Integers, ring.Integers]:
    """Discrete logarithms and powers of the smallest generator of the field's units."""
    order = SHARE_PRIME - 1
    factors = [f for f in range(2, order + 1) if order % f == 0 and all(f % g for g in range(2, f))]
    generator = next(
        g for g in range(2, order) if all(pow(g, order // f, SHARE_PRIME) != 1 for f in factors)
    )
    exponential = np.empty(order, np.int64)
    power = 1
    for exponent in range(order):
        exponential[exponent] = power
        power = power * generator % SHARE_PRIME
    logarithm = np.zeros(SHARE_PRIME, np.int64)
    logarithm[exponential] = np.arange(order)
    return logarithm, exponential


def _combine(share_sums: ShareSums, points: Sequence[int], at: int) -> ring.Integers:
    weights = np.array(lagrange_weights(points, at), np.int64)
    # 16-bit weights times 16-bit shares, at most 779 of them: below 2**42.
    values = np.stack([share_sums[point] for point in points]).astype(np.int64)
    combined: ring.Integers = weights @ values % SHARE_PRIME
    return combined


def _centred(values: ring.Integers) -> ring.Integers:
    return np.where(values > SHARE_PRIME // 2, values - SHARE_PRIME, values)
