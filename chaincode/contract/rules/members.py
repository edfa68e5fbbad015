"""Who may act: the client of a hospital of the study, joined, not suspended."""

from __future__ import annotations

from chaincode.ledger import Ledger
from chaincode.records import register
from chaincode.records.errors import (
    NotAMemberError,
    NotJoinedError,
    NotSuspendableError,
    SuspendedError,
)
from chaincode.records.identity import check_hospital_client_pem
from chaincode.records.round import Round
from chaincode.records.study import Study, StudyHospital


def check_member(ledger: Ledger, terms: Study) -> StudyHospital:
    """Return the creator as a hospital of the study, acting by its client.

    Raises:
        ClientIdentityError: The signer is the hospital's peer, node, administrator or another user.
        NotAMemberError: The organisation is no hospital of the study.
    """
    msp = ledger.creator.msp_id
    hospital = terms.hospital(msp)
    if hospital is None:
        raise NotAMemberError(f"{msp} is not a hospital of study {terms.study}")
    check_hospital_client_pem(ledger.creator.certificate_pem)
    return hospital


def check_joined(round_record: Round, msp: str) -> str:
    """Return the hospital after checking that it joined the round.

    Raises:
        NotJoinedError: It did not.
    """
    if msp not in round_record.joined:
        raise NotJoinedError(
            f"{msp} did not join round {round_record.round} of {round_record.study} "
            "before its joins closed"
        )
    return msp


def check_not_suspended(ledger: Ledger, terms: Study, msp: str) -> None:
    """Check that a hospital may join.

    Raises:
        SuspendedError: A majority of the others suspended it.
    """
    if register.is_suspended(ledger, terms, msp):
        raise SuspendedError(
            f"{msp} is suspended from study {terms.study} by a majority of the other hospitals"
        )


def check_suspendable(terms: Study, msp: str, voter: str) -> str:
    """Return the hospital that a vote is about.

    Raises:
        NotSuspendableError: It is not of the study, or votes about itself.
    """
    if terms.hospital(msp) is None:
        raise NotSuspendableError(f"{msp} is not a hospital of study {terms.study}")
    if msp == voter:
        raise NotSuspendableError(f"{msp} cannot vote to suspend itself")
    return msp
