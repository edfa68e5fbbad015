"""Properties of a whole round of the encryption, on the hospitals' own code."""

from __future__ import annotations

import os
from itertools import combinations, permutations

import numpy as np
import pytest

from chaincode.records.round import Join, joined_digest
from chaincode.roundkey import ntt, ring, shares
from chaincode.roundkey.expansion import expand
from chaincode.roundkey.parameters import MODULUS, NOISE_BOUND, RING_DEGREE, derive
from peer_client.sealing import (
    Joined,
    OpeningError,
    OwnShareSum,
    RoundTranscript,
    SealingInputError,
    ShareRefusedError,
    Unopened,
    open_boxes,
    open_sum,
    seal_update,
)
from peer_client.sealing.answer import ReceivedBox
from peer_client.sealing.encoder import encoder_for
from tests.support.sealed_round import SealedRound, entropy_of


def _open(played: SealedRound, total: ring.Residues, key: ring.Integers, count: int) -> np.ndarray:
    return open_sum(
        total,
        key,
        study=played.study,
        round_number=played.number,
        parameters=played.parameters,
        contributors=count,
    )


def _key(played: SealedRound, recipients: tuple[str, ...], contributors: tuple[str, ...]):
    return shares.interpolate(played.share_sums(recipients, contributors))


@pytest.mark.parametrize(("hospitals", "bits"), [(3, 8), (4, 4), (4, 8), (7, 6), (20, 8)])
def test_the_sum_opens_exactly(hospitals: int, bits: int) -> None:
    played = SealedRound(hospitals, bits).play()
    senders = played.msps[-played.parameters.threshold :]

    opened = _open(
        played, played.sum_of(played.msps), _key(played, senders, played.msps), hospitals
    )

    assert (opened == sum(played.values.values())).all()


def test_any_t_joined_hospitals_open_and_any_t_minus_one_do_not() -> None:
    played = SealedRound(4).play("H001MSP", "H002MSP", "H004MSP")
    contributors = tuple(played.uploads)
    total = played.sum_of(contributors)
    expected = sum(played.values.values())

    for senders in combinations(played.msps, 3):
        opened = _open(played, total, _key(played, senders, contributors), 3)
        assert (opened == expected).all()
    for senders in combinations(played.msps, 2):
        with pytest.raises(OpeningError):
            _open(played, total, _key(played, senders, contributors), 3)


def test_hospitals_that_vanish_after_the_joins_are_not_needed() -> None:
    played = SealedRound(7).play("H001MSP", "H002MSP", "H003MSP", "H004MSP", "H005MSP")
    contributors = tuple(played.uploads)
    senders = contributors  # two of seven never came back

    opened = _open(played, played.sum_of(contributors), _key(played, senders, contributors), 5)

    assert (opened == sum(played.values.values())).all()


def test_the_sum_is_the_same_in_every_order_and_equals_pyfhels_own() -> None:
    played = SealedRound(4).play()
    reference = played.sum_of(played.msps)
    encoder = encoder_for(played.parameters.plaintext_modulus)
    public = expand(played.study, played.number, played.parameters.polynomials + 1)

    for order in permutations(played.msps):
        assert (played.sum_of(order) == reference).all()
    for row in range(len(reference)):
        parts = [played.ciphertext(msp)[row] for msp in played.msps]
        assert (encoder.add(parts, public[row]) == reference[row]).all()


def test_a_round_key_opens_no_single_update() -> None:
    played = SealedRound(4).play()
    key = _key(played, played.msps[:3], played.msps)

    for msp in played.msps:
        for count in (3, 4):
            with pytest.raises(OpeningError):
                _open(played, played.ciphertext(msp), key, count)


@pytest.mark.parametrize("hospitals", [3, 4, 20, 100])
@pytest.mark.parametrize("sign", [1, -1])
def test_decryption_is_exact_at_the_worst_case_of_noise_and_message(
    hospitals: int, sign: int
) -> None:
    parameters = derive(hospitals, 8, 100)
    t = parameters.plaintext_modulus
    message = sign * ((t - 1) // 2)
    total = hospitals * (NOISE_BOUND * sign * t + message)  # an exact integer
    assert abs(total) < MODULUS // 2
    row = ntt.forward(np.full(RING_DEGREE, total % MODULUS, np.uint64))
    encoder = encoder_for(t)
    encoder.load_round_key(np.zeros(RING_DEGREE, np.int64))
    public = expand("worst", 1, 1)[0]

    slots = encoder.decrypt(row, public)

    # Decoding evaluates the polynomial; encoding it again must give the residues modulo t.
    expected = np.full(RING_DEGREE, hospitals * message % t, np.int64)
    assert (_decode_by_hand(expected.tolist(), t, places=(0, 1, 2047)) == slots[[0, 1, 2047]]).all()


def _decode_by_hand(coefficients: list[int], t: int, places: tuple[int, ...]) -> np.ndarray:
    """SEAL's slot i < 2048 is the polynomial at the smallest root to the power 3**i."""
    base = 2
    while pow(base, (t - 1) // 2, t) == 1:
        base += 1
    start = pow(base, (t - 1) // 8192, t)
    root = min(pow(start, odd, t) for odd in range(1, 8192, 2))
    slots = []
    for place in places:
        point = pow(root, pow(3, place, 8192), t)
        value = 0
        for coefficient in reversed(coefficients):
            value = (value * point + coefficient) % t
        slots.append(value)
    return np.array(slots)


def test_one_more_than_the_worst_case_would_fail() -> None:
    # The bound is nearly tight: half a unit of q above, the same sum decrypts to something else.
    parameters = derive(4, 8, 100)
    t = parameters.plaintext_modulus
    beyond = MODULUS // 2 + 1
    row = ntt.forward(np.full(RING_DEGREE, beyond, np.uint64))
    encoder = encoder_for(t)
    encoder.load_round_key(np.zeros(RING_DEGREE, np.int64))

    slots = encoder.decrypt(row, expand("worst", 1, 1)[0])

    expected = _decode_by_hand([beyond % t] * RING_DEGREE, t, places=(0,))
    assert int(slots[0]) != int(expected[0])


def test_two_uploads_of_the_same_update_share_nothing_that_can_be_seen() -> None:
    played = SealedRound(4)
    values = played.random_values("H001MSP")
    first, second = (
        seal_update(
            values,
            parameters=played.parameters,
            round=played.transcript("H001MSP"),
            entropy=os.urandom,
        )
        for _ in range(2)
    )

    same = np.frombuffer(first.payload, "<u8") == np.frombuffer(second.payload, "<u8")

    assert int(same.sum()) <= 2


def test_cloned_machines_with_the_same_randomness_draw_different_secrets() -> None:
    played = SealedRound(4)
    values = played.random_values("H001MSP")
    other = values.copy()
    other[0] = (other[0] + 1) % played.parameters.levels
    first, second = (
        seal_update(
            each,
            parameters=played.parameters,
            round=played.transcript("H001MSP"),
            entropy=entropy_of("a clone"),
        )
        for each in (values, other)
    )

    a, b = (np.frombuffer(x.payload, "<u8", RING_DEGREE, 0) for x in (first, second))

    # Under one secret and one error the difference would be the tiny difference of the messages.
    assert int(np.abs(ring.centre(ntt.inverse(ring.subtract(a, b)))).max()) > 2**50


def test_the_entropy_given_is_the_only_source_of_a_ciphertext() -> None:
    first, second = (SealedRound(4).contribute("H001MSP") for _ in range(2))

    assert first.ciphertext_sha256 == second.ciphertext_sha256


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda v: v.astype(np.int32), "64-bit integers"),
        (lambda v: v[:-1], "500 64-bit integers"),
        (lambda v: v - 1000, "values lie in 0"),
        (lambda v: v + 1000, "values lie in 0"),
    ],
)
def test_values_that_are_not_an_update_are_refused(change, reason: str) -> None:
    played = SealedRound(4)

    with pytest.raises(SealingInputError, match=reason):
        played.contribute("H001MSP", change(played.random_values("H001MSP")))


def test_a_round_with_too_few_joined_is_not_encrypted_for() -> None:
    played = SealedRound(4, joined=(1, 2))

    with pytest.raises(SealingInputError, match="2 hospitals joined; between 3 and 4"):
        played.contribute("H001MSP")


def test_a_point_beyond_the_study_is_refused() -> None:
    played = SealedRound(4, joined=(1, 2, 5))

    with pytest.raises(SealingInputError, match="outside 1 to N"):
        played.contribute("H001MSP")


def test_a_source_that_gives_too_few_random_bytes_is_refused() -> None:
    played = SealedRound(4)

    with pytest.raises(SealingInputError, match="too few bytes"):
        seal_update(
            played.random_values("H001MSP"),
            parameters=played.parameters,
            round=played.transcript("H001MSP"),
            entropy=lambda size: bytes(size - 1),
        )


@pytest.mark.parametrize(
    ("members", "own", "reason"),
    [
        ([("B", 1), ("A", 2)], "A", "MSP order"),
        ([("A", 1), ("A", 2)], "A", "MSP order"),
        ([("A", 1), ("B", 1)], "A", "same evaluation point"),
        ([("A", 1), ("B", 2)], "C", "C did not join"),
    ],
)
def test_a_transcript_that_cannot_be_is_refused(members, own: str, reason: str) -> None:
    joined = tuple(Joined(msp, point, bytes(1216)) for msp, point in members)

    with pytest.raises(SealingInputError, match=reason):
        RoundTranscript("ab" * 32, "consortium", "lungs", 1, joined, own)


def test_a_transcript_with_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(SealingInputError, match="1215 bytes"):
        RoundTranscript("ab" * 32, "consortium", "lungs", 1, (Joined("A", 1, bytes(1215)),), "A")


def test_transcript_binds_the_joined_as_the_chaincode_does() -> None:
    played = SealedRound(4)
    joins = [
        Join("lungs", 1, member.msp_id, member.point, member.sealing_key, "pem", "00")
        for member in played.members
    ]

    expected = joined_digest("ab" * 32, "consortium", "lungs", 1, joins)

    assert played.transcript("H001MSP").joined_sha256.hex() == expected


def test_boxes_that_do_not_open_are_reported_with_their_dealers() -> None:
    played = SealedRound(4).play()
    received = played.boxes("H002MSP", played.msps)
    damaged = received["H003MSP"]
    flipped = damaged.box[:-1] + bytes([damaged.box[-1] ^ 1])
    received["H003MSP"] = ReceivedBox(flipped, damaged.ciphertext_sha256)
    received["H001MSP"] = ReceivedBox(b"short", received["H001MSP"].ciphertext_sha256)

    found = open_boxes(
        received,
        parameters=played.parameters,
        round=played.transcript("H002MSP"),
        sealing_key=played.keys["H002MSP"],
    )

    assert found == Unopened(("H001MSP", "H003MSP"))


def test_boxes_under_another_key_than_the_joined_one_are_not_opened() -> None:
    played = SealedRound(4).play()

    with pytest.raises(ShareRefusedError, match="not the one H002MSP joined"):
        open_boxes(
            played.boxes("H002MSP", played.msps),
            parameters=played.parameters,
            round=played.transcript("H002MSP"),
            sealing_key=played.keys["H001MSP"],
        )


def test_an_answer_is_exactly_8192_bytes() -> None:
    played = SealedRound(4).play()

    found = open_boxes(
        played.boxes("H002MSP", played.msps),
        parameters=played.parameters,
        round=played.transcript("H002MSP"),
        sealing_key=played.keys["H002MSP"],
    )

    assert isinstance(found, OwnShareSum)
    assert len(found.content) == 8192


def test_a_field_out_of_range_discards_the_round() -> None:
    played = SealedRound(4).play("H001MSP", "H002MSP", "H003MSP")
    encoder = encoder_for(played.parameters.plaintext_modulus)
    public = expand(played.study, played.number, 1)[0]
    contributors = tuple(played.uploads)
    total = played.sum_of(contributors).copy()
    slots = np.zeros(RING_DEGREE, np.int64)
    limit = 3 * (played.parameters.levels - 1)
    slots[7] = limit + 1 - sum(int(values[7]) for values in played.values.values())
    total[0] = encoder.add_encoded(total[0], public, slots)

    with pytest.raises(OpeningError, match="reach at most"):
        _open(played, total, _key(played, played.msps[:3], contributors), 3)


def test_padding_that_is_not_zero_discards_the_round() -> None:
    played = SealedRound(4).play("H001MSP", "H002MSP", "H003MSP")
    contributors = tuple(played.uploads)
    encoder = encoder_for(played.parameters.plaintext_modulus)
    total = played.sum_of(contributors).copy()
    slots = np.zeros(RING_DEGREE, np.int64)
    slots[played.count] = 1  # the first place after the values
    public = expand(played.study, played.number, 1)[0]
    total[0] = encoder.add_encoded(total[0], public, slots)

    with pytest.raises(OpeningError, match="padding"):
        _open(played, total, _key(played, played.msps[:3], contributors), 3)


@pytest.mark.parametrize("count", [2, 5])
def test_a_sum_of_too_few_or_too_many_is_not_opened(count: int) -> None:
    played = SealedRound(4).play()

    with pytest.raises(OpeningError, match=f"a sum of {count} updates is not opened"):
        _open(played, played.sum_of(played.msps), np.zeros(RING_DEGREE, np.int64), count)


def test_a_sum_of_another_shape_or_range_is_not_opened() -> None:
    played = SealedRound(4).play()
    total = played.sum_of(played.msps)
    key = np.zeros(RING_DEGREE, np.int64)
    beyond = total.copy()
    beyond[0, 0] = MODULUS

    with pytest.raises(OpeningError, match="shape"):
        _open(played, total[1:], key, 4)
    with pytest.raises(OpeningError, match="below q"):
        _open(played, beyond, key, 4)
