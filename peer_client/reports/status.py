"""Where a hospital's studies stand: the ledger's word, its own files, and what it would do next.

Only looks: opens no journal, starts no training, writes nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from chaincode.records.terms import round_parameters
from chaincode.roundkey.safety import safety_words
from network.errors import NetworkError
from peer_client.ledgers.ledger import HospitalLedger
from peer_client.rounds.decision import (
    ENDED,
    Act,
    OwnProgress,
    RoundView,
    Terms,
    awaited,
    next_act,
)
from peer_client.rounds.ledger_figures import is_of_choice, served_text
from peer_client.rounds.records import read_round
from peer_client.storage.study_store import StudyStore
from peer_client.studies.channel_rules import difference_words, differences
from peer_client.studies.own_agreement import OwnAgreement
from peer_client.studies.study import StudyState, list_studies, read_study
from peer_client.update import model_digest

if TYPE_CHECKING:
    from peer_client.client import MemberClient

#: Metrics shown of the last round, in millionths.
SHOWN = ("auc_before", "auc_after", "dice_after")


def hospital_status(client: MemberClient, only: str | None) -> dict[str, Any]:
    """Return a hospital's status as plain values.

    Args:
        client: The member.
        only: One study; None for all of this hospital.
    """
    ledger = client.ledger
    try:
        claim = ledger.ordering()
        ordering = f"{len(claim.consenter_msps)} nodes, {claim.type}"
    except NetworkError as error:
        ordering = f"unknown: {error}"
    names = [
        each["study"]
        for each in list_studies(ledger)
        if ledger.msp_id in each["hospitals"] and only in (None, each["study"])
    ]
    if only is not None and only not in names:
        read_study(ledger, only)  # raises where it does not exist
    return {
        "member": client.directory.name,
        "msp_id": ledger.msp_id,
        "channel": ledger.channel,
        "directory": str(client.directory.path),
        "ordering": ordering,
        "channel_changes": _channel_changes(client),
        "studies": [
            study_status(ledger, client.store(name), read_study(ledger, name), client.agreement())
            for name in names
        ],
    }


def _channel_changes(client: MemberClient) -> list[str] | None:
    """Return how the channel differs from what was accepted; None where nothing was yet."""
    kept = client.agreement().pinned()
    if kept is None:
        return None
    return difference_words(differences(kept, client.ledger.channel_facts()))


def study_status(
    ledger: HospitalLedger, store: StudyStore, state: StudyState, agreement: OwnAgreement
) -> dict[str, Any]:
    """Return where one study stands.

    Args:
        ledger: The way to the channel.
        store: The study's files here.
        state: The study as the ledger has it.
        agreement: What this hospital approved.
    """
    terms = state.terms
    models = store.model_rounds()
    in_force = any(
        (model := store.read_model(number)) is not None
        and model_digest(model.weights) == state.model_sha256
        for number in models[-2:]
    )
    metrics = _last_metrics(store)
    return {
        "study": terms.study,
        "in_force": state.in_force,
        "state": _state_of(state),
        "approved_here": _approved_here(agreement, state),
        "safety": safety_words(round_parameters(terms).safety()),
        "approved_by": list(state.approved_by),
        "suspended": list(state.suspended),
        "round": state.last_round,
        "round_state": state.last_round_state,
        "next": next_here(ledger, store, state, agreement),
        "published_rounds": state.published_rounds,
        "rounds": terms.rounds,
        "model_sha256": state.model_sha256,
        "has_model_in_force": in_force or state.published_rounds == 0,
        "newest_model": models[-1] if models else 0,
        "metrics_ppm": {name: metrics[name] for name in SHOWN if name in metrics},
        "serves": served_text(metrics),
        "choice_ppm": {name: value for name, value in metrics.items() if is_of_choice(name)},
    }


def _last_metrics(store: StudyStore) -> dict[str, int]:
    for number in reversed(store.round_numbers()):
        metrics: dict[str, int] = store.read_facts(number).get("metrics_ppm", {})
        if metrics:
            return metrics
    return {}


def _state_of(state: StudyState) -> str:
    """Return PROPOSED, IN_FORCE or WITHDRAWN."""
    if state.withdrawn:
        return "WITHDRAWN"
    return "IN_FORCE" if state.in_force else "PROPOSED"


def _approved_here(agreement: OwnAgreement, state: StudyState) -> bool:
    """Return whether this hospital's people approved this very text."""
    kept = agreement.approved(state.terms.study)
    return kept is not None and kept.study_sha256 == state.terms.sha256


def next_here(
    ledger: HospitalLedger, store: StudyStore, state: StudyState, agreement: OwnAgreement
) -> str:
    """Return what a client started now would do first, as words."""
    if state.withdrawn:
        return "nothing: the proposal was withdrawn"
    if not _approved_here(agreement, state):
        return "approve"
    if not state.in_force:
        return "wait for approvals"
    ended = state.last_round == 0 or state.last_round_state in ENDED
    if ended and state.published_rounds >= state.terms.rounds:
        return "nothing: all rounds are published"
    if ended:
        return "open the next round"
    records = read_round(ledger, state.terms.study, state.last_round)
    view = records.view() if records is not None else RoundView()
    terms = Terms(state.active, state.terms.threshold, state.terms.contributors_min)
    own = OwnProgress(
        trained=store.has_trained(state.last_round) or store.has_upload(state.last_round),
        has_keys=True,
        applied=store.has_model(state.last_round),
    )
    act = next_act(view, own, terms, ledger.msp_id, time.time())
    return awaited(view, terms, time.time()) if act is Act.WAIT else act.value
