"""Pyfhel's part of the encryption: encode, add, decrypt and decode under BGV.

Pyfhel (SEAL) turns 4096 slot values into a polynomial, adds message and error to the
masked zero that numpy made, adds ciphertexts, and decrypts and decodes the sum. It
never makes a key that matters: the key pair it insists on is thrown away unused, and
what it decrypts with is a recorded, public round key.

Message and error are added as one plaintext, t e + m. That is larger than t, so it is
a plaintext of a second context on the same prime q with a larger plaintext modulus;
SEAL then transforms once for both, which saves numpy's
transform of t e beside SEAL's of m. Whether this SEAL adds
plaintexts that way is tried once on every start against the project's own arithmetic.

Ciphertexts enter as SEAL's own bytes: a prefix of 113 bytes, constant for given
parameters, before the residues of both polynomials. The prefix is taken from a
ciphertext of this very library and its fields are checked, so another version with
another layout is refused instead of misread. Only residues of exact length and below
q may be handed in (`chaincode.records.sums` checks): SEAL's loader is more lenient than
is good (docs/security.md, "Hostile bytes").
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from Pyfhel import PyCtxt, Pyfhel, PyPtxt

from chaincode.roundkey import ntt, ring
from chaincode.roundkey.parameters import (
    MODULUS,
    NOISE_BOUND,
    POLYNOMIAL_BYTES,
    RING_DEGREE,
    is_prime,
)
from peer_client.sealing.errors import SealingInputError
from peer_client.sealing.wiping import wipe

PREFIX_BYTES: Final = 113
KEY_PREFIX_BYTES: Final = 88
SECURITY_LEVEL: Final = 128
#: The wide plaintext modulus: the largest prime below 2**59 that is 1 modulo 8192.
WIDE_LIMIT: Final = 2**59
#: Objects of one size that an encryption holds at once, with some to spare.
_OVERWRITES: Final = 4


@lru_cache(maxsize=4)
def encoder_for(plaintext_modulus: int) -> UpdateEncoder:
    """The encoder of a plaintext modulus, made once in a process.

    Args:
        plaintext_modulus: t.

    Returns:
        The encoder.

    Raises:
        SealingInputError: As for `UpdateEncoder`.
    """
    return UpdateEncoder(plaintext_modulus)


class UpdateEncoder:
    """A BGV context of one prime q, without relinearisation and without a key of its own.

    Args:
        plaintext_modulus: t, prime, 1 modulo 8192.

    Raises:
        SealingInputError: SEAL refuses the parameters, or its byte layout is unknown.
    """

    def __init__(self, plaintext_modulus: int) -> None:
        self.plaintext_modulus = plaintext_modulus
        self._seal = _context(plaintext_modulus)
        sample = self._seal.encryptBGV(np.zeros(1, np.int64)).to_bytes()
        self._prefix: bytes = sample[:PREFIX_BYTES]
        self._key_prefix: bytes = self._seal.to_bytes_secret_key("none")[:KEY_PREFIX_BYTES]
        _check_layout(sample)
        self._wide_modulus = wide_modulus()
        if self._wide_modulus <= (2 * NOISE_BOUND + 1) * plaintext_modulus:
            raise SealingInputError("message and error do not fit the wide plaintext modulus")
        self._wide = _context(self._wide_modulus)
        wide_sample = self._wide.encryptBGV(np.zeros(1, np.int64)).to_bytes()
        _check_layout(wide_sample)
        self._wide_prefix: bytes = wide_sample[:PREFIX_BYTES]
        full = np.arange(RING_DEGREE, dtype=np.int64)
        plain = self._wide.encodeBGV(full).to_bytes()
        self._plain_prefix: bytes = plain[: len(plain) - POLYNOMIAL_BYTES]
        self._check_addition()

    def encrypt(
        self,
        masked: ring.Residues,
        public: ring.Residues,
        error: NDArray[np.int64],
        slots: NDArray[np.int64] | None,
    ) -> ring.Residues:
        """Add error and message to a masked zero: -a s becomes -a s + t e + m.

        Args:
            masked: -a s, residues in NTT order, shape (4096,).
            public: a, shape (4096,).
            error: t e, coefficients of at most 42 t in magnitude, shape (4096,);
                overwritten.
            slots: Values in [0, t), shape (4096,); None for the key check.

        Returns:
            c0, residues in NTT order, shape (4096,).
        """
        if slots is not None:
            encoded = self._encoded(slots)
            error += encoded
            wipe(encoded)
        # The shifted sign brings negatives into [0, wide modulus), where SEAL expects them.
        negative = error >> np.int64(63)
        negative &= np.int64(self._wide_modulus)
        error += negative
        content = b"".join((self._wide_prefix, masked.data, public.data))
        loaded = PyCtxt(pyfhel=self._wide, bytestring=content, scheme="bgv")
        plain = b"".join((self._plain_prefix, error.data))
        self._wide.add_plain(loaded, PyPtxt(pyfhel=self._wide, bytestring=plain, scheme="bgv"))
        for buffer in (negative, content, plain):
            wipe(buffer)
        return self._first(loaded)

    def overwrite_freed(self) -> None:
        """Let SEAL use again, for nothing secret, the memory that it freed after `encrypt`.

        SEAL keeps freed memory in a pool of its own and gives the next object of a size the
        piece freed last: an encryption of known numbers takes the pieces of the one before.
        """
        # Not zeros alone: SEAL refuses a ciphertext whose second polynomial is zero.
        known = np.ones(RING_DEGREE, np.uint64)
        for _ in range(_OVERWRITES):
            error = np.zeros(RING_DEGREE, np.int64)
            self.encrypt(known, known, error, error.copy())

    def add_encoded(
        self, ciphertext: ring.Residues, public: ring.Residues, slots: NDArray[np.int64]
    ) -> ring.Residues:
        """Add encoded slot values to a ciphertext (encode and add_plain).

        Args:
            ciphertext: c0, residues in NTT order, shape (4096,).
            public: a, the ciphertext's other polynomial, shape (4096,).
            slots: Values in [0, t), shape (4096,).

        Returns:
            The new c0, shape (4096,).
        """
        loaded = self._load(ciphertext, public)
        self._seal.add_plain(loaded, self._seal.encodeBGV(slots))
        return self._first(loaded)

    def add(self, ciphertexts: Sequence[ring.Residues], public: ring.Residues) -> ring.Residues:
        """Pyfhel's own sum of ciphertexts; `chaincode.roundkey.ring.add` must give the same bytes.

        Args:
            ciphertexts: c0 of each, shape (4096,).
            public: a, shape (4096,).

        Returns:
            c0 of the sum, shape (4096,).
        """
        total = self._load(ciphertexts[0], public)
        for ciphertext in ciphertexts[1:]:
            self._seal.add(total, self._load(ciphertext, public))
        return self._first(total)

    def load_round_key(self, round_key: ring.Integers) -> None:
        """Decrypt under this key from now on.

        Args:
            round_key: Centred coefficients, shape (4096,); public once recorded.
        """
        values = ntt.forward(ring.lift(round_key))
        self._seal.from_bytes_secret_key(self._key_prefix + values.tobytes())

    def decrypt(self, ciphertext: ring.Residues, public: ring.Residues) -> NDArray[np.int64]:
        """Decrypt and decode one polynomial under the loaded round key.

        Args:
            ciphertext: c0 of the sum, residues below q, shape (4096,).
            public: a (once, not once for each contributor), shape (4096,).

        Returns:
            Slot values in [0, t), shape (4096,).
        """
        plaintext = self._seal.decryptPtxt(self._load(ciphertext, public))
        slots: NDArray[np.int64] = self._seal.decodeBGV(plaintext)
        # Pyfhel centres; the shifted sign adds t to negatives.
        slots += (slots >> np.int64(63)) & np.int64(self.plaintext_modulus)
        return slots

    def _encoded(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Centred coefficients of encoded slots."""
        content = self._seal.encodeBGV(slots).to_bytes()
        encoded = np.frombuffer(content, "<i8", RING_DEGREE, len(self._plain_prefix)).copy()
        wipe(content)
        half = self.plaintext_modulus // 2
        np.subtract(encoded, np.int64(self.plaintext_modulus), out=encoded, where=encoded > half)
        return encoded

    def _check_addition(self) -> None:
        """Compare one encryption with the project's own transform and with `add_encoded`."""
        places = np.arange(RING_DEGREE, dtype=np.int64)
        error = (places % (2 * NOISE_BOUND + 1) - NOISE_BOUND) * self.plaintext_modulus
        slots = places * places % self.plaintext_modulus
        masked = (places * 7919).astype(np.uint64)
        public = (places + 1).astype(np.uint64)
        noisy = ring.add(masked, ntt.forward(ring.lift(error)))
        expected = self.add_encoded(noisy, public, slots)
        if not np.array_equal(self.encrypt(masked, public, error, slots), expected):
            raise SealingInputError("this SEAL adds plaintexts in another way than expected")

    def _load(self, first: ring.Residues, second: ring.Residues) -> Any:
        content = b"".join((self._prefix, first.data, second.data))
        return PyCtxt(pyfhel=self._seal, bytestring=content, scheme="bgv")

    def _first(self, loaded: Any) -> ring.Residues:
        return np.frombuffer(loaded.to_bytes(), "<u8", RING_DEGREE, PREFIX_BYTES)


@lru_cache(maxsize=1)
def wide_modulus() -> int:
    """The largest prime below 2**59 that is 1 modulo 8192.

    Returns:
        A plaintext modulus above 85 t for every study of at least three hospitals.
    """
    candidate = WIDE_LIMIT - (WIDE_LIMIT - 1) % (2 * RING_DEGREE)
    while not is_prime(candidate):
        candidate -= 2 * RING_DEGREE
    return candidate


def _context(plaintext_modulus: int) -> Any:
    seal: Any = Pyfhel()
    # contextGen reports bad parameters in its return value instead of raising.
    try:
        outcome = seal.contextGen(
            scheme="bgv", n=RING_DEGREE, t=plaintext_modulus, qi=[MODULUS], sec=SECURITY_LEVEL
        )
    except (ValueError, RuntimeError) as error:
        raise SealingInputError(f"SEAL refuses the parameters: {error}") from error
    if not str(outcome).startswith("success") or seal.t != plaintext_modulus:
        raise SealingInputError(f"SEAL refuses the parameters: {outcome}")
    seal.keyGen()  # decrypting crashes where no key pair was ever loaded
    return seal


def _check_layout(sample: bytes) -> None:
    size, degree, primes = struct.unpack_from("<QQQ", sample, 49)
    correction = struct.unpack_from("<Q", sample, 81)[0]
    expected = PREFIX_BYTES + 2 * POLYNOMIAL_BYTES
    if (size, degree, primes, correction, len(sample)) != (2, RING_DEGREE, 1, 1, expected):
        raise SealingInputError("this SEAL writes ciphertexts in an unknown layout")
