"""Every number of the encryption, derived from hospitals, bits and parameter count.

One function, `derive`, computes the threshold, the plaintext modulus, how many
values share a slot, the sizes, and how many hospitals may collude. Nothing
else in the project types these numbers in. It refuses a combination that would
be unsafe, would overflow or could fail to decrypt, and says why.

Notation follows docs/security.md: ring Z_q[x]/(x^n + 1); every hospital's update
is c0_j = -a_j s + t e_j + m_j with s and e_j of the centred binomial distribution
CBD(eta), so no coefficient of them ever exceeds eta in magnitude.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final

from chaincode.roundkey.safety import SafetyBounds, safety_bounds
from network.quorum import hospital_quorum

RING_DEGREE: Final = 4096  # n, coefficients of one polynomial
MODULUS: Final = 2**60 - 2**14 + 1  # q, prime, 1 modulo 2n
NOISE_BOUND: Final = 42  # eta, largest coefficient of a secret or an error
SHARE_PRIME: Final = 65521  # p, largest prime below 2**16

POLYNOMIAL_BYTES: Final = 8 * RING_DEGREE
SHARE_BYTES: Final = 2 * RING_DEGREE  # 16-bit values below SHARE_PRIME
#: HPKE adds the encapsulated key (ML-KEM-768 ciphertext 1,088 + X25519 32) and the AES-GCM tag.
BOX_BYTES: Final = SHARE_BYTES + 1120 + 16
SEALING_KEY_BYTES: Final = 1184 + 32  # ML-KEM-768 and X25519 public keys

HOSPITALS_MIN: Final = 3
#: A sum of N secrets must follow from its value modulo p: 2 eta N + 1 < p.
HOSPITALS_MAX: Final = (SHARE_PRIME - 2) // (2 * NOISE_BOUND)
BITS_MIN: Final = 2
BITS_MAX: Final = 24
PARAMETERS_MAX: Final = 2**28

#: log2 of operations against RLWE with n = 4096, q of 60 bits and secret and error of standard
#: deviation 3.24: what is left of CBD(42) (4.58) when the sum of two honest secrets is known.
#: Lattice estimator, commit 27a581b: MATZOV 252.2 / 251.0 / 254.1 for primal uSVP / BDD / dual
#: hybrid; quantum (LaaMosPol14) 239.6. Rounded down, the smallest of each.
SECURITY_BITS_CLASSICAL: Final = 251
SECURITY_BITS_QUANTUM: Final = 239
SECURITY_SOURCE: Final = (
    "Security: lattice-estimator 27a581b, RLWE n=4096, log2 q=60, secret and error of standard "
    "deviation 3.24 (CBD(42) given the sum of two honest contributors), best of primal uSVP, BDD "
    "and dual hybrid; classical MATZOV, quantum LaaMosPol14. "
    "Failure: N(2 eta + 1) t < q bounds |sum of t e + m| below q/2, so a sum of at most N updates "
    "always decrypts (docs/security.md)."
)


class ParameterError(ValueError):
    """The study's numbers do not make a safe or possible encryption."""

    exit_code: ClassVar[int] = 50
    hint: ClassVar[str] = (
        "Change hospitals, bits, parameters or contributors_min as the message says."
    )


@dataclass(frozen=True, slots=True)
class RoundParameters:
    """What `derive` found; every field follows from the first four."""

    hospitals: int  # N, members of the study, the most updates ever summed
    bits: int  # asked for; `levels` is at least 2**bits - 1
    parameters: int  # shared values in one update
    contributors_min: int  # k, fewest updates in a sum that may be opened
    threshold: int  # T, share sums that open a round
    levels: int  # L, odd; a quantised value lies in [0, L)
    field_base: int  # B = N (L - 1) + 1, so that sums of N values do not carry
    fields: int  # K, values in one slot, B**K <= t
    plaintext_modulus: int  # t
    polynomials: int  # d, without the key check

    failure_probability: ClassVar[int] = 0
    security_bits_classical: ClassVar[int] = SECURITY_BITS_CLASSICAL
    security_bits_quantum: ClassVar[int] = SECURITY_BITS_QUANTUM
    source: ClassVar[str] = SECURITY_SOURCE

    @property
    def ciphertext_bytes(self) -> int:
        """Bytes of the encrypted polynomials and the key check."""
        return (self.polynomials + 1) * POLYNOMIAL_BYTES

    @property
    def upload_bytes(self) -> int:
        """All a hospital sends in a round: ciphertext, boxes, sealing key, share sum."""
        boxes = self.hospitals * BOX_BYTES
        return self.ciphertext_bytes + boxes + SEALING_KEY_BYTES + SHARE_BYTES

    @property
    def bytes_per_parameter(self) -> float:
        """`upload_bytes` over the number of shared values (plain float32: 4.0)."""
        return self.upload_bytes / self.parameters

    def safety(self, contributors: int | None = None) -> SafetyBounds:
        """Return how many hospitals may collude, and how many may be away.

        Args:
            contributors: Updates in the sum; the fewest that may be opened where left out.

        >>> derive(4, 8, 1_000_000).safety(4)
        SafetyBounds(cheating=1, pooling=2, away=1)
        """
        return safety_bounds(
            hospitals=self.hospitals,
            threshold=self.threshold,
            contributors=self.contributors_min if contributors is None else contributors,
            contributors_min=self.contributors_min,
        )


def derive(
    hospitals: int,
    bits: int,
    parameters: int,
    *,
    threshold: int | None = None,
    contributors_min: int | None = None,
) -> RoundParameters:
    """Compute every number of a study's encryption, or refuse.

    * T is at least floor(2N/3) + 1 (`network.quorum.hospital_quorum`); more makes the study safe
      against more hospitals that cheat, and fewer may be away.
    * t = the largest prime that is 1 modulo 2n with N(2 eta + 1)t < q. Each
      encoded update is a centred polynomial, so the sum of N reaches at most
      N(eta + 1/2)t < q/2 and decryption cannot fail.
    * K = the most fields of base B = N(L - 1) + 1 with B**K <= t for
      L = 2**bits - 1; then the largest odd L that keeps K (odd, so that one
      level means exactly zero).

    Args:
        hospitals: N, members of the study.
        bits: Width of a quantised value.
        parameters: Shared values in an update.
        threshold: T; the least that is allowed where absent.
        contributors_min: k; T where absent.

    Returns:
        The numbers.

    Raises:
        ParameterError: Too few or too many hospitals, bits or parameters; T below
            floor(2N/3) + 1 or above N; k below T or above N; a slot that cannot hold one field.

    >>> p = derive(4, 8, 1_000_000)
    >>> p.threshold, p.fields, p.levels, p.polynomials, round(p.bytes_per_parameter, 2)
    (3, 5, 319, 49, 1.69)
    >>> derive(2, 8, 1000)
    Traceback (most recent call last):
    ...
    chaincode.roundkey.parameters.ParameterError: 2 hospitals: a sum of fewer than 3 updates ...
    """
    _check_ranges(hospitals, bits, parameters)
    quorum = hospital_quorum(hospitals)
    threshold = quorum if threshold is None else threshold
    if not quorum <= threshold <= hospitals:
        raise ParameterError(
            f"the threshold is {threshold}; {hospitals} hospitals need one from {quorum} to "
            f"{hospitals}"
        )
    least = threshold if contributors_min is None else contributors_min
    if least < threshold:
        raise ParameterError(
            f"contributors_min is {least}, but a sum of fewer than T = {threshold} of "
            f"{hospitals} hospitals must not be opened"
        )
    if least > hospitals:
        raise ParameterError(
            f"contributors_min is {least}, but the study has only {hospitals} hospitals"
        )
    modulus = plaintext_modulus(hospitals)
    fields = _fields(hospitals, 2**bits - 1, modulus)
    if fields == 0:
        raise ParameterError(
            f"{bits} bits and {hospitals} hospitals: one value summed over all of them exceeds "
            f"the plaintext modulus {modulus}"
        )
    levels = _levels(hospitals, fields, modulus)
    return RoundParameters(
        hospitals=hospitals,
        bits=bits,
        parameters=parameters,
        contributors_min=least,
        threshold=threshold,
        levels=levels,
        field_base=hospitals * (levels - 1) + 1,
        fields=fields,
        plaintext_modulus=modulus,
        polynomials=-(-parameters // (fields * RING_DEGREE)),
    )


@lru_cache(maxsize=64)
def plaintext_modulus(hospitals: int) -> int:
    """The largest prime t, 1 modulo 2n, with N(2 eta + 1)t < q.

    Args:
        hospitals: N.

    Returns:
        t.

    >>> plaintext_modulus(4)
    3390945601503233
    """
    limit = (MODULUS - 1) // (hospitals * (2 * NOISE_BOUND + 1))
    candidate = limit - (limit - 1) % (2 * RING_DEGREE)
    while not is_prime(candidate):
        candidate -= 2 * RING_DEGREE
    return candidate


def is_prime(number: int) -> bool:
    """Whether a number below 3.3e24 is prime: Miller-Rabin, exact there.

    The first twelve primes as bases suffice below 318,665,857,834,031,151,167,461
    (Sorenson and Webster, 2015); every number here is below 2**60.

    Args:
        number: The number.

    Returns:
        True for primes.

    >>> [n for n in range(30) if is_prime(n)]
    [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
    """
    bases = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
    if number < 2:
        return False
    for base in bases:
        if number % base == 0:
            return number == base
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    return all(_passes(number, base, odd, twos) for base in bases)


def _passes(number: int, base: int, odd: int, twos: int) -> bool:
    power = pow(base, odd, number)
    if power in (1, number - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % number
        if power == number - 1:
            return True
    return False


def _check_ranges(hospitals: int, bits: int, parameters: int) -> None:
    if hospitals < HOSPITALS_MIN:
        raise ParameterError(
            f"{hospitals} hospitals: a sum of fewer than {HOSPITALS_MIN} updates shows a member "
            "the other's update"
        )
    if hospitals > HOSPITALS_MAX:
        raise ParameterError(
            f"{hospitals} hospitals: beyond {HOSPITALS_MAX} the sum of their secrets no longer "
            f"fits the share field of {SHARE_PRIME} elements"
        )
    if not BITS_MIN <= bits <= BITS_MAX:
        raise ParameterError(f"{bits} bits: allowed are {BITS_MIN} to {BITS_MAX}")
    if not 1 <= parameters <= PARAMETERS_MAX:
        raise ParameterError(f"{parameters} parameters: allowed are 1 to {PARAMETERS_MAX}")


def _fields(hospitals: int, levels: int, modulus: int) -> int:
    base, fields = hospitals * (levels - 1) + 1, 0
    while base ** (fields + 1) <= modulus:
        fields += 1
    return fields


def _levels(hospitals: int, fields: int, modulus: int) -> int:
    """The largest odd L with (N(L - 1) + 1)**K <= t, by integer bisection.

    A floating-point root may differ by one between machines.
    """
    low, high = 1, modulus + 1  # low fits, high does not
    while high - low > 1:
        middle = (low + high) // 2
        if (hospitals * (middle - 1) + 1) ** fields <= modulus:
            low = middle
        else:
            high = middle
    return low if low % 2 else low - 1
