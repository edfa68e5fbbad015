"""The short secret under which one hospital encrypts one update in one round.

A `RoundSecret` is drawn, used inside one `with` block and wiped. It cannot be
printed, compared, copied or pickled: its text is a random number of its own, which is
enough to tell two of them apart in a test and says nothing about the coefficients. After
the block every use is refused.
"""

from __future__ import annotations

from secrets import token_hex
from types import TracebackType
from typing import NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from chaincode.roundkey import ntt, ring
from chaincode.roundkey.parameters import RING_DEGREE
from peer_client.sealing.errors import SecretWipedError
from peer_client.sealing.sampling import KeyStream, binomial
from peer_client.sealing.wiping import wipe


class RoundSecret:
    """4096 centred binomial coefficients that live in one place and are overwritten there."""

    __slots__ = ("_coefficients", "_fingerprint")

    def __init__(self, coefficients: NDArray[np.int8]) -> None:
        self._coefficients: NDArray[np.int8] | None = coefficients
        self._fingerprint = token_hex(4)

    @classmethod
    def draw(cls, key: bytes) -> Self:
        """Draw a secret from a key that is used for nothing else.

        Args:
            key: 32 bytes.

        Returns:
            The secret.
        """
        return cls(binomial(KeyStream(key), RING_DEGREE))

    @property
    def coefficients(self) -> NDArray[np.int8]:
        """The coefficients themselves, shape (4096,), in [-42, 42].

        Raises:
            SecretWipedError: The secret was wiped.
        """
        if self._coefficients is None:
            raise SecretWipedError("a round secret was used after it was wiped")
        return self._coefficients

    def values(self) -> ring.Residues:
        """The secret in NTT order, shape (4096,); the caller wipes it.

        Raises:
            SecretWipedError: The secret was wiped.
        """
        lifted = ring.lift(self.coefficients)
        values = ntt.forward(lifted)
        wipe(lifted)
        return values

    def wipe(self) -> None:
        """Overwrite the coefficients; every later use is refused."""
        if self._coefficients is not None:
            wipe(self._coefficients)
            self._coefficients = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.wipe()

    def __repr__(self) -> str:
        state = "wiped" if self._coefficients is None else self._fingerprint
        return f"<RoundSecret {state}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a round secret is not copied or stored")

    def __copy__(self) -> NoReturn:
        raise TypeError("a round secret is not copied or stored")

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError("a round secret is not copied or stored")
