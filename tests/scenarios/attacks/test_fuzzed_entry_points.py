"""Thousands of damaged uploads, manifests, boxes, share sums and keys through the contract.

For every kind there is an oracle, written from the specification and not from the code under test,
that says whether a mutant is well-formed. A mutant that is accepted and is not well-formed fails
the test, and so does any exception but a RuleError, and memory that grows.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519

from chaincode.memory_ledger import MemoryEndorseError
from chaincode.records import sums
from chaincode.records.canonical import sha256_hex
from chaincode.records.errors import RuleError, from_message
from chaincode.records.round import Chunk, Manifest
from chaincode.roundkey.parameters import MODULUS, SHARE_PRIME
from tests.support.sealed_round import SealedRound
from tests.unit.chaincode.contract.played import (
    CHANNEL,
    GENESIS,
    MSPS,
    Played,
    join_statement,
    new_sealing_key,
    sign,
)

MUTANTS = {
    "ciphertexts": 3000,
    "manifests": 2500,
    "share sums": 1500,
    "sealing keys": 1000,
    "boxes": 1500,
    "senders and key checks": 1000,
    "chunks": 500,
}
GROWTH_MAX_MB = 32


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Damage bytes in one of twelve ways; a few ways may give the same bytes back."""
    size = len(content)
    place = rng.randrange(size) if size else 0
    word = place - place % 8
    extremes = [0, 1, MODULUS - 1, MODULUS, MODULUS + 1, 2**60, 2**63, 2**64 - 1, SHARE_PRIME]
    kinds: list[Callable[[], bytes]] = [
        lambda: content[:place],
        lambda: content[place:],
        lambda: content + rng.randbytes(rng.randrange(1, 9)),
        lambda: b"",
        lambda: (
            content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]
        ),
        lambda: content[:word] + rng.choice(extremes).to_bytes(8, "little") + content[word + 8 :],
        lambda: (
            content[:place]
            + rng.choice([0, 65520, SHARE_PRIME, 65535]).to_bytes(2, "little")
            + content[place + 2 :]
        ),
        lambda: rng.randbytes(size),
        lambda: content[place:] + content[:place],
        lambda: content[: size // 2] * 2,
        lambda: bytes(size),
        lambda: b"\xff" * size,
    ]
    return rng.choice(kinds)()


def mutate_text(text: bytes, rng: random.Random) -> bytes:
    """Damage JSON as an attacker would: other values, types, depths, keys, encodings."""
    value = json.loads(text)
    strange = [
        None, True, -1, 0, 1, 2**63, 2**70, 1.5, "", "x" * 3000, "\u0000", "\ud800", [], {},
        [[]] * 50, {"a": {}}, "EastMSP", "WestMSP", "00" * 32, "AB" * 32,
    ]  # fmt: skip
    choice = rng.randrange(8)
    if choice == 0:
        return mutate(text, rng)
    if choice == 1:
        return b"[" * rng.randrange(1, 4000) + text
    if isinstance(value, dict) and choice == 2:
        value.pop(rng.choice(sorted(value)))
    elif isinstance(value, dict) and choice == 3:
        value[f"extra{rng.randrange(9)}"] = rng.choice(strange)
    elif isinstance(value, dict):
        key = rng.choice(sorted(value))
        if isinstance(value[key], list) and value[key] and rng.random() < 0.7:
            item = rng.randrange(len(value[key]))
            if isinstance(value[key][item], dict) and rng.random() < 0.7:
                value[key][item][rng.choice(sorted(value[key][item]))] = rng.choice(strange)
            else:
                value[key][item] = rng.choice(strange)
        else:
            value[key] = rng.choice(strange)
    elif isinstance(value, list):
        value = [rng.choice([*value, *strange]) for _ in range(rng.randrange(6))]
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def resident_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def run(kind: str, attempt: Callable[[random.Random], tuple[bool, bool]]) -> None:
    """Try all mutants of a kind: none accepted that is not well-formed, memory flat."""
    rng = random.Random(kind)
    accepted = 0
    warm = 0.0
    for number in range(MUTANTS[kind]):
        if number == MUTANTS[kind] // 4:
            warm = resident_mb()
        is_accepted, is_well_formed = attempt(rng)
        assert is_well_formed or not is_accepted, f"mutant {number} of {kind} was accepted"
        accepted += is_accepted
    assert accepted < MUTANTS[kind]
    assert resident_mb() - warm < GROWTH_MAX_MB


def endorsed(played: Played, msp: str, function: str, *args: bytes, **transient: bytes) -> bool:
    """Simulate a transaction; a refusal must be one of the contract's own rules."""
    try:
        played.ledger.simulate(
            played.creators[msp],
            function,
            *args,
            transient=transient or None,
            timestamp_s=played.now_s,
        )
    except MemoryEndorseError as error:
        if not isinstance(from_message(error.message), RuleError):
            raise  # a crash of the chaincode, not a rule
        return False
    return True


def test_there_are_at_least_ten_thousand() -> None:
    assert sum(MUTANTS.values()) >= 10_000


def test_damaged_ciphertexts_are_left_out_of_the_sum_by_name() -> None:
    played = Played().to_submitting().update()
    record, layout = played.round(), played.layout
    manifests = {msp: played.uploads[msp].manifest(record, msp) for msp in MSPS}
    payloads = {msp: played.uploads[msp].payload for msp in MSPS}

    def attempt(rng: random.Random) -> tuple[bool, bool]:
        ciphertext = payloads["WestMSP"][: layout.ciphertext_bytes]
        mutant = mutate(ciphertext, rng) + payloads["WestMSP"][layout.ciphertext_bytes :]
        chunk = Chunk(sha256_hex(mutant), max(1, len(mutant)))
        claimed = Manifest(
            study="lungs",
            round=1,
            msp="WestMSP",
            joined_sha256=record.joined_sha256,
            ciphertext_sha256=sha256_hex(mutant[: layout.ciphertext_bytes]),
            upload_bytes=layout.upload_bytes,
            chunks=(chunk,),
        )
        shown = {**payloads, "WestMSP": mutant}
        total = sums.sum_updates(
            lambda manifest, index: shown[manifest.msp],
            [*(manifests[msp] for msp in MSPS[:3]), claimed],
            layout,
        )
        assert {c.msp for c in total.contributors} | set(total.refused) == set(MSPS)
        words = mutant[: layout.ciphertext_bytes]
        well_formed = len(mutant) == layout.upload_bytes and all(
            word < MODULUS for word in np.frombuffer(words, "<u8").tolist()
        )
        return "WestMSP" in {c.msp for c in total.contributors}, well_formed

    run("ciphertexts", attempt)


def test_damaged_manifests_are_refused() -> None:
    played = Played().to_submitting()
    upload = played.make_upload("EastMSP")
    played.put("EastMSP", upload)
    honest = upload.manifest(played.round(), "EastMSP").to_bytes()
    assert endorsed(played, "EastMSP", "submit_update", b"lungs", b"1", honest)

    def attempt(rng: random.Random) -> tuple[bool, bool]:
        mutant = mutate_text(honest, rng)
        accepted = endorsed(played, "EastMSP", "submit_update", b"lungs", b"1", mutant)
        try:
            same = json.loads(mutant) == json.loads(honest)
        except (ValueError, RecursionError):
            same = False
        # The hash of the ciphertext alone is a claim that only `aggregate` can check.
        if accepted and not same:
            claimed = json.loads(mutant)
            same = {**claimed, "ciphertext_sha256": ""} == {
                **json.loads(honest),
                "ciphertext_sha256": "",
            } and len(claimed["ciphertext_sha256"]) == 64
        return accepted, same

    run("manifests", attempt)


def test_damaged_share_sums_are_refused() -> None:
    played = Played().to_summed()
    digest = played.aggregate_record().digest.encode()
    honest = played.share_sum("EastMSP")

    def attempt(rng: random.Random) -> tuple[bool, bool]:
        mutant = mutate(honest, rng)
        accepted = endorsed(
            played, "EastMSP", "submit_share_sum", b"lungs", b"1", digest, b"[]", share_sum=mutant
        )
        well_formed = len(mutant) == 8192 and all(
            int.from_bytes(mutant[i : i + 2], "little") < SHARE_PRIME for i in range(0, 8192, 2)
        )
        return accepted, well_formed

    run("share sums", attempt)


def test_damaged_sealing_keys_are_refused_even_when_signed() -> None:
    played = Played().to_open()
    honest = new_sealing_key()

    def attempt(rng: random.Random) -> tuple[bool, bool]:
        mutant = mutate(honest, rng)
        statement = join_statement(
            GENESIS, CHANNEL, "lungs", 1, msp="EastMSP", point=1, sealing_key=mutant
        )
        signed = json.dumps(
            {
                "certificate_pem": played.creators["EastMSP"].certificate_pem.decode(),
                "signature": sign(played.keys["EastMSP"], statement).hex(),
            }
        ).encode()
        accepted = endorsed(
            played, "EastMSP", "join_round", b"lungs", b"1", signed, sealing_key=mutant
        )
        return accepted, _is_sealing_key(mutant)

    run("sealing keys", attempt)


def _is_sealing_key(key: bytes) -> bool:
    """Whether both halves load and one test encapsulation works."""
    try:
        mlkem.MLKEM768PublicKey.from_public_bytes(key[:1184]).encapsulate()
        point = x25519.X25519PublicKey.from_public_bytes(key[1184:])
        x25519.X25519PrivateKey.generate().exchange(point)
    except ValueError:
        return False
    return len(key) == 1216


def test_damaged_boxes_open_to_nothing() -> None:
    played = SealedRound(4).play("H001MSP")
    honest = played.box("H001MSP", "H002MSP").box
    transcript = played.transcript("H002MSP")
    sha256 = bytes.fromhex(played.uploads["H001MSP"].ciphertext_sha256)
    info = transcript.box_info("H001MSP", transcript.own, sha256)
    assert played.keys["H002MSP"].open(honest, info) is not None

    def attempt(rng: random.Random) -> tuple[bool, bool]:
        mutant = mutate(honest, rng)
        return played.keys["H002MSP"].open(mutant, info) is not None, mutant == honest

    run("boxes", attempt)


def test_damaged_senders_and_key_checks_record_no_key() -> None:
    played = Played().to_summed().answer(*MSPS)
    total = played.aggregate_record()
    uploads = [upload.payload for upload in played.uploads.values()]
    check = sums.add_ciphertexts(
        [
            np.frombuffer(payload, "<u8", 4096, played.layout.ciphertext_bytes - 32768)
            for payload in uploads
        ]
    ).tobytes()
    assert hashlib.sha256(check).hexdigest() == total.check_sha256
    honest = json.dumps(MSPS[:3]).encode()

    def attempt(rng: random.Random) -> tuple[bool, bool]:
        senders, shown = honest, check
        if rng.random() < 0.5:
            senders = mutate_text(honest, rng)
        else:
            shown = mutate(check, rng)
        accepted = endorsed(
            played, "EastMSP", "record_round_key", b"lungs", b"1", senders, check_sum=shown
        )
        try:
            named = json.loads(senders)
        except (ValueError, RecursionError):
            named = None
        well_formed = (
            shown == check
            and isinstance(named, list)
            and len(named) == 3
            and all(msp in MSPS for msp in named)
            and len(set(named)) == 3
        )
        return accepted, well_formed

    run("senders and key checks", attempt)


def test_damaged_chunks_are_refused_by_length_or_index() -> None:
    played = Played().to_submitting()
    honest = played.make_upload("EastMSP").payload

    def attempt(rng: random.Random) -> tuple[bool, bool]:
        mutant = mutate(honest, rng)
        index = rng.choice([b"0", b"0", b"1", b"-1", b"00", b"", b"9" * 30, b"\xff", b"1e3"])
        accepted = endorsed(played, "EastMSP", "put_chunk", b"lungs", b"1", index, chunk=mutant)
        return accepted, index == b"0" and len(mutant) == len(honest)

    run("chunks", attempt)


@pytest.mark.parametrize("function", ["put_chunk", "submit_share_sum", "join_round"])
def test_more_in_the_transient_map_than_belongs_there_is_refused(function: str) -> None:
    played = Played().to_summed() if function == "submit_share_sum" else Played().to_submitting()
    if function == "join_round":
        played = Played().to_open()
    count = {"put_chunk": 3, "submit_share_sum": 4, "join_round": 3}[function]
    arguments = [b"lungs", b"1", b"0", b"[]"][:count]

    assert not endorsed(
        played, "EastMSP", function, *arguments, chunk=b"x", share_sum=b"x", sealing_key=b"x"
    )
