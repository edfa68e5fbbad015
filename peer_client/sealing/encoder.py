"""Pyfhel's part of the encryption: encode, add, decrypt and decode under BGV.

Pyfhel (SEAL) turns 4096 slot values into a polynomial, adds it to an encryption of
zero that numpy made, adds ciphertexts, and decrypts and decodes the sum. It never
makes a key that matters: the key pair it insists on is thrown away unused, and what
it decrypts with is a recorded, public round key.

Ciphertexts enter as SEAL's own bytes: a prefix of 113 bytes, constant for given
parameters, before the residues of both polynomials. The prefix is taken from a
ciphertext of this very library and its fields are checked, so another version with
another layout is refused instead of misread. Only residues of exact length and below
q may be handed in (`chaincode.aggregate` checks): SEAL's loader is more lenient than
is good (docs/security.md, "Hostile bytes").
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from Pyfhel import PyCtxt, Pyfhel

from chaincode import ntt, ring
from chaincode.parameters import MODULUS, POLYNOMIAL_BYTES, RING_DEGREE
from peer_client.sealing.errors import SealingInputError

PREFIX_BYTES: Final = 113
KEY_PREFIX_BYTES: Final = 88
SECURITY_LEVEL: Final = 128


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
        self._seal: Any = Pyfhel()
        # contextGen reports bad parameters in its return value instead of raising.
        outcome = self._seal.contextGen(
            scheme="bgv", n=RING_DEGREE, t=plaintext_modulus, qi=[MODULUS], sec=SECURITY_LEVEL
        )
        if not str(outcome).startswith("success") or self._seal.t != plaintext_modulus:
            raise SealingInputError(f"SEAL refuses the parameters: {outcome}")
        self._seal.keyGen()  # decrypting crashes where no key pair was ever loaded
        sample = self._seal.encryptBGV(np.zeros(1, np.int64)).to_bytes()
        self._prefix: bytes = sample[:PREFIX_BYTES]
        self._key_prefix: bytes = self._seal.to_bytes_secret_key("none")[:KEY_PREFIX_BYTES]
        size, degree, primes = struct.unpack_from("<QQQ", sample, 49)
        correction = struct.unpack_from("<Q", sample, 81)[0]
        expected = PREFIX_BYTES + 2 * POLYNOMIAL_BYTES
        if (size, degree, primes, correction, len(sample)) != (2, RING_DEGREE, 1, 1, expected):
            raise SealingInputError("this SEAL writes ciphertexts in an unknown layout")

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
        """Pyfhel's own sum of ciphertexts; `chaincode.ring.add` must give the same bytes.

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

    def _load(self, first: ring.Residues, second: ring.Residues) -> Any:
        content = self._prefix + first.tobytes() + second.tobytes()
        return PyCtxt(pyfhel=self._seal, bytestring=content, scheme="bgv")

    def _first(self, loaded: Any) -> ring.Residues:
        return np.frombuffer(loaded.to_bytes(), "<u8", RING_DEGREE, PREFIX_BYTES)
