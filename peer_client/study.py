"""Agree on a study: propose, look, approve, list, suspend; and read one to work on it.

What is approved is the SHA-256 of the record's canonical bytes, computed here from the terms that
were shown, never taken from a peer. A study whose claim about the ordering service is not what the
channel's own configuration says is refused: rule 1 of docs/security.md rests on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chaincode.records.canonical import encode
from chaincode.records.errors import UnknownStudyError
from chaincode.records.study import Study
from chaincode.records.terms import check_terms
from chaincode.roundkey.safety import safety_words
from peer_client.errors import NotOfStudyError, StudyClaimError
from peer_client.ledger import Committed, HospitalLedger, OrderingClaim, query


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
    )


def list_studies(ledger: HospitalLedger) -> list[dict[str, Any]]:
    """Return a summary of every study of the channel."""
    found: list[dict[str, Any]] = query(ledger, "studies")
    return found


def propose(ledger: HospitalLedger, terms: Study) -> Committed:
    """Propose a study; that is this hospital's approval too.

    Raises:
        NotOfStudyError: This hospital is not in it.
        StudyClaimError: It claims another ordering service than the channel has.
        StudyTermsError: Its terms are unsafe (the chaincode's own rules, run here first).
    """
    check_own_part(ledger, terms)
    check_ordering(terms, ledger.ordering())
    check_terms(terms)
    return ledger.submit("propose_study", terms.to_bytes().decode("ascii"))


def approve(ledger: HospitalLedger, state: StudyState) -> Committed:
    """Approve the text that `state` holds, after the checks a hospital owes itself.

    Raises:
        NotOfStudyError: This hospital is not in it.
        StudyClaimError: It claims another ordering service than the channel has.
        StudyTermsError: Its terms are unsafe.
    """
    check_own_part(ledger, state.terms)
    check_ordering(state.terms, ledger.ordering())
    check_terms(state.terms)
    return ledger.submit("approve_study", state.terms.study, state.terms.sha256)


def suspend(ledger: HospitalLedger, study: str, msp_id: str, reason: str) -> Committed:
    """Vote to keep a hospital out of later rounds of a study."""
    return ledger.submit("suspend_hospital", study, msp_id, reason)


def check_own_part(ledger: HospitalLedger, terms: Study) -> None:
    """Refuse a study that this hospital is not in.

    Raises:
        NotOfStudyError: It is not.
    """
    if terms.hospital(ledger.msp_id) is None:
        raise NotOfStudyError(ledger.msp_id, terms.study)


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


def agreement_lines(terms: Study) -> list[tuple[str, str]]:
    """Return what a hospital agrees to, as names and values for people."""
    parameters = check_terms(terms)
    groups = {
        group: sum(weight.size for weight in terms.weights if weight.group == group)
        for group in ("all", "masks", "personal")
    }
    hospitals = [
        f"{each.msp} (point {each.point}, {'masks' if each.has_masks else 'no masks'}, "
        f"negative: {each.label_negative})"
        for each in terms.hospitals
    ]
    lines = [
        ("study", terms.study),
        ("title", terms.title),
        ("text (SHA-256)", terms.sha256),
        ("network", f"{terms.architecture.name}, {terms.parameters:,} shared values"),
        ("averaged by all", f"{groups['all']:,} values"),
        ("by those with masks", f"{groups['masks']:,} values"),
        ("stays at home", f"{groups['personal']:,} values"),
        ("positive label", str(terms.label_scheme.get("positive", "-"))),
        *(("hospital", each) for each in hospitals),
        ("ordering", f"{terms.ordering.nodes} nodes, {terms.ordering.type}"),
        ("to open a sum (T)", f"{terms.threshold} of {len(terms.hospitals)} hospitals"),
        ("least updates (k)", str(terms.contributors_min)),
        ("safety", safety_words(parameters.safety())),
        ("masks' tensors", _hidden_masks(terms)),
        ("update", f"{terms.bits} bits a value, {parameters.upload_bytes:,} bytes a round"),
        ("rounds", f"{terms.rounds} of {terms.local_steps} steps"),
        (
            "deadlines",
            f"join {terms.deadlines_s.join} s, submit {terms.deadlines_s.submit} s, "
            f"answer {terms.deadlines_s.answer} s",
        ),
        ("gate", f"AUC may fall by {terms.gate_margin_ppm / 1e6:.3f} at a hospital"),
        ("initial model", terms.initial_model_sha256),
    ]
    return lines


def _hidden_masks(terms: Study) -> str:
    """Say who hides whom in the tensors that only hospitals with masks average."""
    with_masks = sum(bool(each.has_masks) for each in terms.hospitals)
    k = terms.contributors_min
    if with_masks < k:
        return f"never sent: {with_masks} hospitals have masks, at least {k} must hide each other"
    spare = with_masks - k
    return (
        f"hidden among {with_masks} hospitals with masks, sent where at least {k} of them joined"
        + ("" if spare else "; if one of them then vanishes, the other two see each other's")
    )
