"""What is agreed: names of studies, the text approved, proposals taken back."""

from __future__ import annotations

from typing import Final

from chaincode.ledger import Ledger
from chaincode.records import keys, register
from chaincode.records.errors import (
    NotWithdrawableError,
    OtherStudyTextError,
    StudyExistsError,
    StudyNotInForceError,
    StudyWithdrawnError,
    TooManyProposalsError,
)
from chaincode.records.study import Study

#: Proposals not yet in force that a hospital may have approved, and proposals that it may take back
#: forever: a query reads all studies of the channel, and a record is never deleted.
PROPOSALS_MAX: Final = 8
WITHDRAWALS_MAX: Final = 64


def check_new_study(ledger: Ledger, terms: Study) -> None:
    """Check that a study's name is free.

    Raises:
        StudyExistsError: It is taken.
    """
    if ledger.get_state(keys.study(terms.study)):
        raise StudyExistsError(f"study {terms.study} was proposed before; choose another name")


def check_same_text(terms: Study, claimed_sha256: str) -> None:
    """Compare the SHA-256 of a study's record with an approval's.

    Raises:
        OtherStudyTextError: They differ.
    """
    actual = terms.sha256
    if claimed_sha256 != actual:
        raise OtherStudyTextError(
            f"the record of study {terms.study} has SHA-256 {actual}, not the one approved"
        )


def check_in_force(ledger: Ledger, terms: Study) -> None:
    """Check that a majority of the hospitals approved the study.

    Raises:
        StudyNotInForceError: They have not.
    """
    if not register.in_force(ledger, terms):
        count = len(register.approvals(ledger, terms.study))
        raise StudyNotInForceError(
            f"{count} of {len(terms.hospitals)} hospitals approved study {terms.study}; "
            f"{terms.majority} are needed"
        )


def check_not_withdrawn(ledger: Ledger, terms: Study) -> None:
    """Check that a study was not taken back.

    Raises:
        StudyWithdrawnError: It was.
    """
    withdrawal = register.withdrawal(ledger, terms.study)
    if withdrawal is not None:
        raise StudyWithdrawnError(f"{withdrawal.msp} has withdrawn study {terms.study}")


def check_withdrawable(ledger: Ledger, terms: Study, msp: str) -> None:
    """Check that a hospital may take a study back: it alone has approved it, by proposing it.

    Raises:
        NotWithdrawableError: Another hospital approved it too, or this one did not propose it.
    """
    approved = tuple(register.approvals(ledger, terms.study))
    if approved != (msp,):
        raise NotWithdrawableError(
            f"study {terms.study} was approved by {', '.join(approved)}; only its proposer may "
            "withdraw it, while nobody else has approved it"
        )


def check_few_proposals(ledger: Ledger, msp: str) -> None:
    """Check that a hospital has not proposed too much that nobody took up.

    Raises:
        TooManyProposalsError: It has: of proposals that wait, or of proposals taken back.
    """
    waiting: list[str] = []
    withdrawn = 0
    for _, value in ledger.states(keys.STUDY):
        terms = Study.from_bytes(value)
        approved = register.approvals(ledger, terms.study)
        if msp not in approved or len(approved) >= terms.majority:
            continue
        if register.withdrawal(ledger, terms.study) is None:
            waiting.append(terms.study)
        else:
            withdrawn += 1
    if withdrawn >= WITHDRAWALS_MAX:
        raise TooManyProposalsError(
            f"{msp} has proposed and withdrawn {withdrawn} studies; no more are taken"
        )
    if len(waiting) >= PROPOSALS_MAX:
        raise TooManyProposalsError(
            f"{msp} has approved {', '.join(waiting[:PROPOSALS_MAX])}, which are not in force yet; "
            "it may propose again when one of them is, or when it has withdrawn one"
        )
