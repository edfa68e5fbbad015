"""What a hospital checks of a study before it agrees to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chaincode.records.errors import (
    NotWithdrawableError,
    StudyExistsError,
    TrainingTermsError,
)
from peer_client.client import chosen_study
from peer_client.errors import NotOfStudyError, SettingsError, StudyClaimError
from peer_client.reports.status import study_status
from peer_client.studies.study import (
    approve,
    check_members,
    check_new_name,
    list_studies,
    propose,
    read_study,
    withdraw,
)
from tests.support.hospitals import MSPS, MemoryConsortium, small_study

FIRST, SECOND, *_ = MSPS


@pytest.fixture
def consortium(tmp_path: Path) -> Iterator[MemoryConsortium]:
    made = MemoryConsortium(tmp_path)
    yield made
    made.close()


def propose_here(consortium: MemoryConsortium, **terms: object) -> None:
    study = replace(consortium.study, **terms)  # type: ignore[arg-type]
    agreement = consortium.agreement(FIRST)
    propose(consortium.ledger(FIRST), study, agreement, now_s=consortium.clock())


@pytest.mark.parametrize(
    ("terms", "refusal", "message"),
    [
        ({"genesis_sha256": "cd" * 32}, StudyClaimError, "first block"),
        ({"ordering": replace(small_study().ordering, type="etcdraft")}, StudyClaimError, "4 by"),
        ({"local_steps": 3}, TrainingTermsError, "local_steps is 3"),
        ({"hospitals": small_study(MSPS[1:]).hospitals}, NotOfStudyError, FIRST),
    ],
)
def test_what_is_not_so_is_refused_before_anything_is_sent_or_kept(
    consortium: MemoryConsortium,
    terms: dict[str, object],
    refusal: type[Exception],
    message: str,
) -> None:
    with pytest.raises(refusal, match=message):
        propose_here(consortium, **terms)

    assert consortium.channel.height == 1
    assert not consortium.agreement(FIRST).folder.exists()


def test_a_refused_proposal_is_not_kept_as_approved(consortium: MemoryConsortium) -> None:
    propose_here(consortium)
    agreement = consortium.agreement(SECOND)

    with pytest.raises(StudyExistsError):
        propose(consortium.ledger(SECOND), consortium.study, agreement, now_s=1)

    assert agreement.approved("small") is None


def test_the_nearest_hospital_is_named() -> None:
    check_members(MSPS, MSPS)
    with pytest.raises(SettingsError, match=r"hospital moscow3; did you mean moscow"):
        check_members(["moscow3MSP"], MSPS)
    with pytest.raises(SettingsError, match=r"hospital xyzzy\. Its hospitals are moscow1"):
        check_members(["xyzzyMSP"], MSPS)


def test_a_taken_name_is_refused_with_those_there_are(consortium: MemoryConsortium) -> None:
    check_new_name(consortium.ledger(FIRST), "small")
    propose_here(consortium)

    with pytest.raises(StudyExistsError, match="another name than small"):
        check_new_name(consortium.ledger(FIRST), "small")


def test_a_proposal_is_withdrawn_until_somebody_else_approved_it(
    consortium: MemoryConsortium,
) -> None:
    propose_here(consortium)
    with pytest.raises(NotWithdrawableError):
        withdraw(consortium.ledger(SECOND), "small")
    withdraw(consortium.ledger(FIRST), "small")
    assert read_study(consortium.ledger(FIRST), "small").withdrawn
    propose_here(consortium, study="again")
    state = read_study(consortium.ledger(SECOND), "again")
    approve(consortium.ledger(SECOND), state, consortium.agreement(SECOND), now_s=1)

    with pytest.raises(NotWithdrawableError):
        withdraw(consortium.ledger(FIRST), "again")


def test_a_withdrawn_study_is_not_the_one_to_work_on(consortium: MemoryConsortium) -> None:
    propose_here(consortium)
    withdraw(consortium.ledger(FIRST), "small")
    propose_here(consortium, study="again")

    assert chosen_study(consortium.ledger(FIRST), None).terms.study == "again"
    assert {each["state"] for each in list_studies(consortium.ledger(FIRST))} == {
        "WITHDRAWN",
        "PROPOSED",
    }


def test_status_says_what_is_approved_here_and_what_it_is_safe_against(
    consortium: MemoryConsortium,
) -> None:
    propose_here(consortium)

    def status(msp: str) -> dict[str, object]:
        ledger, store = consortium.ledger(msp), consortium.store(msp)
        return study_status(ledger, store, read_study(ledger, "small"), consortium.agreement(msp))

    assert (status(FIRST)["approved_here"], status(FIRST)["next"]) == (True, "wait for approvals")
    assert (status(SECOND)["approved_here"], status(SECOND)["next"]) == (False, "approve")
    assert str(status(SECOND)["safety"]).startswith("safe against 1 hospital that cheats")
    # An approval on the ledger that this hospital does not know of is none.
    consortium.ledger(SECOND).submit("approve_study", "small", consortium.study.sha256)
    assert status(SECOND)["next"] == "approve"
