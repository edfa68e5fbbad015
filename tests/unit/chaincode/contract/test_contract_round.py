"""A round from proposal to publication, and every way it may end."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from chaincode.memory_ledger import MemoryEndorseError
from chaincode.records import keys
from chaincode.records.canonical import sha256_hex
from chaincode.records.study import Weight, weights_digest
from tests.unit.chaincode.contract.played import MSPS, Played, decoded, make_study

CLIP = 1_000_000


def test_round_from_proposal_to_publication_publishes_the_confirmed_model() -> None:
    played = Played().to_published()

    record = played.round()
    key = played.query("round_key", "lungs", 1)
    secret = sum(played.uploads[msp].secret for msp in MSPS)

    assert (record.state, record.model_sha256) == ("PUBLISHED", "02" * 32)
    assert record.parent_sha256 == "11" * 32
    assert np.array_equal(np.frombuffer(decoded(key["key"]), "<i2"), secret)
    assert (key["senders"], key["false_senders"]) == (list(MSPS[:3]), [])


def test_second_round_starts_from_the_published_model() -> None:
    played = Played().to_published().open(2)

    assert played.round(2).parent_sha256 == "02" * 32
    assert played.round(2).published_before == 1


def test_round_with_one_hospital_gone_after_the_joins_still_publishes() -> None:
    played = Played().to_submitting().update(*MSPS[:3]).wait(600).aggregate()
    played.answer(*MSPS[:3]).record_key(*MSPS[:3]).confirm(*MSPS[:3]).publish()

    assert played.round().state == "PUBLISHED"
    assert [c.msp for c in played.aggregate_record().contributors] == list(MSPS[:3])
    assert played.aggregate_record().pooling_max == 1


def test_round_with_one_hospital_gone_before_the_answers_still_publishes() -> None:
    played = Played().to_summed().answer(*MSPS[1:]).record_key(*MSPS[1:])
    played.confirm(*MSPS[1:]).publish()

    assert played.round().state == "PUBLISHED"
    assert played.aggregate_record().pooling_max == 2


def test_hospital_that_comes_back_answers_late_and_honestly() -> None:
    played = Played().to_opened().answer(MSPS[3])

    assert sorted(played.query("share_sums", "lungs", 1)) == list(MSPS)


def test_late_false_share_sum_is_refused_by_name() -> None:
    played = Played().to_opened()

    with pytest.raises(MemoryEndorseError, match=r"FalseShareSumError: the share sum of WestMSP"):
        played.answer(MSPS[3], shift=1)


def test_false_share_sum_is_named_and_changes_nothing() -> None:
    played = Played().to_summed().answer(MSPS[0], shift=1).answer(*MSPS[1:]).record_key(*MSPS[1:])

    key = played.query("round_key", "lungs", 1)

    assert key["false_senders"] == [MSPS[0]]
    assert key["colluders_to_frame"] == 2
    assert np.array_equal(
        np.frombuffer(decoded(key["key"]), "<i2"), sum(played.uploads[m].secret for m in MSPS)
    )


def test_four_honest_share_sums_need_three_colluders_to_be_framed() -> None:
    played = Played().to_summed().answer(*MSPS).record_key()

    assert played.query("round_key", "lungs", 1)["colluders_to_frame"] == 3


def test_hospital_that_joined_late_is_simply_not_in_the_round() -> None:
    played = Played().to_open().join(*MSPS[:3]).wait(60).close()

    assert played.round().joined == MSPS[:3]


def test_tensors_for_masks_are_hidden_only_by_contributors_with_masks() -> None:
    weights = (Weight("encoder", (60,), "all", CLIP), Weight("decoder", (40,), "masks", CLIP))
    study = replace(make_study(), weights=weights, weights_sha256=weights_digest(weights))
    played = Played(study=study).to_submitting().update(*MSPS[1:]).wait(600).aggregate()

    # North and South have masks, West has none: each of the two sees the other's decoder.
    assert played.aggregate_record().pooling_max == 1
    assert played.aggregate_record().pooling_max_masks == 0


def test_study_without_tensors_for_masks_has_one_coalition_for_all() -> None:
    assert Played().to_summed().aggregate_record().pooling_max_masks == 2


def test_refused_update_is_left_out_with_its_reason_and_the_others_are_added() -> None:
    played = Played().to_submitting().update(*MSPS[:3])
    upload = played.make_upload(MSPS[3])
    broken = upload.payload[:8] + b"\xff" * 8 + upload.payload[16:]
    upload.payload = broken
    played.put(MSPS[3], upload)
    manifest = upload.manifest(played.round(), MSPS[3]).to_bytes()
    played.submit(MSPS[3], "submit_update", "lungs", 1, manifest)

    played.aggregate()

    total = played.aggregate_record()
    assert dict(total.refused) == {
        MSPS[3]: "ResidueError: residue 1 of polynomial 0 is not below 1152921504606830593"
    }
    assert [c.msp for c in total.contributors] == list(MSPS[:3])
    played.answer().record_key()
    assert played.round().state == "OPENED"


def test_aggregate_digests_are_those_of_the_sum_of_the_ciphertexts() -> None:
    played = Played().to_summed()
    size = played.layout.ciphertext_bytes
    total = sum(
        np.frombuffer(played.uploads[m].payload[:size], "<u8").astype(object) for m in MSPS
    ) % (2**60 - 2**14 + 1)

    content = total.astype("<u8").tobytes()
    assert played.aggregate_record().block_sha256 == (sha256_hex(content),)
    assert played.aggregate_record().check_sha256 == sha256_hex(content[-32768:])


def test_round_key_is_recorded_from_a_summed_check_handed_over_beside_the_arguments() -> None:
    played = Played().to_summed().answer()
    size = played.layout.ciphertext_bytes
    total = sum(
        np.frombuffer(played.uploads[m].payload[size - 32768 : size], "<u8").astype(object)
        for m in MSPS
    ) % (2**60 - 2**14 + 1)

    played.submit(
        MSPS[0],
        "record_round_key",
        "lungs",
        1,
        json.dumps(MSPS[:3]),
        transient={"check_sum": total.astype("<u8").tobytes()},
    )

    assert played.round().state == "OPENED"


def test_open_round_with_too_few_joins_is_abandoned_after_the_deadline() -> None:
    played = Played().to_open().join(MSPS[0]).wait(60)
    played.submit(MSPS[0], "abandon", "lungs", 1, "two scanners are down")

    assert (played.round().state, played.round().reason) == ("ABANDONED", "two scanners are down")
    played.open(2)
    assert played.round(2).parent_sha256 == "11" * 32


def test_submitting_round_with_too_few_updates_is_abandoned_after_the_deadline() -> None:
    played = Played().to_submitting().update(*MSPS[:2]).wait(600)
    played.submit(MSPS[0], "abandon", "lungs", 1, "two did not finish")

    assert played.round().state == "ABANDONED"


def test_submitting_round_with_too_few_valid_updates_is_abandoned_after_the_deadline() -> None:
    played = Played().to_submitting().update(MSPS[0], MSPS[1])
    upload = played.make_upload(MSPS[2])
    played.put(MSPS[2], upload)
    manifest = upload.manifest(played.round(), MSPS[2])
    changed = json.loads(manifest.to_bytes()) | {"ciphertext_sha256": "ab" * 32}
    played.submit(MSPS[2], "submit_update", "lungs", 1, json.dumps(changed))
    played.wait(600).submit(MSPS[0], "abandon", "lungs", 1, "one update is not what it says")

    assert played.round().state == "ABANDONED"


def test_summed_round_is_given_up_by_a_majority() -> None:
    played = Played().to_summed()
    states = [
        played.submit(msp, "give_up", "lungs", 1, "no key opens it")["state"] for msp in MSPS[:3]
    ]

    assert states == ["SUMMED", "SUMMED", "ABANDONED"]


def test_unopened_boxes_are_reported_with_the_dealers_name() -> None:
    played = Played().to_summed()
    digest = played.aggregate_record().digest
    played.submit(MSPS[0], "submit_share_sum", "lungs", 1, digest, json.dumps([MSPS[2]]))

    answers = played.query("round", "lungs", 1)["share_sums"]

    assert answers[MSPS[0]] == {
        "digest": digest,
        "share_sum_sha256": "",
        "unopened": [MSPS[2]],
    }


def test_model_that_fails_the_gate_is_rejected_and_the_old_one_stays_in_force() -> None:
    worse = {"auc_before": 700_000, "auc_after": 600_000}
    played = Played().to_opened().confirm(*MSPS[:2]).confirm(*MSPS[2:], metrics_ppm=worse, vote=0)
    played.publish()

    assert played.round().state == "REJECTED"
    assert played.query("model", "lungs")["model_sha256"] == "11" * 32


def test_model_is_rejected_after_the_deadline_when_digests_differ() -> None:
    played = Played().to_opened().confirm(*MSPS[:2]).confirm(MSPS[2], model_sha256="ee" * 32)
    played.wait(120).publish()

    assert played.round().state == "REJECTED"
    assert played.round().reason == "2 equal model digests, 3 were needed"


def test_hospital_suspended_by_a_majority_of_the_others_is_not_awaited() -> None:
    played = Played().agree()
    for msp in MSPS[:2]:
        played.submit(msp, "suspend_hospital", "lungs", MSPS[3], "boxes that do not open")
    played.open().join(*MSPS[:3]).close()

    assert played.query("study", "lungs")["suspended"] == [MSPS[3]]
    assert played.round().joined == MSPS[:3]


def test_expired_chunk_refuses_the_update_it_belonged_to() -> None:
    played = Played(block_to_live=8).to_submitting().update(*MSPS[:3])
    upload = played.make_upload(MSPS[3])
    played.put(MSPS[3], upload)
    manifest = upload.manifest(played.round(), MSPS[3]).to_bytes()
    played.submit(MSPS[3], "submit_update", "lungs", 1, manifest)
    played.ledger.commit()  # the first hospital's chunk is nine blocks old now
    played.ledger.commit()

    played.aggregate()

    assert dict(played.aggregate_record().refused) == {
        MSPS[0]: "ChunkHashError: chunk 0 on the ledger is no longer the manifest's"
    }


def test_last_chunk_comes_with_its_manifest_and_is_in_the_sum() -> None:
    played, apart = Played().to_submitting(), Played().to_submitting().update().aggregate()
    for msp in MSPS:
        upload = played.make_upload(msp)
        manifest = upload.manifest(played.round(), msp).to_bytes()
        played.submit(
            msp, "submit_update", "lungs", 1, manifest, transient={"chunk": upload.chunks[0]}
        )

    played.aggregate()

    assert played.aggregate_record().block_sha256 == apart.aggregate_record().block_sha256
    assert played.aggregate_record().contributors == apart.aggregate_record().contributors


def test_chunk_with_its_manifest_needs_its_owners_peer_and_a_majority() -> None:
    played = Played().to_submitting()
    upload = played.make_upload(MSPS[3])
    manifest = upload.manifest(played.round(), MSPS[3]).to_bytes()

    def commit(*endorsers: str) -> tuple[str, ...]:
        simulation = played.simulate(
            MSPS[3], "submit_update", "lungs", 1, manifest, transient={"chunk": upload.chunks[0]}
        )
        return played.ledger.commit(simulation, endorsers=list(endorsers))

    assert commit(*MSPS[:3]) == ("ENDORSEMENT_POLICY_FAILURE",)
    assert commit(MSPS[3]) == ("ENDORSEMENT_POLICY_FAILURE",)
    assert commit(*MSPS[1:]) == ("VALID",)


def test_chunk_replaced_after_its_manifest_refuses_that_update() -> None:
    played = Played().to_submitting().update()
    place = (keys.collection(MSPS[3]), keys.chunk("lungs", 1, 0))
    simulation = played.ledger.simulate(played.creators[MSPS[3]], "studies")
    simulation.private_writes[place] = b"another upload, endorsed by its owner's peer alone"
    assert played.ledger.commit(simulation, endorsers=[MSPS[3]]) == ("VALID",)

    played.aggregate()

    assert list(played.aggregate_record().refused) == [MSPS[3]]


def test_time_of_a_round_never_goes_back() -> None:
    played = Played().to_open().join()
    played.now_s -= 500
    played.close()

    assert played.round().changed_at_s == played.round().opened_at_s
