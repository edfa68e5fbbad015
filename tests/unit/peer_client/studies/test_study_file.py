"""A study file becomes the same terms at every hospital, or is refused by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaincode.records.study import Study
from chaincode.records.terms import check_terms
from chaincode.roundkey.parameters import ParameterError
from peer_client.errors import SettingsError, StudyClaimError
from peer_client.ledgers.ledger import OrderingClaim
from peer_client.studies.study import check_ordering
from peer_client.studies.study_file import (
    changed_plan,
    network_of,
    read_plan,
    shared_places,
    study_of,
)

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"
BFT = OrderingClaim("BFT", ("a", "b", "c", "d"))
GENESIS = "ab" * 32
TEXT = (EXAMPLES / "study.yaml").read_text()


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(text.replace("hospitals_file: ", f"hospitals_file: {EXAMPLES}/"))
    return path


def test_the_example_is_a_study_the_chaincode_accepts() -> None:
    terms = study_of(read_plan(EXAMPLES / "study.yaml"), BFT, genesis_sha256=GENESIS)

    parameters = check_terms(terms)

    assert parameters.threshold == terms.threshold == 3
    assert [hospital.point for hospital in terms.hospitals] == [1, 2, 3, 4]
    assert terms.parameters == int(shared_places(terms.weights).sum())


def test_the_same_file_gives_the_same_text_and_survives_the_ledger() -> None:
    first = study_of(read_plan(EXAMPLES / "study.yaml"), BFT, genesis_sha256=GENESIS)
    second = study_of(read_plan(EXAMPLES / "study.yaml"), BFT, genesis_sha256=GENESIS)

    assert first.sha256 == second.sha256
    assert Study.from_bytes(first.to_bytes()) == first
    assert network_of(first).size_px == 96


@pytest.mark.parametrize("local_steps", [4, 24, 6_666, 6_667, 1_000_000])
def test_clipping_scales_of_any_number_of_steps_are_ones_the_chaincode_takes(
    tmp_path: Path, local_steps: int
) -> None:
    text = TEXT.replace("local_steps: 24", f"local_steps: {local_steps}")

    check_terms(study_of(read_plan(written(tmp_path, text)), BFT, genesis_sha256=GENESIS))


def test_hospitals_and_name_may_be_replaced() -> None:
    plan = read_plan(EXAMPLES / "study.yaml")

    other = changed_plan(plan, name="real", hospitals_file=EXAMPLES / "real_ct.yaml")

    assert other.name == "real"
    assert other.hospitals != plan.hospitals


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("bits: 8", "bytes: 8", "unknown key `bytes`"),
        ("bits: 8", "", "key `bits` is missing"),
        ("rounds: 4", "rounds: 0", r"line \d+: rounds: 0 is not from 1"),
        ("seed: 2026", "seed: 2026\ncolour: red", "unknown key `colour`"),
        ("format: 1", "format: 2", r"line 4: format is 2"),
        ("seed: 2026", "seed: 2026\nseed: 1", "key `seed` stands here twice"),
        ("gate_margin: 0.3", "gate_margin: 2", "gate_margin: `2` is not a number from 0 to 1"),
        ("local_steps: 24", "local_steps: 3", r"line \d+: local_steps: 3 is not from 4"),
        ("local_steps: 24", "local_step: 24", r"line \d+: .*did you mean `local_steps`"),
        ("  size_px: 96", "  size_px: big", r"line \d+: size_px: `big` is not an integer"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TEXT

    with pytest.raises(SettingsError, match=message):
        read_plan(written(tmp_path, TEXT.replace(old, new)))


def test_a_hospital_named_twice_is_refused(tmp_path: Path) -> None:
    entry = "  - {member: a, has_masks: true, label_negative: other}\n"
    text = TEXT.replace(
        "hospitals_file: phantoms.yaml   # members, masks and what a negative label means; "
        "or `hospitals:`",
        "hospitals:\n" + entry * 4,
    )

    with pytest.raises(SettingsError, match="twice"):
        study_of(read_plan(written(tmp_path, text)), BFT, genesis_sha256=GENESIS)


def test_the_threshold_is_a_setting(tmp_path: Path) -> None:
    path = written(tmp_path, TEXT.replace("bits: 8", "threshold: 4\nbits: 8"))

    terms = study_of(read_plan(path), BFT, genesis_sha256=GENESIS)

    assert (terms.threshold, terms.contributors_min) == (4, 4)
    assert check_terms(terms).safety().cheating == 2


@pytest.mark.parametrize("threshold", [2, 5])
def test_a_threshold_out_of_its_range_is_refused(tmp_path: Path, threshold: int) -> None:
    path = written(tmp_path, TEXT.replace("bits: 8", f"threshold: {threshold}\nbits: 8"))

    with pytest.raises(ParameterError, match="4 hospitals need one from 3 to 4"):
        study_of(read_plan(path), BFT, genesis_sha256=GENESIS)


@pytest.mark.parametrize(
    "found", [OrderingClaim("etcdraft", ()), OrderingClaim("BFT", ("a", "b", "c"))]
)
def test_an_ordering_claim_that_is_not_so_is_refused(found: OrderingClaim) -> None:
    terms = study_of(read_plan(EXAMPLES / "study.yaml"), BFT, genesis_sha256=GENESIS)

    with pytest.raises(StudyClaimError, match="4 nodes"):
        check_ordering(terms, found)
