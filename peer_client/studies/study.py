"""Agree on a study: propose, look, approve, list, suspend; and read one to work on it.

What is approved is the SHA-256 of the record's canonical bytes, computed here from the terms that
were shown, never taken from a peer, and kept here (own_agreement.py). A study is
refused whose claims about the channel (its first block, who orders it, its hospitals) are not what
this hospital finds, or whose channel has weaker rules than the study promises: docs/security.md
rests on them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from chaincode.records.canonical import encode
from chaincode.records.errors import StudyExistsError, UnknownStudyError
from chaincode.records.study import Study
from chaincode.records.terms import check_terms
from peer_client.errors import NotOfStudyError, SettingsError, StudyClaimError
from peer_client.ledgers.ledger import HospitalLedger, LedgerCommit, OrderingClaim, query
from peer_client.studies.channel_rules import Facts
from peer_client.studies.own_agreement import OwnAgreement, check_genesis


@dataclass(frozen=True, slots=True)
class StudyState:
    """A study as the ledger has it.

    Attributes:
        terms: Its record, checked again here.
        in_force: Whether a majority of its hospitals approved this very text.
        approved_by: Who did.
        approvals_needed: How many approvals make a majority.
        suspended: Hospitals that may not join later rounds.
        last_round: Number of the newest round, 0 where there is none.
        last_round_state: Its state, empty where there is none.
        published_rounds: Models published so far.
        model_sha256: Digest of the model in force.
        withdrawn: Whether its proposer has taken it back.
    """

    terms: Study
    in_force: bool
    approved_by: tuple[str, ...]
    approvals_needed: int
    suspended: tuple[str, ...]
    last_round: int
    last_round_state: str
    published_rounds: int
    model_sha256: str
    withdrawn: bool = False

    @property
    def active(self) -> tuple[str, ...]:
        """Return the hospitals that may join the next round, in MSP order."""
        return tuple(msp for msp in self.terms.msps if msp not in self.suspended)


def read_study(ledger: HospitalLedger, study: str) -> StudyState:
    """Return a study and where it stands.

    Raises:
        UnknownStudyError: There is no such study; the message names those there are.
        StudyClaimError: The peer's answer does not fit together.
    """
    try:
        answer = query(ledger, "study", study)
    except UnknownStudyError:
        known = ", ".join(each["study"] for each in list_studies(ledger)) or "none"
        raise UnknownStudyError(
            f"no study {study} was proposed on this channel; there are: {known}"
        ) from None
    terms = Study.from_text(encode(answer["record"]))
    if terms.sha256 != answer["study_sha256"]:
        raise StudyClaimError(f"the record of study {study} does not have the digest shown for it")
    return StudyState(
        terms=terms,
        in_force=answer["state"] == "IN_FORCE",
        approved_by=tuple(answer["approved_by"]),
        approvals_needed=answer["approvals_needed"],
        suspended=tuple(answer["suspended"]),
        last_round=answer["last_round"],
        last_round_state=answer["last_round_state"],
        published_rounds=answer["published_rounds"],
        model_sha256=answer["model_sha256"],
        withdrawn=answer["state"] == "WITHDRAWN",
    )


def list_studies(ledger: HospitalLedger) -> list[dict[str, Any]]:
    """Return a summary of every study of the channel."""
    found: list[dict[str, Any]] = query(ledger, "studies")
    return found


def propose(
    ledger: HospitalLedger, terms: Study, agreement: OwnAgreement, *, now_s: float
) -> LedgerCommit:
    """Propose a study; that is this hospital's approval too.

    Args:
        ledger: The way to the channel.
        terms: The study.
        agreement: Where this hospital keeps what it approved.
        now_s: Unix time, seconds.

    Raises:
        NotOfStudyError: This hospital is not in it.
        SettingsError: It names a hospital that the channel does not have.
        StudyClaimError: It claims another channel or ordering service than this one.
        StudyTermsError: Its terms are unsafe (the chaincode's own rules, run here first).
        ChannelRulesError: The channel's rules are weaker than what a study promises.
        ChannelChangedError: The channel is not what this hospital accepted it to be.
        NotApprovedHereError: Another text was approved here under the study's name.
    """
    check_may_agree(ledger, terms, agreement, now_s=now_s)
    done = ledger.submit("propose_study", terms.to_bytes().decode("ascii"))
    agreement.keep_approval(terms, now_s)
    return done


def approve(
    ledger: HospitalLedger, state: StudyState, agreement: OwnAgreement, *, now_s: float
) -> LedgerCommit | None:
    """Approve the text that `state` holds, after the checks a hospital owes itself.

    The digest is kept here too. Where the ledger has this hospital's approval already (its files
    were lost, or a client was stopped in between), that is all there is to do.

    Returns:
        The transaction, or nothing where the ledger had the approval.

    Raises:
        NotOfStudyError: This hospital is not in it.
        SettingsError: It names a hospital that the channel does not have.
        StudyClaimError: It claims another channel or ordering service than this one.
        StudyTermsError: Its terms are unsafe.
        ChannelRulesError: The channel's rules are weaker than what a study promises.
        ChannelChangedError: The channel is not what this hospital accepted it to be.
        NotApprovedHereError: Another text was approved here under the study's name.
    """
    terms = state.terms
    check_may_agree(ledger, terms, agreement, now_s=now_s)
    done = None
    if ledger.msp_id not in state.approved_by:
        done = ledger.submit("approve_study", terms.study, terms.sha256)
    agreement.keep_approval(terms, now_s)
    return done


def check_may_agree(
    ledger: HospitalLedger, terms: Study, agreement: OwnAgreement, *, now_s: float
) -> None:
    """Check all that a hospital owes itself before it agrees to a study; pin the channel.

    Raises:
        Exception: As for `propose`.
    """
    facts = check_agreeable(ledger, terms, agreement)
    if agreement.pinned() is None:
        agreement.pin(facts, now_s)


def check_agreeable(ledger: HospitalLedger, terms: Study, agreement: OwnAgreement) -> Facts:
    """Check a study as a hospital does before it agrees to it; nothing is written.

    Returns:
        What the channel is, checked.

    Raises:
        Exception: As for `propose`.
    """
    check_own_part(ledger, terms)
    check_members(terms.msps, agreement.hospitals)
    check_genesis(terms, ledger)
    check_ordering(terms, ledger.ordering())
    check_terms(terms)
    agreement.check_may_approve(terms)
    facts = ledger.channel_facts()
    agreement.check_channel(facts)
    return facts


def withdraw(ledger: HospitalLedger, study: str) -> LedgerCommit:
    """Take back a proposal of this hospital that nobody else has approved."""
    return ledger.submit("withdraw_study", study)


def suspend(ledger: HospitalLedger, study: str, msp_id: str, reason: str) -> LedgerCommit:
    """Vote to keep a hospital out of later rounds of a study."""
    return ledger.submit("suspend_hospital", study, msp_id, reason)


def check_own_part(ledger: HospitalLedger, terms: Study) -> None:
    """Refuse a study that this hospital is not in.

    Raises:
        NotOfStudyError: It is not.
    """
    if terms.hospital(ledger.msp_id) is None:
        raise NotOfStudyError(ledger.msp_id, terms.study)


def check_members(msps: Collection[str], hospitals: Collection[str]) -> None:
    """Refuse hospitals that the channel does not have; say which was probably meant.

    Args:
        msps: MSPs of a study's hospitals.
        hospitals: MSPs of the channel's.

    Raises:
        SettingsError: One is unknown.

    >>> check_members(["ucsfMSP"], ["moscowMSP", "ucsdMSP"])
    Traceback (most recent call last):
    ...
    peer_client.errors.SettingsError: the channel has no hospital ucsf; did you mean ucsd? ...
    """
    for msp in msps:
        if msp in hospitals:
            continue
        name, known = (
            msp.removesuffix("MSP"),
            sorted(each.removesuffix("MSP") for each in hospitals),
        )
        near = get_close_matches(name, known, n=1)
        meant = f"; did you mean {near[0]}?" if near else "."
        raise SettingsError(
            f"the channel has no hospital {name}{meant} Its hospitals are {', '.join(known)}"
        )


def check_new_name(ledger: HospitalLedger, study: str) -> None:
    """Refuse a name that a study of the channel has, before anything is sent.

    Raises:
        StudyExistsError: One has.
    """
    names = [each["study"] for each in list_studies(ledger)]
    if study in names:
        raise StudyExistsError(
            f"study {study} was proposed before; choose another name than {', '.join(names)}"
        )


def check_ordering(terms: Study, found: OrderingClaim) -> None:
    """Refuse a study whose ordering claim is not what the channel's configuration says.

    Raises:
        StudyClaimError: Another kind of ordering, or another number of nodes.

    """
    claimed = terms.ordering
    nodes = len(found.consenter_msps)
    if (claimed.type, claimed.nodes) != (found.type, nodes):
        raise StudyClaimError(
            f"study {terms.study} says that {claimed.nodes} nodes order the channel by "
            f"{claimed.type}; its configuration says {nodes} by {found.type}"
        )
