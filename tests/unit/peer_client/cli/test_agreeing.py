"""`study propose` and `approve` show the text, ask, and write nothing by mistake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result

from chaincode.records.errors import StudyExistsError, StudyWithdrawnError
from network.channel_policies import ENDORSEMENT, policy_fact
from peer_client.errors import (
    ApprovedTextChangedError,
    ChannelChangedError,
    ChannelRulesError,
    SettingsError,
    StudyClaimError,
)
from peer_client.rounds.lineage import initial_model
from peer_client.storage.study_store import ModelState, StudyStore
from peer_client.studies.study import list_studies, read_study
from peer_client.studies.study_file import initial_shared, read_plan, study_of
from peer_client.update import first_scales, model_digest
from tests.support.hospitals import MSPS, MemoryConsortium
from tests.support.members import run_as

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"
FILE = EXAMPLES / "study.yaml"
FIRST, SECOND, *_ = MSPS


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[MemoryConsortium]:
    made = MemoryConsortium(tmp_path)
    yield made
    made.close()


class Commands:
    """Commands of a consortium's members."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, consortium: MemoryConsortium) -> None:
        self._monkeypatch = monkeypatch
        self._consortium = consortium

    def __call__(self, msp: str, *arguments: str, answer: str = "") -> Result:
        return run_as(self._monkeypatch, self._consortium, msp, "study", *arguments, answer=answer)

    def propose(self, *options: str, answer: str = "") -> Result:
        return self(FIRST, "propose", str(FILE), *options, answer=answer)


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch, consortium: MemoryConsortium) -> Commands:
    return Commands(monkeypatch, consortium)


def on_ledger(consortium: MemoryConsortium) -> list[str]:
    return [each["study"] for each in list_studies(consortium.ledger(FIRST))]


def test_a_proposal_is_shown_and_asked_for(consortium: MemoryConsortium, study: Commands) -> None:
    refused = study.propose(answer="n\n")

    assert refused.exit_code == 130
    assert "safe against 1 hospital that cheats" in refused.stdout
    assert on_ledger(consortium) == []
    assert consortium.agreement(FIRST).approved("lesions") is None

    proposed = study.propose(answer="y\n")

    assert proposed.exit_code == 0, proposed.output
    sha256 = read_study(consortium.ledger(FIRST), "lesions").terms.sha256
    assert f"proposed; SHA-256 {sha256}" in proposed.stdout
    kept = consortium.agreement(FIRST).approved("lesions")
    assert kept is not None
    assert kept.study_sha256 == sha256


def test_a_dry_run_shows_all_of_it_and_writes_nothing(
    consortium: MemoryConsortium, study: Commands
) -> None:
    shown = study.propose("--dry-run")
    document = json.loads(study.propose("--dry-run", "--json").stdout)

    assert shown.exit_code == 0
    assert f"nothing was written; lesions would have SHA-256 {document['sha256']}" in shown.stdout
    assert document["proposed"] is False
    assert document["safety"].startswith("safe against 1 hospital that cheats")
    assert on_ledger(consortium) == []
    assert not (consortium.folder / FIRST).exists()


def test_a_hospital_that_the_channel_does_not_have_is_named_with_the_one_meant(
    consortium: MemoryConsortium, study: Commands, tmp_path: Path
) -> None:
    wrong = tmp_path / "hospitals.yaml"
    text = (EXAMPLES / "phantoms.yaml").read_text()
    wrong.write_text(text.replace("member: ucsd", "member: usdc"))

    result = study.propose("--yes", "--hospitals", str(wrong))

    assert result.exit_code == SettingsError.exit_code
    assert "the channel has no hospital usdc; did you mean ucsd?" in result.stderr
    assert on_ledger(consortium) == []


def test_a_name_that_is_taken_is_refused_before_anything_is_asked(
    consortium: MemoryConsortium, study: Commands
) -> None:
    study.propose("--yes")

    result = study.propose()

    assert result.exit_code == StudyExistsError.exit_code
    assert "choose another name" in result.stderr


def test_a_wide_gate_warns(study: Commands, tmp_path: Path) -> None:
    wide = tmp_path / "study.yaml"
    text = FILE.read_text().replace("hospitals_file: ", f"hospitals_file: {EXAMPLES}/")
    wide.write_text(text.replace("gate_margin: 0.3", "gate_margin: 0.5"))

    result = study(FIRST, "propose", str(wide), "--dry-run", "--json")

    assert result.exit_code == 0, result.output
    assert "warning: the AUC may fall by 0.50" in result.stderr
    assert len(json.loads(result.stdout)["warnings"]) == 1


def test_a_narrow_gate_does_not_warn(study: Commands, tmp_path: Path) -> None:
    narrow = tmp_path / "study.yaml"
    text = FILE.read_text().replace("hospitals_file: ", f"hospitals_file: {EXAMPLES}/")
    narrow.write_text(text.replace("gate_margin: 0.3", "gate_margin: 0.1"))

    result = study(FIRST, "propose", str(narrow), "--dry-run", "--json")

    assert result.exit_code == 0, result.output
    assert "warning" not in result.stderr


def test_the_text_is_approved_that_was_shown_and_its_digest_kept_here(
    consortium: MemoryConsortium, study: Commands
) -> None:
    study.propose("--yes")
    sha256 = read_study(consortium.ledger(FIRST), "lesions").terms.sha256

    refused = study(SECOND, "approve", "lesions", answer="n\n")
    assert refused.exit_code == 130
    assert consortium.agreement(SECOND).approved("lesions") is None
    approved = study(SECOND, "approve", "lesions", answer="y\n")

    assert approved.exit_code == 0, approved.output
    assert sha256 in approved.stdout
    kept = consortium.agreement(SECOND).approved("lesions")
    assert kept is not None
    assert kept.study_sha256 == sha256
    assert consortium.agreement(SECOND).pinned() == consortium.channel.facts


def test_approving_again_keeps_a_lost_approval_and_sends_nothing(
    consortium: MemoryConsortium, study: Commands
) -> None:
    study.propose("--yes")
    study(SECOND, "approve", "lesions", "--yes")
    height = consortium.channel.height
    (consortium.folder / SECOND / "studies" / "lesions" / "approved.json").unlink()

    result = study(SECOND, "approve", "lesions", "--yes", "--json")

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["approved_by"] == [FIRST, SECOND]
    assert consortium.agreement(SECOND).approved("lesions") is not None
    assert consortium.channel.height == height


def test_nothing_is_approved_on_a_weaker_or_a_changed_channel(
    consortium: MemoryConsortium, study: Commands
) -> None:
    study.propose("--yes")
    facts = dict(consortium.channel.facts)
    weaker = {policy_fact(ENDORSEMENT[0]): f"1 of the peers of {', '.join(MSPS)}"}

    consortium.channel.facts = tuple(sorted((facts | weaker).items()))
    assert study(SECOND, "approve", "lesions", "--yes").exit_code == ChannelRulesError.exit_code
    consortium.channel.facts = tuple(sorted(facts.items()))
    assert study(SECOND, "approve", "lesions", "--yes").exit_code == 0
    consortium.channel.facts = tuple(sorted((facts | {"chaincode": "other"}).items()))
    again = study(SECOND, "approve", "lesions", "--yes")

    assert again.exit_code == ChannelChangedError.exit_code
    assert "chaincode was absent, is other" in again.stderr


def test_another_text_than_the_one_kept_is_not_approved(
    consortium: MemoryConsortium, study: Commands
) -> None:
    study.propose("--yes")
    terms = read_study(consortium.ledger(FIRST), "lesions").terms
    consortium.agreement(SECOND).keep_approval(replace(terms, rounds=9), 1)

    result = study(SECOND, "approve", "lesions", "--yes")

    assert result.exit_code == ApprovedTextChangedError.exit_code
    assert "a person knows why" in result.stderr


def test_a_proposal_is_withdrawn_once_and_asked_for(
    consortium: MemoryConsortium, study: Commands
) -> None:
    study.propose("--yes")

    assert study(FIRST, "withdraw", "lesions", answer="n\n").exit_code == 130
    withdrawn = study(FIRST, "withdraw", "lesions", answer="y\n")

    assert withdrawn.exit_code == 0, withdrawn.output
    assert read_study(consortium.ledger(FIRST), "lesions").withdrawn
    late = study(SECOND, "approve", "lesions", "--yes")
    assert late.exit_code == StudyWithdrawnError.exit_code
    assert consortium.agreement(SECOND).approved("lesions") is None


# --- starting models -----------------------------------------------------------------------------


@pytest.fixture
def later(consortium: MemoryConsortium) -> tuple[StudyStore, ModelState]:
    """Return a study that starts from a model with a tensor made by hand, proposed by another."""
    ledger = consortium.ledger(FIRST)
    plan = read_plan(FILE)
    terms = study_of(plan, ledger.ordering(), genesis_sha256=ledger.genesis_sha256)
    weights = initial_shared(terms).copy()
    weights[:400] = 0
    terms = replace(terms, study="later", initial_model_sha256=model_digest(weights))
    consortium.study = terms
    from peer_client.studies.study import propose

    propose(ledger, terms, consortium.agreement(FIRST), now_s=consortium.clock())
    model = initial_model(terms, weights)
    assert len(model.scales) == len(first_scales(terms.weights))
    return StudyStore(consortium.folder / SECOND / "studies" / "later"), model


def test_a_starting_model_that_was_not_seen_is_not_approved(
    later: tuple[StudyStore, ModelState], study: Commands
) -> None:
    result = study(SECOND, "approve", "later", "--yes")

    assert result.exit_code == StudyClaimError.exit_code
    assert "--start-from" in result.stderr


def test_a_starting_model_is_shown_beside_a_fresh_draw(
    later: tuple[StudyStore, ModelState], study: Commands
) -> None:
    store, model = later
    store.write_model(model)

    shown = study(SECOND, "approve", "later", answer="n\n")
    approved = study(SECOND, "approve", "later", "--yes", "--json")

    assert "stem_1/kernel (zeros" in shown.stderr
    table = shown.stdout[shown.stdout.index("starting model") :]
    assert "stem_1/kernel" in table
    assert max(len(line) for line in table.splitlines()) <= 80
    tensors = json.loads(approved.stdout)["starting_model"]
    unusual = {each["name"] for each in tensors if each["outlying"]}
    assert unusual == {"stem_1/kernel"}
