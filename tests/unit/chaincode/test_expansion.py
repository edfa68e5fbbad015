from __future__ import annotations

import hashlib

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from chaincode.roundkey import expansion
from chaincode.roundkey.frame import digest
from chaincode.roundkey.parameters import MODULUS, RING_DEGREE


def _by_hand(key: bytes) -> list[int]:
    cipher = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    kept: list[int] = []
    while len(kept) < RING_DEGREE:
        word = int.from_bytes(cipher.update(bytes(8)), "little") % 2**60
        if word < MODULUS:
            kept.append(word)
    return kept


def test_expansion_follows_the_specification_word_by_word() -> None:
    expanded = expansion.expand("lungs", 3, 2)

    for index in range(2):
        key = digest("roundkey/a/v1", "lungs", 3, index)
        assert expanded[index].tolist() == _by_hand(key)


def test_words_not_below_the_modulus_are_skipped(monkeypatch) -> None:
    key = bytes(32)
    accepted = np.array(_by_hand(key), np.uint64)
    # With a smaller modulus many words are refused, so that the second stream block is needed.
    small = np.uint64(2**59)
    monkeypatch.setattr(expansion, "Q", small)

    residues = expansion.uniform_residues(key)

    assert residues.shape == (RING_DEGREE,)
    below = accepted[accepted < small]
    assert (residues[: len(below)] == below).all()
    assert int(residues.max()) < int(small)


def test_every_study_round_and_index_has_its_own_polynomial() -> None:
    places = [("a", 1, 0), ("a", 1, 1), ("a", 2, 0), ("b", 1, 0)]
    hashes = {
        hashlib.sha256(expansion.expand(study, number, 1, first=index).tobytes()).hexdigest()
        for study, number, index in places
    }

    assert len(hashes) == len(places)


def test_a_part_of_the_expansion_is_that_part_of_the_whole() -> None:
    whole = expansion.expand("lungs", 1, 5)

    assert (expansion.expand("lungs", 1, 2, first=3) == whole[3:]).all()


def test_residues_look_uniform() -> None:
    values = expansion.expand("lungs", 1, 8).astype(np.float64) / MODULUS

    assert abs(values.mean() - 0.5) < 0.01
    assert abs(values.std() - 12**-0.5) < 0.01
