"""Hospitals fewer than T rewrite the round's aggregate between two honest answers.

Every hospital's client is the project's own. Five hospitals, T = 4; three of them collude. If any
three may write the ledger, they show one honest hospital the sum of all and, once it has answered,
another honest hospital the sum without the first: the two round keys differ by the first one's
secret, and its update opens.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from chaincode.memory_ledger import ENDORSEMENT_POLICY_FAILURE, VALID, MemoryLedger, Simulation
from chaincode.records import keys, sums
from chaincode.records.canonical import sha256_hex
from chaincode.records.round import Aggregate, Manifest, aggregate_digest
from chaincode.roundkey.expansion import expand
from chaincode.roundkey.parameters import RING_DEGREE
from chaincode.roundkey.shares import interpolate, read_share_sum
from peer_client import submission
from peer_client.decision import Act
from peer_client.round_records import RoundRecords, read_share_sums
from peer_client.sealing import ReceivedBox, ShareSum, open_boxes, upload
from peer_client.sealing.encoder import UpdateEncoder
from peer_client.update.packing import unpack
from tests.support.hospitals import MemoryConsortium, play_up_to, small_study

VICTIM, SECOND = "h1MSP", "h2MSP"
COLLUDERS = ("h3MSP", "h4MSP", "h5MSP")
HOSPITALS = (VICTIM, SECOND, *COLLUDERS)


@pytest.fixture
def consortium(tmp_path: Path) -> MemoryConsortium:
    """Five hospitals on a channel of their own, a round summed by all of them."""
    study = small_study(HOSPITALS, name="rewritten")
    return MemoryConsortium(tmp_path, study, members=HOSPITALS)


@pytest.fixture
def encrypted(monkeypatch: pytest.MonkeyPatch) -> dict[str, NDArray[np.int64]]:
    """What each hospital really encrypted, to compare with at the end."""
    values: dict[str, NDArray[np.int64]] = {}
    really = upload.seal_update

    def told(update, *, parameters, round, entropy):
        values[round.own_msp] = update.copy()
        return really(update, parameters=parameters, round=round, entropy=entropy)

    monkeypatch.setattr(upload, "seal_update", told)
    return values


def rogue_write(consortium: MemoryConsortium, key: str, value: bytes) -> str:
    """Commit any write that the colluders' peers alone endorse; return its validation code."""
    transaction = Simulation(
        "c0" * 32, consortium.members[COLLUDERS[0]], int(consortium.clock()), "aggregate"
    )
    transaction.writes[key] = value
    (code,) = consortium.channel.commit(transaction, endorsers=COLLUDERS)
    return code


def without_victim(consortium: MemoryConsortium, records: RoundRecords) -> Aggregate:
    """Return the aggregate of everybody but the victim, every digest right."""
    study = consortium.study
    parameters = consortium.desk(COLLUDERS[0]).parameters
    layout = records.layout(parameters.polynomials)
    manifests = [m for msp, m in records.updates.items() if msp != VICTIM]
    total = sums.sum_updates(
        lambda manifest, index: chunk_of(consortium, manifest, index), manifests, layout
    )
    assert records.aggregate is not None
    return replace(
        records.aggregate,
        contributors=total.contributors,
        block_sha256=total.block_sha256,
        check_sha256=sha256_hex(total.check),
        digest=aggregate_digest(
            study.genesis_sha256,
            consortium.channel.channel,
            study.study,
            1,
            study_sha256=study.sha256,
            joined_sha256=records.record.joined_sha256,
            contributors=total.contributors,
            block_sha256=total.block_sha256,
        ),
    )


def chunk_of(consortium: MemoryConsortium, manifest: Manifest, index: int) -> bytes:
    """Read a chunk as any member's peer stores it."""
    view = consortium.channel.evaluate(
        consortium.members[COLLUDERS[0]],
        "chunk",
        manifest.study,
        str(manifest.round),
        manifest.msp,
        str(index),
        timestamp_s=int(consortium.clock()),
    )
    return view


def upload_of(consortium: MemoryConsortium, records: RoundRecords, msp: str) -> bytes:
    """Return a hospital's whole upload."""
    manifest = records.updates[msp]
    return b"".join(chunk_of(consortium, manifest, i) for i in range(len(manifest.chunks)))


def round_key(
    consortium: MemoryConsortium, records: RoundRecords, total: Aggregate, honest: str
) -> NDArray[np.int64]:
    """Interpolate the key of a sum from one honest answer and the colluders' own boxes."""
    given = read_share_sums(consortium.ledger(COLLUDERS[0]), consortium.study.study, 1)
    points = {honest: read_share_sum(given[honest].share_sum)}
    for msp in COLLUDERS:
        desk = consortium.desk(msp)
        transcript = submission.transcript(desk, records)
        place = records.layout(desk.parameters.polynomials).box_slice(transcript.position(msp))
        received = {
            each.msp: ReceivedBox(
                upload_of(consortium, records, each.msp)[place], each.ciphertext_sha256
            )
            for each in total.contributors
        }
        found = open_boxes(
            received,
            parameters=desk.parameters,
            round=transcript,
            sealing_key=desk.sealing_keys.load(1),
        )
        assert isinstance(found, ShareSum)
        points[msp] = read_share_sum(found.content)
    hospital = consortium.study.hospital
    return interpolate({hospital(msp).point: share for msp, share in points.items()})


def opened(
    consortium: MemoryConsortium, records: RoundRecords, key: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Decrypt the victim's own ciphertext."""
    parameters = consortium.desk(COLLUDERS[0]).parameters
    layout = records.layout(parameters.polynomials)
    payload = upload_of(consortium, records, VICTIM)
    ciphertext = np.frombuffer(payload, "<u8", layout.ciphertext_bytes // 8)
    rows = ciphertext.reshape(-1, RING_DEGREE)
    encoder = UpdateEncoder(parameters.plaintext_modulus)
    encoder.load_round_key(key)
    public = expand(consortium.study.study, 1, parameters.polynomials)
    slots = np.stack([encoder.decrypt(rows[j], public[j]) for j in range(parameters.polynomials)])
    return unpack(slots, parameters.parameters, parameters, contributors=1)


def play_to_the_sum(consortium: MemoryConsortium) -> RoundRecords:
    """Let all hospitals contribute; the victim answers, the second one is away from then on."""
    consortium.agree()
    parts = consortium.parts(1)
    play_up_to(consortium, parts, "SUMMED")
    assert parts[VICTIM].step() is Act.ANSWER
    return consortium.records(1)


def test_fewer_than_t_hospitals_cannot_write_a_record(consortium: MemoryConsortium) -> None:
    records = play_to_the_sum(consortium)
    second = without_victim(consortium, records)

    code = rogue_write(consortium, keys.aggregate("rewritten", 1), second.to_bytes())

    assert code == ENDORSEMENT_POLICY_FAILURE
    assert consortium.records(1).aggregate == records.aggregate
    consortium.close()


def test_switched_off_to_a_majority_three_of_five_read_one_update(
    consortium: MemoryConsortium,
    encrypted: dict[str, NDArray[np.int64]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    majority = property(lambda ledger: len(ledger.hospitals) // 2 + 1)
    monkeypatch.setattr(MemoryLedger, "endorsers_needed", majority)
    records = play_to_the_sum(consortium)
    first, second = records.aggregate, without_victim(consortium, records)
    assert first is not None

    code = rogue_write(consortium, keys.aggregate("rewritten", 1), second.to_bytes())
    assert code == VALID
    consortium.clock.forward(600)  # the second one comes back after every deadline
    assert consortium.part(SECOND, 1).step() is Act.ANSWER

    key = round_key(consortium, records, first, VICTIM)
    other = round_key(consortium, records, second, SECOND)
    found = opened(consortium, records, key - other)
    assert (found == encrypted[VICTIM]).all()
    consortium.close()
