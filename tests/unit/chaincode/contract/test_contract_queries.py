"""Every query answers JSON that a client or an auditor can work with."""

from __future__ import annotations

import hashlib

import pytest

from chaincode.contract import queries
from chaincode.memory_ledger import MemoryEndorseError
from tests.unit.chaincode.contract.played import MSPS, STUDY, Played, make_study


@pytest.fixture(scope="module")
def played() -> Played:
    played = Played().to_published()
    return played.open(2).join(number=2)


def test_studies_lists_each_study_with_its_state_and_last_round(played: Played) -> None:
    (summary,) = played.query("studies")

    assert summary == {
        "study": STUDY,
        "title": "Lungs of four hospitals",
        "state": "IN_FORCE",
        "study_sha256": played.study.sha256,
        "hospitals": list(MSPS),
        "approved_by": list(MSPS[:3]),
        "approvals_needed": 3,
        "last_round": 2,
        "last_round_state": "OPEN",
        "published_rounds": 1,
        "model_sha256": "02" * 32,
    }


def test_study_shows_its_record_and_what_follows_from_it(played: Played) -> None:
    answer = played.query("study", STUDY)

    assert answer["record"] == played.study.to_json()
    assert answer["approvals"] == dict.fromkeys(MSPS[:3], played.study.sha256)
    assert answer["parameters"]["levels"] == 319


def test_study_without_a_majority_is_only_proposed() -> None:
    played = Played()
    played.submit(MSPS[0], "propose_study", played.study.to_bytes())

    assert played.query("study", STUDY)["state"] == "PROPOSED"


def test_rounds_lists_records_in_order(played: Played) -> None:
    answer = played.query("rounds", STUDY)

    assert [(r["round"], r["state"]) for r in answer["rounds"]] == [(1, "PUBLISHED"), (2, "OPEN")]
    assert answer["next"] == ""


def test_rounds_come_in_pages(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "PAGE_SIZE", 1)

    first = played.query("rounds", STUDY)
    second = played.query("rounds", STUDY, first["next"])

    assert [r["round"] for r in first["rounds"] + second["rounds"]] == [1, 2]
    assert second["next"] == ""


def test_round_shows_everything_but_raw_keys(played: Played) -> None:
    answer = played.query("round", STUDY, 1)

    assert answer["state"] == "PUBLISHED"
    assert sorted(answer["joins"]) == list(MSPS)
    assert answer["updates"][MSPS[1]]["upload_bytes"] == played.layout.upload_bytes
    assert answer["aggregate"]["pooling_max"] == 2
    assert answer["round_key"]["senders"] == list(MSPS[:3])
    assert "key" not in answer["round_key"]
    assert answer["confirmations"][MSPS[3]]["vote"] == 1


def test_joins_give_all_that_a_dealer_checks(played: Played) -> None:
    answer = played.query("joins", STUDY, 2)

    assert sorted(answer[MSPS[0]]) == [
        "certificate_pem",
        "format",
        "msp",
        "point",
        "round",
        "sealing_key",
        "signature",
        "study",
    ]


def test_hospital_shows_what_it_did_round_by_round(played: Played) -> None:
    (study,) = played.query("hospital", MSPS[0])["studies"]

    assert study["rounds"][0] == {
        "round": 1,
        "state": "PUBLISHED",
        "joined": 1,
        "ciphertext_sha256": study["rounds"][0]["ciphertext_sha256"],
        "upload_bytes": played.layout.upload_bytes,
        "contributed": 1,
        "refused": "",
        "answered": 1,
        "unopened": [],
        "false_share_sum": 0,
        "metrics_ppm": {"auc_before": 700_000, "auc_after": 750_000},
        "vote": 1,
    }


def test_hospital_outside_every_study_has_none(played: Played) -> None:
    assert played.query("hospital", "NobodyMSP") == {"msp": "NobodyMSP", "studies": []}


def test_model_is_the_last_published_one(played: Played) -> None:
    answer = played.query("model", STUDY)

    assert (answer["round"], answer["model_sha256"]) == (1, "02" * 32)
    assert answer["digest"] == played.aggregate_record().digest


def test_model_before_any_round_is_the_initial_one() -> None:
    assert Played().agree().query("model", STUDY)["model_sha256"] == "11" * 32


def test_model_of_a_running_round_is_refused(played: Played) -> None:
    with pytest.raises(MemoryEndorseError, match="UnknownRecordError: round 2 of lungs is OPEN"):
        played.query("model", STUDY, 2)


def test_lineage_chains_every_model_to_the_initial_one(played: Played) -> None:
    answer = played.query("lineage", STUDY)

    assert answer["initial_model_sha256"] == "11" * 32
    first, second = answer["rounds"]
    assert first["parent_sha256"] == "11" * 32
    assert second["parent_sha256"] == first["model_sha256"] == "02" * 32


def test_history_of_a_round_shows_every_state_it_was_in(played: Played) -> None:
    answer = played.query("history", STUDY, 1)

    assert [change["record"]["state"] for change in answer] == [
        "PUBLISHED",
        "OPENED",
        "SUMMED",
        "SUBMITTING",
        "OPEN",
    ]
    assert all(len(change["transaction_id"]) == 64 for change in answer)


def test_history_of_nothing_is_refused(played: Played) -> None:
    with pytest.raises(MemoryEndorseError, match="UnknownRoundError"):
        played.query("history", STUDY, 9)


def test_chunk_answers_the_bytes_that_the_manifest_hashes() -> None:
    played = Played().to_submitting().update(MSPS[1])
    manifest = played.query("round", STUDY, 1)["updates"][MSPS[1]]

    chunk = played.ledger.evaluate(played.creators[MSPS[0]], "chunk", STUDY, "1", MSPS[1], "0")

    assert hashlib.sha256(chunk).hexdigest() == manifest["chunks"][0]["sha256"]


def test_chunk_that_was_never_put_is_refused(played: Played) -> None:
    with pytest.raises(MemoryEndorseError, match="UnknownRecordError"):
        played.query("chunk", STUDY, 2, MSPS[0], 0)


def test_chunk_is_not_read_for_the_authority() -> None:
    played = Played().to_submitting().update(MSPS[1])

    with pytest.raises(MemoryEndorseError, match="does not have read access permission"):
        played.query("chunk", STUDY, 1, MSPS[1], 0, msp="AuthorityMSP")


def test_authority_sees_every_public_record(played: Played) -> None:
    assert played.query("lineage", STUDY, msp="AuthorityMSP") == played.query("lineage", STUDY)


def test_queries_write_nothing(played: Played) -> None:
    creator = played.creators[MSPS[0]]
    for name, args in {
        "studies": (),
        "study": (STUDY,),
        "rounds": (STUDY,),
        "round": (STUDY, "1"),
        "hospital": (MSPS[0],),
        "model": (STUDY,),
        "lineage": (STUDY,),
        "history": (STUDY,),
        "joins": (STUDY, "1"),
        "share_sums": (STUDY, "1"),
        "round_key": (STUDY, "1"),
    }.items():
        simulation = played.ledger.simulate(creator, name, *args)
        assert not simulation.writes
        assert simulation.event is None


def test_masks_and_label_meaning_of_a_hospital_are_public() -> None:
    played = Played(study=make_study()).agree()

    (study,) = played.query("hospital", MSPS[3])["studies"]

    assert (study["has_masks"], study["label_negative"]) == (0, "no pneumonia")
