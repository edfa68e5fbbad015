"""One secret under two messages of a round: their difference shows without any key."""

from __future__ import annotations

import numpy as np
import pytest

from chaincode.roundkey import ntt, ring
from peer_client.sealing import RoundSecret, SecretWipedError, seal_update, upload
from peer_client.sealing.sampling import KeyStream
from tests.support.sealed_round import SealedRound, entropy_of

VICTIM = "H001MSP"


def _differences(played: SealedRound, first: bytes, second: bytes) -> ring.Integers:
    """The difference of two ciphertexts' first polynomials, as coefficients."""
    rows = [np.frombuffer(payload, "<u8", 4096) for payload in (first, second)]
    return ring.centre(ntt.inverse(ring.subtract(rows[0], rows[1])))


def _shows(played: SealedRound, difference: ring.Integers) -> bool:
    """Whether what is left of noise is small: t (e - e') + m - m' instead of something uniform."""
    t = played.parameters.plaintext_modulus
    return int(np.abs(difference).max()) <= 2 * 42 * t + t


def _two_uploads(played: SealedRound, entropy) -> tuple[bytes, bytes]:
    """Two updates of one hospital in one round, as a careless client might make them."""
    values = played.random_values(VICTIM)
    other = (values + 1) % played.parameters.levels
    first, second = (
        seal_update(
            each,
            parameters=played.parameters,
            round=played.transcript(VICTIM),
            entropy=entropy,
        ).payload
        for each in (values, other)
    )
    return first, second


def test_every_call_draws_a_secret_of_its_own_even_from_the_same_randomness() -> None:
    played = SealedRound(4)

    difference = _differences(played, *_two_uploads(played, lambda size: bytes(size)))

    assert not _shows(played, difference)


def test_switched_off_fresh_secrets_show_the_difference_without_a_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played = SealedRound(4)
    # The rule switched off: the draw depends on the update and on fresh randomness.
    monkeypatch.setattr(upload, "_seed", lambda *args: bytes(32))

    first, second = _two_uploads(played, entropy_of("any"))
    difference = _differences(played, first, second)

    assert _shows(played, difference)
    encoder = upload.encoder_for(played.parameters.plaintext_modulus)
    encoder.load_round_key(np.zeros(4096, np.int64))
    row = ring.subtract(np.frombuffer(first, "<u8", 4096), np.frombuffer(second, "<u8", 4096))
    slots = encoder.decrypt(row, ntt.forward(np.ones(4096, np.uint64)))
    values = played.random_values(VICTIM)
    changed = values - (values + 1) % played.parameters.levels
    expected = changed % played.parameters.plaintext_modulus
    assert (slots[: played.count] == expected).all()  # m - m', read by anybody


def test_a_secret_is_gone_when_its_call_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[RoundSecret] = []
    really = RoundSecret.draw

    def watched(key: bytes) -> RoundSecret:
        drawn.append(really(key))
        return drawn[-1]

    monkeypatch.setattr(RoundSecret, "draw", watched)
    played = SealedRound(4)
    played.contribute(VICTIM)

    assert len(drawn) == 1
    with pytest.raises(SecretWipedError):
        upload.encrypt(
            played.values[VICTIM],
            drawn[0],
            KeyStream(bytes(32)),
            parameters=played.parameters,
            round=played.transcript(VICTIM),
        )
