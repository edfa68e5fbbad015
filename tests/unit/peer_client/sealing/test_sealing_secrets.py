"""Secrets are drawn as specified, show themselves to nobody and are overwritten."""

from __future__ import annotations

import copy
import os
import pickle
import resource
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from chaincode.roundkey.parameters import RING_DEGREE, SHARE_PRIME
from peer_client.sealing import RoundSecret, SealingKey, SecretWipedError
from peer_client.sealing.boxes import PRIVATE_BYTES, seal
from peer_client.sealing.dealing import deal
from peer_client.sealing.errors import SealingInputError
from peer_client.sealing.sampling import KeyStream, binomial, field_elements
from peer_client.sealing.wiping import wipe


def test_binomial_numbers_have_the_distribution_of_84_coins() -> None:
    drawn = binomial(KeyStream(bytes(32)), 200_000)

    counts = np.bincount(drawn.astype(int) + 42, minlength=85)[22:63]
    expected = stats.binom.pmf(np.arange(22, 63), 84, 0.5) * drawn.size

    assert int(np.abs(drawn).max()) <= 42
    assert abs(float(drawn.mean())) < 0.05
    assert stats.chi2.sf(float(((counts - expected) ** 2 / expected).sum()), 40) > 1e-4


def test_field_elements_are_uniform_and_below_the_prime() -> None:
    drawn = field_elements(KeyStream(bytes(32)), 200_000)

    counts, _ = np.histogram(drawn, 64, (0, SHARE_PRIME))

    assert int(drawn.max()) < SHARE_PRIME
    assert stats.chisquare(counts).pvalue > 1e-4


def test_streams_go_on_where_they_were() -> None:
    whole, parts = KeyStream(bytes(32)), KeyStream(bytes(32))

    assert whole.fill(48) == parts.fill(16) + parts.fill(32)


def test_wipe_overwrites_arrays_and_bytes() -> None:
    array, content = np.arange(5), bytearray(b"secret")

    wipe(array)
    wipe(content)

    assert not array.any()
    assert content == bytes(6)


def test_secret_is_overwritten_and_refused_after_its_block() -> None:
    with RoundSecret.draw(bytes(32)) as secret:
        coefficients = secret.coefficients
        assert coefficients.any()

    assert not coefficients.any()
    with pytest.raises(SecretWipedError):
        _ = secret.coefficients
    with pytest.raises(SecretWipedError):
        secret.values()


def test_secret_is_overwritten_when_its_block_fails() -> None:
    secret = RoundSecret.draw(bytes(32))
    coefficients = secret.coefficients

    with pytest.raises(ZeroDivisionError), secret:
        _ = 1 / 0

    assert not coefficients.any()


@pytest.mark.parametrize("show", [repr, str, lambda secret: f"{secret}"])
def test_secret_shows_a_fingerprint_and_no_coefficient(show) -> None:
    secret = RoundSecret.draw(bytes(32))

    text = show(secret)

    assert len(text) == len("<RoundSecret 01234567>")
    assert "[" not in text
    secret.wipe()
    assert show(secret) == "<RoundSecret wiped>"


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_secret_is_not_copied_or_stored(take) -> None:
    with pytest.raises(TypeError, match="not copied or stored"):
        take(RoundSecret.draw(bytes(32)))


def test_sealing_key_shows_a_fingerprint_is_not_stored_and_is_refused_once_wiped() -> None:
    seed = bytearray(os.urandom(PRIVATE_BYTES))
    key = SealingKey(seed)
    shown = repr(key)

    key.wipe()

    assert seed.hex() not in shown
    assert len(shown) == len("<SealingKey 01234567>")
    assert seed == bytes(PRIVATE_BYTES)
    assert repr(key) == "<SealingKey wiped>"
    with pytest.raises(SecretWipedError):
        key.open(bytes(9328), b"")
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_a_seed_of_another_length_is_refused_without_showing_it() -> None:
    with pytest.raises(SealingInputError) as caught:
        SealingKey(bytearray(b"\x2a" * 95))

    assert "2a2a" not in str(caught.value)


def test_a_box_has_the_size_that_the_upload_layout_counts_on() -> None:
    key = SealingKey(bytearray(os.urandom(PRIVATE_BYTES)))
    share = np.arange(RING_DEGREE, dtype=np.uint16)

    box = seal(share, key.public, b"info")

    assert len(key.public) == 1216
    assert len(box) == 8192 + 1120 + 16
    opened = key.open(box, b"info")
    assert opened is not None
    assert (opened == share).all()
    assert key.open(box, b"other") is None


def test_a_share_that_is_not_one_counts_as_unopened() -> None:
    key = SealingKey(bytearray(os.urandom(PRIVATE_BYTES)))
    share = np.full(RING_DEGREE, SHARE_PRIME, np.uint16)

    assert key.open(seal(share, key.public, b""), b"") is None


def test_sealing_to_a_key_that_does_not_load_is_refused() -> None:
    with pytest.raises(SealingInputError, match="does not load"):
        seal(np.zeros(RING_DEGREE, np.uint16), b"\xff" * 1216, b"")


def test_t_minus_one_shares_are_uniform_whatever_the_secret() -> None:
    zero = RoundSecret(np.zeros(RING_DEGREE, np.int8))

    shares = deal(zero, (1, 2), 3, bytes(32))

    for share in (*shares, (shares[0].astype(int) + shares[1]) % SHARE_PRIME):
        counts, _ = np.histogram(share, 32, (0, SHARE_PRIME))
        assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("points", [(0, 1, 2), (1, 1, 2), (1, SHARE_PRIME, 2)])
def test_a_point_whose_share_would_be_the_secret_is_refused(points: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="evaluation points"):
        deal(RoundSecret.draw(bytes(32)), points, 3, bytes(32))


def test_core_dumps_are_off_for_good_in_a_process_that_asked() -> None:
    code = (
        "import resource; from peer_client.sealing.process import forbid_core_dumps as f; f();"
        "print(resource.getrlimit(resource.RLIMIT_CORE))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "(0, 0)"
    assert resource.RLIMIT_CORE is not None
