"""The border to Pyfhel: what it is given, and what is refused when it is not the pinned one."""

from __future__ import annotations

import numpy as np
import pytest

from chaincode.roundkey import ntt, ring
from chaincode.roundkey.expansion import expand
from chaincode.roundkey.parameters import NOISE_BOUND, RING_DEGREE, derive
from peer_client.sealing import SealingInputError, encoder
from peer_client.sealing.encoder import UpdateEncoder, wide_modulus

MODULUS_T = derive(4, 8, 100).plaintext_modulus


@pytest.mark.parametrize("modulus", [MODULUS_T + 1, 65539, 2**61])
def test_a_plaintext_modulus_that_seal_cannot_batch_is_refused(modulus: int) -> None:
    with pytest.raises(SealingInputError):
        UpdateEncoder(modulus)


def test_a_library_with_another_layout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "PREFIX_BYTES", 114)

    with pytest.raises(SealingInputError, match="unknown layout"):
        UpdateEncoder(MODULUS_T)


def test_a_library_that_adds_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    really = ntt.forward
    monkeypatch.setattr(encoder.ntt, "forward", lambda values: ring.negate(really(values)))

    with pytest.raises(SealingInputError, match="adds plaintexts in another way"):
        UpdateEncoder(MODULUS_T)


def test_a_wide_modulus_too_small_for_message_and_error_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoder, "wide_modulus", lambda: MODULUS_T)

    with pytest.raises(SealingInputError, match="do not fit the wide plaintext modulus"):
        UpdateEncoder(MODULUS_T)


@pytest.mark.parametrize("hospitals", [3, 4, 20, 779])
def test_message_and_error_fit_the_wide_modulus_in_every_study(hospitals: int) -> None:
    t = derive(hospitals, 8, 100).plaintext_modulus

    assert 2 * (NOISE_BOUND * t + t // 2) < wide_modulus() < 2**59


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_error_and_message_are_added_exactly(sign: int) -> None:
    seal = UpdateEncoder(MODULUS_T)
    public = expand("edge", 1, 2)
    error = np.full(RING_DEGREE, sign * NOISE_BOUND * MODULUS_T, np.int64)
    slots = np.full(RING_DEGREE, MODULUS_T // 2 + (sign < 0), np.int64)  # +-(t - 1)/2 encoded

    found = seal.encrypt(public[0], public[1], error.copy(), slots)

    expected = error.copy()
    expected[0] += sign * (MODULUS_T // 2)
    assert (found == ring.add(public[0], ntt.forward(ring.lift(expected)))).all()


def test_the_key_check_is_the_error_alone() -> None:
    seal = UpdateEncoder(MODULUS_T)
    public = expand("edge", 1, 2)
    error = np.arange(RING_DEGREE, dtype=np.int64) % 85 - 42

    found = seal.encrypt(public[0], public[1], error * MODULUS_T, None)

    expected = ntt.forward(ring.lift(error * MODULUS_T))
    assert (found == ring.add(public[0], expected)).all()
