"""Studies: proposed by one hospital, approved by the others, taken back; hospitals suspended."""

from __future__ import annotations

from chaincode.contract.rules import agreement, arguments, members
from chaincode.contract.telling import tell_study
from chaincode.contract.writing import check_first_time, put_new
from chaincode.ledger import Ledger
from chaincode.records import keys, register
from chaincode.records.errors import SecondApprovalError, SecondSuspensionVoteError
from chaincode.records.round import Approval, Suspension, Withdrawal
from chaincode.records.study import Study
from chaincode.records.terms import check_terms


def propose_study(ledger: Ledger, text: bytes) -> bytes:
    """Propose a study; the proposer approves it by doing so."""
    terms = Study.from_text(text)
    msp = members.check_member(ledger, terms).msp
    agreement.check_new_study(ledger, terms)
    agreement.check_few_proposals(ledger, msp)
    check_terms(terms)
    approval = Approval(terms.study, msp, terms.sha256)
    put_new(ledger, {keys.study(terms.study): terms, keys.approval(terms.study, msp): approval})
    return tell_study(ledger, "study.proposed", terms, "PROPOSED")


def approve_study(ledger: Ledger, study: bytes, sha256: bytes) -> bytes:
    """Approve a study by the SHA-256 of its record."""
    terms = register.study(ledger, arguments.read_study_id(study))
    msp = members.check_member(ledger, terms).msp
    agreement.check_not_withdrawn(ledger, terms)
    agreement.check_same_text(terms, arguments.read_text(sha256))
    key = keys.approval(terms.study, msp)
    check_first_time(
        ledger, key, SecondApprovalError, f"{msp} has approved study {terms.study} already"
    )
    put_new(ledger, {key: Approval(terms.study, msp, terms.sha256)})
    return tell_study(ledger, "study.approved", terms, "APPROVED")


def withdraw_study(ledger: Ledger, study: bytes) -> bytes:
    """Take a proposal back that nobody else has approved; its name stays taken."""
    terms = register.study(ledger, arguments.read_study_id(study))
    msp = members.check_member(ledger, terms).msp
    agreement.check_not_withdrawn(ledger, terms)
    agreement.check_withdrawable(ledger, terms, msp)
    put_new(ledger, {keys.withdrawal(terms.study): Withdrawal(terms.study, msp)})
    return tell_study(ledger, "study.withdrawn", terms, "WITHDRAWN")


def suspend_hospital(ledger: Ledger, study: bytes, msp: bytes, reason: bytes) -> bytes:
    """Vote to suspend a hospital: a majority of the others keeps it out of later rounds."""
    terms = register.study(ledger, arguments.read_study_id(study))
    voter = members.check_member(ledger, terms).msp
    target = members.check_suspendable(terms, arguments.read_msp_id(msp), voter)
    key = keys.suspension(terms.study, target, voter)
    check_first_time(
        ledger, key, SecondSuspensionVoteError, f"{voter} has voted to suspend {target} already"
    )
    why = arguments.read_reason(reason)
    vote = Suspension(study=terms.study, msp=target, voter=voter, reason=why)
    put_new(ledger, {key: vote})
    return tell_study(ledger, "study.suspension", terms, target)
