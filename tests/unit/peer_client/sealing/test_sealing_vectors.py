"""The hospitals' own code against the vectors of a second implementation in plain integers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chaincode.roundkey import ring, shares
from chaincode.roundkey.expansion import expand
from chaincode.roundkey.frame import digest
from chaincode.roundkey.parameters import derive
from peer_client.sealing.dealing import deal
from peer_client.sealing.opening import open_sum
from peer_client.sealing.round_secret import RoundSecret
from peer_client.sealing.sampling import KeyStream
from peer_client.sealing.transcript import Joined, RoundTranscript
from peer_client.sealing.upload import encrypt
from peer_client.update.packing import pack

FILE = Path(__file__).parents[3] / "vectors" / "roundkey.json"
VECTOR = json.loads(FILE.read_text())["round"]
COUNT = VECTOR["parameters"]["parameters"]
PARAMETERS = derive(4, 8, COUNT)


def _hash(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _values(point: int) -> np.ndarray:
    return (np.arange(COUNT, dtype=np.int64) * (point + 7) + point * point) % PARAMETERS.levels


def _secret(point: int) -> RoundSecret:
    return RoundSecret.draw(digest("vector", "secret", point))


def _transcript() -> RoundTranscript:
    members = tuple(Joined(f"H{point}MSP", point, bytes(1216)) for point in VECTOR["joined"])
    return RoundTranscript(
        "ab" * 32, "consortium", VECTOR["study"], VECTOR["round"], members, "H1MSP"
    )


def _ciphertext(point: int) -> ring.Residues:
    errors = KeyStream(digest("vector", "errors", point))
    with _secret(point) as secret:
        return encrypt(_values(point), secret, errors, parameters=PARAMETERS, round=_transcript())


def test_public_polynomials_are_those_of_the_vectors() -> None:
    public = expand(VECTOR["study"], VECTOR["round"], PARAMETERS.polynomials + 1)

    assert [_hash(row) for row in public] == VECTOR["public"]
    assert public[0, :3].tolist() == VECTOR["public_first"]


@pytest.mark.parametrize("point", VECTOR["contributors"])
def test_each_step_of_one_hospital_is_that_of_the_vectors(point: int) -> None:
    expected: dict[str, Any] = VECTOR["hospitals"][str(point)]
    with _secret(point) as secret:
        dealt = deal(
            secret,
            VECTOR["joined"],
            PARAMETERS.threshold,
            digest("vector", "shares", point),
        )

        assert secret.coefficients[:8].tolist() == expected["secret_first"]
        assert _hash(secret.coefficients) == expected["secret"]
        assert _hash(secret.values()) == expected["secret_values"]
        assert [_hash(share) for share in dealt] == list(expected["shares"].values())
    assert [_hash(row) for row in pack(_values(point), PARAMETERS)] == expected["slots"]
    assert [_hash(row) for row in _ciphertext(point)] == expected["ciphertext"]


def test_sum_key_and_opening_are_those_of_the_vectors() -> None:
    contributors = VECTOR["contributors"]
    total = np.zeros((PARAMETERS.polynomials + 1, 4096), np.uint64)
    sums = {point: np.zeros(4096, np.int64) for point in VECTOR["joined"]}
    for point in contributors:
        total = ring.add(total, _ciphertext(point))
        with _secret(point) as secret:
            key = digest("vector", "shares", point)
            dealt = deal(secret, VECTOR["joined"], PARAMETERS.threshold, key)
        for recipient, share in zip(VECTOR["joined"], dealt, strict=True):
            sums[recipient] = (sums[recipient] + share) % 65521
    share_sums = {point: values.astype(np.uint16) for point, values in sums.items()}

    found = shares.find_round_key(
        share_sums,
        total[-1],
        study=VECTOR["study"],
        round_number=VECTOR["round"],
        parameters=PARAMETERS,
        contributors=len(contributors),
    )
    opened = open_sum(
        total,
        found.round_key,
        study=VECTOR["study"],
        round_number=VECTOR["round"],
        parameters=PARAMETERS,
        contributors=len(contributors),
    )

    assert [_hash(row) for row in total] == VECTOR["sum"]
    assert {str(point): _hash(values) for point, values in share_sums.items()} == VECTOR[
        "share_sums"
    ]
    assert (
        hashlib.sha256(shares.write_round_key(found.round_key)).hexdigest() == VECTOR["round_key"]
    )
    assert found.round_key[:8].tolist() == VECTOR["round_key_first"]
    assert (opened == sum(_values(point) for point in contributors)).all()
